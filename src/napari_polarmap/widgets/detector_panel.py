"""Controls of the virtual detector."""

from __future__ import annotations

from dataclasses import replace

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QPushButton, QSpinBox, QVBoxLayout, QWidget

from napari_polarmap.core.virtual_detector import VirtualDetector
from napari_polarmap.widgets.progress_row import ProgressRow
from napari_polarmap.widgets.section import Form, fit_width, note

KINDS = {
    None: "none",
    "disk": "disk (bright field)",
    "annulus": "annulus (dark field)",
    "segments": "segments (differential)",
    "drawn": "drawn by hand",
}
SIGNS = {2: (1, -1), 3: (1, 0, 0), 4: (1, 0, -1, 0), 6: (1, 0, 0, -1, 0, 0), 8: (1, 1, 0, 0, -1, -1, 0, 0)}


class DetectorPanel(QWidget):
    """Chooses the kind of detector and shows its radii, in mrad where the scale is known.

    Signals
    -------
    changed(object)
        A `VirtualDetector` or None.
    keep_clicked()
    """

    changed = Signal(object)
    keep_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.detector: VirtualDetector | None = None
        self._middle: tuple[float, float] = (0.0, 0.0)
        self._disk_px = 1.0
        self._mrad_per_px: float | None = None
        self.kind = QComboBox()
        for key, text in KINDS.items():
            self.kind.addItem(text, key)
        fit_width(self.kind)
        self.kind.setToolTip(
            "Part of the detector whose counts make an image.\nDrag its inside to move it and its rims to change its "
            "radii; click a segment to let it add, subtract or not count; draw around a part of the pattern"
        )
        self.inner, self.outer = (_radius(f"{name} radius of the detector") for name in ("Inner", "Outer"))
        self.segments = QSpinBox()
        self.segments.setRange(2, 16)
        self.segments.setValue(4)
        self.segments.setToolTip("Number of segments of the annulus [count]")
        self.turn = QDoubleSpinBox()
        self.turn.setRange(-360, 360)
        self.turn.setDecimals(0)
        self.turn.setSingleStep(15)
        self.turn.setValue(-45)
        self.turn.setSuffix("°")
        self.turn.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        self.turn.setToolTip("Where the first segment begins [°], counter-clockwise from the right")
        self.keep_button = QPushButton("Keep")
        self.keep_button.setToolTip("Keep the present image as a layer of its own, which no longer follows")
        self.keep_button.clicked.connect(self.keep_clicked)
        self.said = note()
        self.progress = ProgressRow("the reading of the scan")
        form = Form()
        form.add("Detector", self.kind, self.keep_button)
        self._radii = [form.add("Radii", self.inner, self.outer), self.inner, self.outer]
        self._parts = [form.add("Segments", self.segments, self.turn), self.segments, self.turn]
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(form)
        layout.addWidget(self.progress)
        layout.addWidget(self.said)
        self.kind.currentIndexChanged.connect(self._on_kind)
        for field in (self.inner, self.outer):
            field.valueChanged.connect(self._on_radii)
        self.segments.valueChanged.connect(self._on_segments)
        self.turn.valueChanged.connect(self._on_segments)
        self.show_detector(None)

    def set_disk(self, center_px: tuple[float, float], radius_px: float, mrad_per_px: float | None) -> None:
        """Begin new detectors at the direct disk; show radii in mrad where the scale is known."""
        self._middle, self._disk_px, self._mrad_per_px = center_px, radius_px, mrad_per_px
        self.show_detector(self.detector)

    def show_detector(self, detector: VirtualDetector | None) -> None:
        """Show a detector, however it came to be."""
        self.detector = detector
        kind = None if detector is None else detector.kind
        unit, scale = (" px", 1.0) if self._mrad_per_px is None else (" mrad", self._mrad_per_px)
        values = {self.kind: self.kind.findData(kind)}
        if detector is not None and kind != "drawn":
            values |= {self.inner: scale * detector.inner_px, self.outer: scale * detector.outer_px}
        if kind == "segments":
            values |= {self.segments: len(detector.signs), self.turn: detector.turn_deg}
        for field, value in values.items():
            field.blockSignals(True)
            (field.setCurrentIndex if field is self.kind else field.setValue)(value)
            field.blockSignals(False)
        for field in (self.inner, self.outer):
            field.setSuffix(unit)
        for widget in self._radii:
            widget.setVisible(kind not in (None, "drawn"))
        self.inner.setVisible(kind in ("annulus", "segments"))
        for widget in self._parts:
            widget.setVisible(kind == "segments")
        self.keep_button.setEnabled(detector is not None)

    def begin(self, kind: str | None) -> None:
        """Take a new detector of some kind, which suits the direct disk."""
        if kind is None:
            self._take(None)
            return
        radii = {"annulus": (1.15, 2.0), "segments": (0.0, 1.0)}.get(kind, (0.0, 1.0))
        self._take(
            VirtualDetector(
                kind=kind,
                center_px=self._middle,
                inner_px=radii[0] * self._disk_px,
                outer_px=radii[1] * self._disk_px,
            )
        )

    def _take(self, detector: VirtualDetector | None) -> None:
        self.show_detector(detector)
        self.changed.emit(detector)

    def _on_kind(self) -> None:
        self.begin(self.kind.currentData())

    def _on_radii(self) -> None:
        scale = self._mrad_per_px or 1.0
        inner = self.inner.value() / scale if self.detector.kind != "disk" else 0.0
        self._take(replace(self.detector, inner_px=inner, outer_px=max(self.outer.value() / scale, inner + 0.5)))

    def _on_segments(self) -> None:
        count = self.segments.value()
        signs = self.detector.signs
        if len(signs) != count:
            signs = SIGNS.get(count, (1, *(count - 1) * (0,)))
        self._take(replace(self.detector, signs=signs, turn_deg=self.turn.value()))


def _radius(tooltip: str) -> QDoubleSpinBox:
    field = QDoubleSpinBox()
    field.setRange(0, 10_000)
    field.setDecimals(1)
    field.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
    field.setKeyboardTracking(False)
    field.setAlignment(Qt.AlignmentFlag.AlignRight)
    field.setToolTip(f"{tooltip} [mrad; detector pixels where the scale is not known]")
    return field
