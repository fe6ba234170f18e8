"""The list of classifiers as a table that unfolds: what each one is, what it was trained for, how well it did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from qtpy.QtCore import Qt
from qtpy.QtGui import QStandardItem, QStandardItemModel
from qtpy.QtWidgets import QAbstractItemView, QComboBox, QHeaderView, QTableView, QWidget

from napari_polarmap.models.weights import ModelInfo
from napari_polarmap.pipeline.model_range import in_words
from napari_polarmap.widgets.section import fit_width

SHORT: Final = {
    "template": "templates",
    "cnn": "CNN",
    "published_cnn": "CNN as published",
    "resnet18": "ResNet-18",
    "resnet50": "ResNet-50",
    "vgg11": "VGG-11",
    "vgg16": "VGG-16",
    "pca_knn": "PCA and kNN",
}
COLUMNS: Final = ("classifier", "network", "objective", "material", "thickness", "10⁵ e⁻", "10⁶ e⁻", "exact")
SCORES: Final = ("accuracy_pooled_1e5", "accuracy_pooled_1e6", "accuracy_pooled_exact")
_HEADER_TIP: Final = (
    "Held-out accuracy: share of windows of one unit cell that are told rightly, of specimens it was not trained on,\n"
    "with so many electrons in the window, or without noise."
)


class ClassifierList(QComboBox):
    """A list whose entries unfold to a table."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table = QTableView()
        self.table.verticalHeader().hide()
        self.table.setShowGrid(False)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.verticalHeader().setDefaultSectionSize(24)
        self.entries = QStandardItemModel(0, len(COLUMNS), self)
        self.setModel(self.entries)
        self.setView(self.table)
        fit_width(self)

    def show_classifiers(self, infos: Sequence[ModelInfo], tooltips: Sequence[str]) -> None:
        """Fill the table."""
        self.entries.clear()
        self.entries.setHorizontalHeaderLabels(COLUMNS)
        for column in range(COLUMNS.index("10⁵ e⁻"), len(COLUMNS)):
            self.entries.horizontalHeaderItem(column).setToolTip(_HEADER_TIP)
        for info, tooltip in zip(infos, tooltips, strict=True):
            self.entries.appendRow([_item(text, tooltip, bold=info.recommended) for text in cells(info)])

    def showPopup(self) -> None:
        """Unfold the table as wide as it needs to be."""
        self.table.resizeColumnsToContents()
        width = sum(self.table.columnWidth(column) for column in range(len(COLUMNS)))
        self.table.setMinimumWidth(width + self.table.verticalScrollBar().sizeHint().width())
        super().showPopup()
        popup, window = self.table.window(), self.window().frameGeometry()
        if popup.frameGeometry().right() > window.right():  # stay inside the window, which the screen may cut
            popup.move(max(window.left(), window.right() - popup.width()), popup.y())


def cells(info: ModelInfo) -> list[str]:
    """Return what the table tells of a classifier, by `COLUMNS`."""
    title = f"{info.title} (recommended)" if info.recommended else info.title
    material = f"{info.material} {info.zone_axis.removesuffix('pc')}".strip()
    thickness = f"{in_words(info.thickness_nm)} nm" if info.thickness_nm[1] > 0 else "?"
    scores = (info.scores.get(name) for name in SCORES)
    return [
        title.replace(f", {material}", ""),
        SHORT.get(info.network, info.network),
        info.objective,
        material or "?",
        thickness,
        *("?" if score is None or score != score else f"{100 * score:.0f} %" for score in scores),
    ]


def _item(text: str, tooltip: str, *, bold: bool) -> QStandardItem:
    item = QStandardItem(text)
    item.setEditable(False)
    item.setData(tooltip, Qt.ItemDataRole.ToolTipRole)
    font = item.font()
    font.setBold(bold)
    item.setFont(font)
    return item
