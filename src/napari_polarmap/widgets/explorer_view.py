"""The large pattern of the Explorer, how its counts are shown, and what is drawn over it."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_polarmap.widgets.detector_view import DetectorView
from napari_polarmap.widgets.preferences import preferences
from napari_polarmap.widgets.reading_line import ReadingLine

SCALES = {"linear": "linear", "log": "logarithmic", "gamma": "gamma"}
PARTS = {
    "disk": ("disk", "Direct disk, as a dashed circle"),
    "crop": ("crop", "Square of the detector that the classifier sees"),
    "com": ("CoM", "Centre of mass of the counts near the disk, as a cross"),
    "lattice": ("lattice", "Middles of the crystal's disks, from the unit cell of the scan, voltage and scan step"),
}


class ExplorerView(QWidget):
    """A pattern with its controls.

    Signals
    -------
    scaled()
        Counts are shown in another way.
    """

    scaled = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.pattern = DetectorView()
        self.pattern.setMinimumHeight(200)
        self.scale = QComboBox()
        for key, text in SCALES.items():
            self.scale.addItem(text, key)
        self.scale.setToolTip(
            "How counts become brightness: linear, logarithmic over three decades, or to the power of gamma"
        )
        self.gamma = QDoubleSpinBox()
        self.gamma.setRange(0.1, 3.0)
        self.gamma.setSingleStep(0.1)
        self.gamma.setDecimals(2)
        chosen = preferences().explorer
        self.scale.setCurrentIndex(self.scale.findData(chosen.scale))
        self.gamma.setValue(chosen.gamma)
        self.gamma.setMaximumWidth(60)
        self.gamma.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        self.gamma.setToolTip("Power of the share of the brightest counts [no unit]; below 1 lifts weak counts")
        self.parts = {}
        rows = [QHBoxLayout() for _ in range(2)]
        for row, caption in zip(rows, ("Counts", "Draw"), strict=True):
            row.setContentsMargins(4, 0, 4, 0)
            row.setSpacing(6)
            row.addWidget(QLabel(caption))
        rows[0].addWidget(self.scale)
        rows[0].addWidget(self.gamma)
        rows[0].addStretch(1)
        for name, (text, tooltip) in PARTS.items():
            box = QCheckBox(text)
            box.setChecked(name != "lattice" or chosen.draw_lattice)
            box.setToolTip(tooltip)
            box.toggled.connect(lambda on, name=name: self.pattern.show_part(name, on))
            self.pattern.show_part(name, box.isChecked())
            self.parts[name] = box
            rows[1].addWidget(box)
        rows[1].addStretch(1)
        self.reading = ReadingLine()
        self.reading.setContentsMargins(4, 0, 4, 0)
        self.reading.setToolTip("Scan row and column under the mouse, counts of the pattern, and what the map says")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self.pattern, 1)
        for row in rows:
            layout.addLayout(row)
        layout.addWidget(self.reading)
        self.scale.currentIndexChanged.connect(self._on_scale)
        self.gamma.valueChanged.connect(self._on_scale)
        self._on_scale()

    @property
    def chosen(self) -> dict[str, float]:
        """Arguments of `PatternView.set_scale`."""
        kind = self.scale.currentData()
        return {"logarithmic": kind == "log", "gamma": self.gamma.value() if kind == "gamma" else 1.0}

    def _on_scale(self, *_: object) -> None:
        self.gamma.setVisible(self.scale.currentData() == "gamma")
        self.pattern.set_scale(**self.chosen)
        self.scaled.emit()
