"""Table of the irregular regions of a map; a click on a row shows the region."""

from __future__ import annotations

import math

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from napari_polarmap.core.regions import Region
from napari_polarmap.pipeline.region_layer import KIND_COLORS

COLUMNS = ("kind", "direction", "area", "centre", "σ")
MOST_ROWS = 500
ROWS_IN_SIGHT = 5


class RegionTable(QTableWidget):
    """The regions, the strongest first.

    Signals
    -------
    chosen(object)
        The `Region` of a row that was clicked or reached by the arrow keys.
    """

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(COLUMNS), parent)
        self.regions: list[Region] = []
        self.setHorizontalHeaderLabels(COLUMNS)
        self.setToolTip(
            "Irregular regions, the strongest first; click one to look at it.\n"
            "Kind, direction around it, area, centre (row, column) and highest score in standard deviations."
        )
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.verticalHeader().setDefaultSectionSize(20)
        self.verticalHeader().setVisible(False)
        self.horizontalHeader().setMinimumSectionSize(30)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.setFixedHeight(24 + 21 * ROWS_IN_SIGHT)
        self.currentCellChanged.connect(lambda row, *_: self._on_row(row))
        self.cellClicked.connect(lambda row, _: self._on_row(row))

    def show_regions(self, regions: list[Region]) -> None:
        """Fill the table."""
        self.blockSignals(True)
        self.regions = regions[:MOST_ROWS]
        self.setRowCount(len(self.regions))
        for row, region in enumerate(self.regions):
            for column, text in enumerate(_texts(region)):
                item = QTableWidgetItem(text)
                if column == 0:
                    item.setIcon(_patch(KIND_COLORS[region.kind]))
                elif column != 1:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.setItem(row, column, item)
        self.setCurrentCell(-1, -1)
        self.blockSignals(False)
        self.setVisible(bool(self.regions))

    def _on_row(self, row: int) -> None:
        if 0 <= row < len(self.regions):
            self.chosen.emit(self.regions[row])


def _texts(region: Region) -> tuple[str, ...]:
    if math.isfinite(region.area_nm2):
        area = f"{region.area_nm2:.3g} nm²"
    elif math.isfinite(region.cells):
        area = f"{region.cells:.2g} cells"
    else:
        area = f"{region.positions} px"
    row, column = region.centre_px
    return region.kind.value, region.directions, area, f"{row:.0f}, {column:.0f}", f"{region.peak_score:.1f}"


def _patch(color: str) -> QIcon:
    pixmap = QPixmap(10, 10)
    pixmap.fill(QColor(color))
    return QIcon(pixmap)
