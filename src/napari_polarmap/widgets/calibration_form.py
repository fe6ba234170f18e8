"""Fields for what is known of a scan; an empty field says "not known"."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QHBoxLayout, QVBoxLayout, QWidget

from napari_polarmap.core.data import Calibration
from napari_polarmap.pipeline.scan_calibration import by_hand
from napari_polarmap.widgets.section import Form, fold_button, undo_button

NOT_KNOWN = "not known"


class CalibrationForm(QWidget):
    """Shows and edits a `Calibration`.

    Signals
    -------
    changed(object)
        The edited `Calibration`.
    undo_clicked()
    """

    changed = Signal(object)
    undo_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._calibration = Calibration()
        self.header = fold_button("Calibration of the scan; click to see or change it")
        self.header.toggled.connect(self._show_summary)
        self.fields = QWidget()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        self.undo = undo_button("Take the last change of the calibration back")
        self.undo.clicked.connect(self.undo_clicked)
        top = QHBoxLayout()
        top.addWidget(self.header, 1)
        top.addWidget(self.undo)
        layout.addLayout(top)
        layout.addWidget(self.fields)
        form = Form(self.fields)
        self.convergence_mrad = _quantity(
            " mrad",
            200,
            0.1,
            "Convergence semi-angle of the probe [mrad].\nWith the radius of the disk it gives mrad/px.",
        )
        self.mrad_per_px = _quantity(
            " mrad/px",
            50,
            0.01,
            "Angle per detector pixel [mrad].\nNot needed where the convergence angle is known.",
            4,
        )
        self.scan_step_A = _quantity(
            " Å",
            1000,
            0.01,
            "Distance between scan positions [Å].\nGives the scale bar, and the unit cell where the image shows none.",
            4,
        )
        self.rotation_deg = _angle(
            "Turn of the detector against the scan [°].\n"
            "A detector vector turned counter-clockwise by this lies in the frame of the scan image."
        )
        self.flip = QCheckBox("flip")
        self.flip.setToolTip(
            "The detector rows run against the scan rows: mirror patterns up-down before they are turned."
        )
        self.crystal_angle_deg = _angle(
            "Angle of the crystal's in-plane <100> axis against the scan rows [°], counter-clockwise on the screen.\n"
            "The eight directions count from it."
        )
        form.add("Convergence", self.convergence_mrad)
        form.add("Detector", self.mrad_per_px)
        form.add("Scan step", self.scan_step_A)
        form.add("Rotation", self.rotation_deg, self.flip)
        form.add("Crystal axis", self.crystal_angle_deg)
        for field in self._fields().values():
            field.valueChanged.connect(self._on_edit)
        self.flip.toggled.connect(self._on_edit)
        self._show_summary()

    def _fields(self) -> dict[str, QDoubleSpinBox]:
        names = ("convergence_mrad", "mrad_per_px", "scan_step_A", "rotation_deg", "crystal_angle_deg")
        return {name: getattr(self, name) for name in names}

    @property
    def calibration(self) -> Calibration:
        """What the fields say; quantities without a field are kept."""
        values: dict[str, Any] = {}
        for name, field in self._fields().items():
            unknown = field.specialValueText() and field.value() == field.minimum()
            before = getattr(self._calibration, name)
            same = before is not None and abs(before - field.value()) <= 0.5 * 10.0 ** -field.decimals()
            values[name] = before if same else None if unknown else field.value()
        return replace(self._calibration, **values, flip=self.flip.isChecked())

    def set_calibration(self, calibration: Calibration) -> None:
        """Show a calibration without telling anyone."""
        self._calibration = calibration
        for name, field in self._fields().items():
            field.blockSignals(True)
            field.setValue(getattr(calibration, name) or 0.0)
            field.blockSignals(False)
        self.flip.blockSignals(True)
        self.flip.setChecked(calibration.flip)
        self.flip.blockSignals(False)
        self._show_summary()

    def suggest(self, name: str, value: float | None) -> None:
        """Show a measured value in the empty field of a quantity."""
        field = self._fields()[name]
        field.setSpecialValueText(NOT_KNOWN if value is None else f"measured: {value:.4g}{field.suffix()}")

    def _on_edit(self) -> None:
        edited = self.calibration
        names = [*self._fields(), "flip"]
        self._calibration = by_hand(self._calibration, **{name: getattr(edited, name) for name in names})
        self._show_summary()
        self.changed.emit(self._calibration)

    def _show_summary(self) -> None:
        """Show the fields, or all they say in one line."""
        open_ = self.header.isChecked()
        self.fields.setVisible(open_)
        self.header.setText("▾ Calibration" if open_ else f"▸ {summarize(self.calibration)}")


def summarize(calibration: Calibration) -> str:
    """Return what is known of angles and steps, in one line."""
    known = calibration
    parts = [
        f"{known.convergence_mrad:.3g} mrad" if known.convergence_mrad else "",
        f"{known.mrad_per_px:.3g} mrad/px" if known.mrad_per_px else "",
        f"step {known.scan_step_A:.3g} Å" if known.scan_step_A else "no scan step",
        f"turned {known.rotation_deg:g}°" if known.rotation_deg else "",
        "flipped" if known.flip else "",
        f"crystal {known.crystal_angle_deg:g}°" if known.crystal_angle_deg else "",
    ]
    return ", ".join(part for part in parts if part)


def _quantity(suffix: str, highest: float, step: float, tooltip: str, decimals: int = 3) -> QDoubleSpinBox:
    field = _spin(suffix, tooltip, decimals)
    field.setRange(0.0, highest)
    field.setSingleStep(step)
    field.setSpecialValueText(NOT_KNOWN)
    return field


def _angle(tooltip: str) -> QDoubleSpinBox:
    field = _spin("°", tooltip, 2)
    field.setRange(-360.0, 360.0)
    field.setSingleStep(0.5)
    return field


def _spin(suffix: str, tooltip: str, decimals: int) -> QDoubleSpinBox:
    field = QDoubleSpinBox()
    field.setDecimals(decimals)
    field.setSuffix(suffix)
    field.setToolTip(tooltip)
    field.setKeyboardTracking(False)
    field.setAlignment(Qt.AlignmentFlag.AlignRight)
    return field
