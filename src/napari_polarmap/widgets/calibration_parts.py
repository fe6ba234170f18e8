"""One row per part of a calibration: its value, how good it is, and the ways to change it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QDoubleSpinBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_polarmap.core.calibration import Calibration
from napari_polarmap.core.descan import Descan
from napari_polarmap.pipeline.scan_calibration import PARTS, told
from napari_polarmap.widgets.section import State, fold_button, note, undo_button


@dataclass(frozen=True)
class Number:
    """A number that can be entered: which quantity, which of its values, and how it is shown."""

    name: str
    index: int | None
    caption: str
    low: float
    high: float
    step: float
    decimals: int
    suffix: str = ""


TITLES = {
    "disk": ("Disk", "Centre and radius of the direct disk; the rim stays in place whatever the specimen does"),
    "descan": ("Descan", "How the disk moves over the scan, as a plane; from its rim in parts of the scan"),
    "pixel_size": ("Pixel size", "Angle per pixel from the convergence angle and the radius of the disk, or back"),
    "scan_step": (
        "Scan step",
        "Distance of scan positions, from the lattice seen in them and a cell of 3.98 Å",
    ),
    "rotation": ("Rotation", "Turn and handedness of the detector against the scan: least curl of the centres of mass"),
    "crystal_axis": ("Crystal axis", "Angle of a <100> axis against the scan rows, from the lattice peaks"),
    "ellipse": ("Ellipse", "What the disk lacks of a circle: distortion by the projector lenses"),
    "bad_pixels": ("Bad pixels", "Dead and hot pixels in the mean pattern; they are filled from their neighbours"),
}
UNITS = {"descan": "detector px per scan position"}
"""Of numbers without a unit behind them."""
QUIET = "#8a929c"
"""Grey that is read on dark and on light."""
NUMBERS = {
    "disk": (
        Number("center_px", 0, "Row", -1e4, 1e4, 0.1, 2, " px"),
        Number("center_px", 1, "Column", -1e4, 1e4, 0.1, 2, " px"),
        Number("radius_px", None, "Radius", 0.5, 1e4, 0.1, 2, " px"),
    ),
    "descan": (
        Number("descan", 0, "Row/row", -10, 10, 0.001, 4),
        Number("descan", 1, "Row/column", -10, 10, 0.001, 4),
        Number("descan", 2, "Column/row", -10, 10, 0.001, 4),
        Number("descan", 3, "Column/column", -10, 10, 0.001, 4),
    ),
    "pixel_size": (
        Number("mrad_per_px", None, "Pixel", 1e-4, 100, 0.01, 4, " mrad"),
        Number("convergence_mrad", None, "Convergence", 1e-2, 500, 0.1, 3, " mrad"),
    ),
    "scan_step": (Number("scan_step_A", None, "Step", 1e-3, 1e4, 0.01, 4, " Å"),),
    "rotation": (Number("rotation_deg", None, "Turn", -360, 360, 0.5, 2, "°"),),
    "crystal_axis": (Number("crystal_angle_deg", None, "Angle", -360, 360, 0.5, 2, "°"),),
    "ellipse": (
        Number("ellipse_ratio", None, "Long/short", 1, 1.99, 0.005, 4),
        Number("ellipse_angle_deg", None, "Long axis", -180, 180, 1, 1, "°"),
    ),
    "bad_pixels": (),
}


class PartRow(QFrame):
    """Shows one part; unfolds to fields.

    Signals
    -------
    auto_clicked(str), undo_clicked(str)
        With the part.
    edited(object)
        Quantities that were entered, as a dict.
    """

    auto_clicked = Signal(str)
    undo_clicked = Signal(str)
    edited = Signal(object)

    def __init__(self, part: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.part = part
        self._shown: dict[str, Any] = {}
        title, tooltip = TITLES[part]
        self._title = title
        self.header = fold_button(f"{tooltip}.\nClick to enter values by hand.", bold=True)
        self.header.toggled.connect(self._fold)
        self.header.setFixedWidth(96)
        self.value = QLabel()
        self.value.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.mark = QLabel()
        self.auto = QPushButton("Auto")
        self.auto.setToolTip(f"Measure and use: {tooltip[0].lower()}{tooltip[1:]}")
        self.auto.clicked.connect(lambda: self.auto_clicked.emit(part))
        self.undo = undo_button("Take the last change of this part back")
        self.undo.clicked.connect(lambda: self.undo_clicked.emit(part))
        self.residual = note()
        self.residual.setStyleSheet(f"color: {QUIET}; margin-left: 14px;")
        top = QHBoxLayout()
        top.setContentsMargins(0, 0, 0, 0)
        top.addWidget(self.header)
        top.addWidget(self.value, 1)
        for widget in (self.mark, self.auto, self.undo):
            top.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 2)
        layout.setSpacing(0)
        layout.addLayout(top)
        layout.addWidget(self.residual)
        self.fields = QWidget()
        layout.addWidget(self.fields)
        self._build_fields()
        self._fold(False)

    def _build_fields(self) -> None:
        grid = QGridLayout(self.fields)
        grid.setContentsMargins(14, 2, 0, 2)
        grid.setColumnStretch(1, 1)
        grid.setColumnStretch(3, 1)
        self.boxes: dict[Number, QDoubleSpinBox] = {}
        for place, number in enumerate(NUMBERS[self.part]):
            box = QDoubleSpinBox()
            box.setRange(number.low, number.high)
            box.setDecimals(number.decimals)
            box.setSingleStep(number.step)
            box.setSuffix(number.suffix)
            box.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
            box.setKeyboardTracking(False)
            box.setAlignment(Qt.AlignmentFlag.AlignRight)
            unit = number.suffix.strip() or UNITS.get(number.name, "no unit")
            box.setToolTip(f"{self._title}, {number.caption.lower()} [{unit}], entered by hand")
            box.valueChanged.connect(lambda _=0.0, number=number: self._on_number(number))
            self.boxes[number] = box
            grid.addWidget(QLabel(number.caption), place // 2, 2 * (place % 2))
            grid.addWidget(box, place // 2, 2 * (place % 2) + 1)
        if self.part == "rotation":
            self.flip = QCheckBox("mirrored")
            self.flip.setToolTip("The detector rows run against the scan rows: mirror up-down before turning")
            self.flip.toggled.connect(lambda on: self.edited.emit({"flip": on}))
            self.half_turn = QPushButton("+ 180°")
            self.half_turn.setToolTip("Turn to the other side, where the data leave it open")
            self.half_turn.clicked.connect(self._turn_over)
            grid.addWidget(self.flip, 1, 0, 1, 2)
            grid.addWidget(self.half_turn, 1, 3)
        if self.part == "bad_pixels":
            self.pixels = QLineEdit()
            self.pixels.setPlaceholderText("row,column; row,column …")
            self.pixels.setToolTip("Bad pixels as row,column pairs")
            self.pixels.editingFinished.connect(self._on_pixels)
            grid.addWidget(self.pixels, 0, 0)

    def show_calibration(self, calibration: Calibration, found: Descan | None) -> None:
        """Show what a calibration says of this part; what it leaves open, as measured."""
        fallback = (
            {}
            if found is None
            else {"center_px": found.disk.center_px, "radius_px": found.disk.radius_px, "descan": found.slopes_px}
        )
        self._shown = {
            name: fallback.get(name) if getattr(calibration, name) is None else getattr(calibration, name)
            for name in PARTS[self.part]
        }
        for number, box in self.boxes.items():
            value = self._shown[number.name]
            value = value[number.index] if value is not None and number.index is not None else value
            box.blockSignals(True)
            box.setValue(number.low if value is None else value)
            box.blockSignals(False)
        if self.part == "rotation":
            self.flip.blockSignals(True)
            self.flip.setChecked(calibration.flip)
            self.flip.blockSignals(False)
        if self.part == "bad_pixels":
            self.pixels.setText("; ".join(f"{y},{x}" for y, x in calibration.bad_pixels))
        self.value.setText(told(self.part, calibration))
        self.value.setToolTip(self.value.text())
        said = [calibration.origin[name] for name in PARTS[self.part] if name in calibration.origin]
        self.show_residual(said[0].partition("; ")[2] or said[0] if said else "", State.DONE if said else State.WAITING)

    def show_residual(self, text: str, state: State) -> None:
        """Say how good the value is, or why there is none."""
        self.residual.setText(text)
        self.residual.setVisible(bool(text))
        mark, color = state.value
        self.mark.setText(f'<span style="color:{color}; font-weight:bold">{mark}</span>')

    def _on_number(self, number: Number) -> None:
        value: Any = self.boxes[number].value()
        if number.index is not None:
            whole = [self.boxes[other].value() for other in self.boxes if other.name == number.name]
            value = tuple(whole)
        self.edited.emit({number.name: value})

    def _turn_over(self) -> None:
        angle = (self._shown["rotation_deg"] + 360) % 360 - 180
        self.edited.emit({"rotation_deg": float(angle)})

    def _on_pixels(self) -> None:
        try:
            texts = [pair.split(",") for pair in self.pixels.text().split(";") if pair.strip()]
            pairs = tuple((int(row), int(column)) for row, column in texts)
        except ValueError:
            self.show_residual("pairs row,column; row,column are needed", State.ATTENTION)
            return
        if pairs != self._shown["bad_pixels"]:
            self.edited.emit({"bad_pixels": pairs})

    def _fold(self, open_: bool) -> None:
        self.fields.setVisible(open_)
        self.header.setText(f"{'▾' if open_ else '▸'} {self._title}")
