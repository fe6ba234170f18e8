"""Patterns side by side: pinned positions and the mean of a drawn region."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_polarmap.pipeline.explorer_layers import PIN_NAMES
from napari_polarmap.widgets.pattern_view import Overlay, PatternView, top_of
from napari_polarmap.widgets.progress_row import ProgressRow
from napari_polarmap.widgets.section import note

REGION = "R"
ACROSS = 3
WAYS = {"own": "each on its own scale", "same": "all on one scale", "difference": "minus the first"}


@dataclass(frozen=True, eq=False, kw_only=True)
class Pinned:
    """A pattern that is kept.

    Attributes
    ----------
    name : str
        A letter; R is the region.
    caption : str
    pattern : ndarray, shape (det_y, det_x)
    overlay : Overlay
    position : (int, int), optional
        Scan row and column; None for the mean of a region.
    """

    name: str
    caption: str
    pattern: NDArray[np.number]
    overlay: Overlay
    position: tuple[int, int] | None = None


class ComparePanel(QWidget):
    """Keeps patterns and shows them beside each other.

    Signals
    -------
    pin_clicked(), region_clicked()
    changed()
        Others are pinned.
    """

    pin_clicked = Signal()
    region_clicked = Signal()
    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.pinned: list[Pinned] = []
        self.views: list[PatternView] = []
        self._scale = {"logarithmic": False, "gamma": 1.0}
        self.pin_button = QPushButton("Pin")
        self.pin_button.setToolTip("Keep the pattern at the cursor for comparison; key P over the image")
        self.pin_button.clicked.connect(self.pin_clicked)
        self.region_button = QPushButton("Draw region")
        self.region_button.setToolTip(
            "Draw a shape over the scan: its patterns are averaged, and again when it is moved. Any shape will do"
        )
        self.region_button.clicked.connect(self.region_clicked)
        self.clear_button = QPushButton("Clear")
        self.clear_button.setToolTip("Forget all that is pinned, and the region")
        self.clear_button.clicked.connect(self.clear)
        self.way = QComboBox()
        for key, text in WAYS.items():
            self.way.addItem(text, key)
        self.way.setToolTip(
            "How patterns are compared.\nMinus the first: each as its share of all counts, red where there are more"
            " counts than in the first, blue where there are fewer"
        )
        self.way.currentIndexChanged.connect(self._show)
        self.progress = ProgressRow("the averaging")
        self.said = note()
        self._grid = QGridLayout()
        self._grid.setSpacing(4)
        for column in range(ACROSS):
            self._grid.setColumnStretch(column, 1)
        row = QHBoxLayout()
        row.setSpacing(4)
        for button in (self.pin_button, self.region_button, self.clear_button):
            button.setMinimumWidth(60)
            row.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(row)
        layout.addWidget(self.progress)
        layout.addWidget(self.said)
        layout.addLayout(self._grid)
        layout.addWidget(self.way)
        self._show()

    def next_name(self) -> str | None:
        """Return the first free letter; None where all are taken."""
        taken = {entry.name for entry in self.pinned}
        return next((letter for letter in PIN_NAMES if letter not in taken), None)

    def keep(self, entry: Pinned) -> None:
        """Keep a pattern; one of the same name gives way."""
        names = [old.name for old in self.pinned]
        if entry.name in names:
            self.pinned[names.index(entry.name)] = entry
        else:
            self.pinned.append(entry)
        self._show()
        self.changed.emit()

    def drop(self, name: str) -> None:
        """Forget one."""
        self.pinned = [entry for entry in self.pinned if entry.name != name]
        self._show()
        self.changed.emit()

    def clear(self) -> None:
        """Forget all."""
        self.pinned = []
        self._show()
        self.changed.emit()

    def say(self, text: str) -> None:
        """Show a sentence."""
        self.said.setText(text)
        self.said.setVisible(bool(text))

    def set_scale(self, **scale: float) -> None:
        """Show counts as the large view does."""
        self._scale = scale
        self._show()

    def _show(self, *_: object) -> None:
        while self._grid.count():
            widget = self._grid.takeAt(0).widget()
            widget.hide()
            widget.deleteLater()
        self.views = []
        self.say("" if self.pinned else "Pin positions, or draw a region, to compare patterns.")
        self.way.setVisible(len(self.pinned) > 1)
        self.clear_button.setEnabled(bool(self.pinned))
        top = max((top_of(np.nan_to_num(entry.pattern)) for entry in self.pinned), default=None)
        for place, entry in enumerate(self.pinned):
            tile = self._tile(entry, top)
            self._grid.addWidget(tile, place // ACROSS, place % ACROSS)
            tile.show()

    def _tile(self, entry: Pinned, top: float | None) -> QWidget:
        tile, view = QWidget(), PatternView()
        view.setMinimumWidth(88)
        view.setFixedHeight(108)
        view.set_scale(**self._scale)
        way = self.way.currentData()
        if way == "difference" and entry is not self.pinned[0]:
            view.show_difference(_share(entry.pattern) - _share(self.pinned[0].pattern))
            view.overlay = replace(entry.overlay, com_px=None, crop_px=None, lattice_px=None)
        else:
            view.set_top(top if way == "same" else None)
            view.set_pattern(entry.pattern, replace(entry.overlay, crop_px=None, lattice_px=None))
        view.setToolTip(f"Pattern {entry.name}: {entry.caption}")
        self.views.append(view)
        caption = QLabel(f"<b>{entry.name}</b> {entry.caption}")
        caption.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        caption.setToolTip(f"{entry.name}: {entry.caption}")
        close = QToolButton()
        close.setText("×")
        close.setToolTip(f"Forget {entry.name}")
        close.clicked.connect(lambda: self.drop(entry.name))
        top_row = QHBoxLayout()
        top_row.addWidget(caption, 1)
        top_row.addWidget(close)
        layout = QVBoxLayout(tile)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(1)
        layout.addLayout(top_row)
        layout.addWidget(view)
        tile.setMinimumHeight(layout.minimumSize().height())
        return tile


def _share(pattern: NDArray[np.number]) -> NDArray[np.float64]:
    counts = np.maximum(np.nan_to_num(np.asarray(pattern, np.float64)), 0)
    return counts / max(counts.sum(), 1e-12)
