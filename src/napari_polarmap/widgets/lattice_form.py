"""Fields for the scan's lattice: the one found, or what the user knows better."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QPushButton, QVBoxLayout, QWidget

from napari_polarmap.core.lattice import Lattice, lattice_from_vectors
from napari_polarmap.widgets.section import Form, fold_button


class LatticeForm(QWidget):
    """Shows the lattice that windows cancel, and lets the user correct it.

    Signals
    -------
    changed()
        Another lattice or reach was entered.
    shown(bool)
        The lattice shall be drawn over the image, or not.
    """

    changed = Signal()
    shown = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._found: Lattice | None = None
        self._edited = False
        self.header = fold_button("Unit cell of the scan, which windows average over; click to see or change it")
        self.header.toggled.connect(self._show_summary)
        self.fields = QWidget()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.header)
        layout.addWidget(self.fields)
        form = Form(self.fields)
        tooltip = "{} lattice vector: rows (down), then columns (to the right) [scan positions]"
        self.vectors = [_component(tooltip.format(name)) for name in ("First", "First", "Second", "Second")]
        self.found_button = QPushButton("Found")
        self.found_button.setToolTip("Go back to the lattice found in the virtual images")
        self.found_button.clicked.connect(self.restore)
        self.show_lattice = QCheckBox("on the image")
        self.show_lattice.setToolTip("Draw the lattice over the bright-field image: lines run through the dark columns")
        self.show_lattice.toggled.connect(self.shown)
        self.radius_px = _component(
            "Radius of the neighbourhood that is averaged where no lattice is found [scan positions]; 6 Å by default"
        )
        self.radius_px.setRange(0, 1000)
        self.radius_px.setSpecialValueText("6 Å")
        form.add("Vector 1", *self.vectors[:2])
        form.add("Vector 2", *self.vectors[2:])
        form.add("Draw", self.show_lattice, self.found_button)
        form.add("Else radius", self.radius_px)
        for field in self.vectors:
            field.valueChanged.connect(self._on_edit)
        self.radius_px.valueChanged.connect(self.changed)
        self._show_summary()

    @property
    def lattice(self) -> Lattice | None:
        """The lattice given, else the one found; None where there is neither."""
        values = [field.value() for field in self.vectors]
        if self._edited:
            try:
                return lattice_from_vectors(values)
            except ValueError:
                return None
        return self._found

    def params(self) -> dict[str, Any]:
        """Return the part of `MapParams` that is chosen here."""
        given = tuple(field.value() for field in self.vectors) if self._edited else None
        return {"lattice_px": given, "radius_px": self.radius_px.value() or None}

    def show_found(self, lattice: Lattice | None) -> None:
        """Show what was found; a lattice given before belongs to another scan and is forgotten."""
        self._found, self._edited = lattice, False
        known = lattice is not None and lattice.known
        values = np.round(lattice.vectors_px, 3).ravel() if known else np.zeros(4)
        for field, value in zip(self.vectors, values, strict=True):
            field.blockSignals(True)
            field.setValue(float(value))
            field.blockSignals(False)
        self._show_summary()

    def restore(self) -> None:
        """Go back to what was found."""
        self.radius_px.setValue(0)
        self.show_found(self._found)
        self.changed.emit()

    def _on_edit(self) -> None:
        self._edited = True
        self._show_summary()
        self.changed.emit()

    def _show_summary(self) -> None:
        open_ = self.header.isChecked()
        self.fields.setVisible(open_)
        self.found_button.setEnabled(self._edited)
        self.header.setText(f"{'▾' if open_ else '▸'} {self._summary()}")

    def _summary(self) -> str:
        lattice = self.lattice
        if self._edited and lattice is None:
            return "Unit cell: these vectors span none"
        if lattice is None or not lattice.known:
            return "Unit cell: not found; give it here"
        text = f"Unit cell: {lattice.period_px:.2f} positions, {round(lattice.angle_deg, 1) + 0:g}°"
        return f"{text} ({lattice.source})"


def _component(tooltip: str) -> QDoubleSpinBox:
    field = QDoubleSpinBox()
    field.setRange(-1000, 1000)
    field.setDecimals(3)
    field.setSingleStep(0.05)
    field.setToolTip(tooltip)
    field.setKeyboardTracking(False)
    field.setAlignment(Qt.AlignmentFlag.AlignRight)
    return field
