"""Step 2: the direct disk that was found, how it is followed over the scan, and the scan's lattice."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QPushButton, QSpinBox, QVBoxLayout, QWidget

from napari_polarmap.pipeline.inspection import Inspection
from napari_polarmap.pipeline.mapping import MapParams
from napari_polarmap.widgets.lattice_form import LatticeForm
from napari_polarmap.widgets.progress_row import ProgressRow
from napari_polarmap.widgets.section import Form, fit_width, note

CENTERS = {
    "plane": "plane (descan)",
    "global": "same everywhere",
    "position": "each position",
}


class DiskPanel(QWidget):
    """Shows disk and descan; chooses the centre and the crop.

    Signals
    -------
    changed()
        Another centre, crop or lattice was chosen.
    measure_clicked()
    """

    changed = Signal()
    measure_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.found = note()
        self.found.setText("Open a scan first.")
        self.progress = ProgressRow("the measurement of disk and unit cell")
        self.measure_button = QPushButton("Measure")
        self.measure_button.setToolTip(
            "Read all patterns once and measure disk [px], its drift and the unit cell again"
        )
        self.measure_button.setEnabled(False)
        self.measure_button.clicked.connect(self.measure_clicked)
        self.center = QComboBox()
        for key, text in CENTERS.items():
            self.center.addItem(text, key)
        fit_width(self.center)
        self.center.setToolTip(
            "Where the direct disk is looked for in each pattern.\n"
            "Plane: the disk drifts evenly over the scan, as imperfect descan does; fitted to the centres of mass.\n"
            "Same everywhere: one centre for all patterns.\n"
            "Each position: the centre of mass itself; follows atom columns too, so only for strong random drift."
        )
        self.crop_px = QSpinBox()
        self.crop_px.setRange(0, 4096)
        self.crop_px.setSuffix(" px")
        self.crop_px.setSpecialValueText("fits the classifier")
        self.crop_px.setKeyboardTracking(False)
        self.crop_px.setToolTip(
            "Edge of the square around the disk that is classified [detector pixels].\n"
            "At 0 it is as large as the patterns the classifier was trained on."
        )
        form = Form()
        form.add("Disk centre", self.center, self.measure_button)
        form.add("Crop", self.crop_px)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.found)
        layout.addWidget(self.progress)
        layout.addLayout(form)
        self.lattice = LatticeForm()
        layout.addWidget(self.lattice)
        self.lattice.changed.connect(self.changed)
        self.center.currentIndexChanged.connect(self.changed)
        self.crop_px.valueChanged.connect(self.changed)
        self.restore()

    def restore(self) -> None:
        """Go back to the defaults of `MapParams`."""
        defaults = MapParams()
        self.center.setCurrentIndex(self.center.findData(defaults.center))
        self.crop_px.setValue(defaults.crop_px or 0)
        self.lattice.restore()

    def params(self) -> dict[str, Any]:
        """Return the part of `MapParams` that is chosen here."""
        chosen = {"center": self.center.currentData(), "crop_px": self.crop_px.value() or None}
        return chosen | self.lattice.params()

    def show_measuring(self) -> None:
        """Say that the disk is being measured."""
        self.found.setText("Looking for the direct disk and its drift …")
        self.measure_button.setEnabled(False)
        self.progress.start("opening")

    def show_found(self, inspection: Inspection) -> None:
        """Say what was found in a scan."""
        self.lattice.show_found(inspection.lattice)
        self.show_disk(inspection)

    def show_disk(self, inspection: Inspection) -> None:
        """Say where the disk is."""
        disk = inspection.disk
        y, x = disk.center_px
        place = f"Disk at row {y:.2f}, column {x:.2f} px; radius {disk.radius_px:.2f} px"
        lines = [f"{place}; rim residual {100 * disk.residual:.1f} %"]
        # Here the convergence angle is asked for; none is assumed.
        lines += [note for note in inspection.notes if "was assumed" not in note]
        self.found.setText("\n".join(lines))
        self._on_measured()

    def show_text(self, text: str) -> None:
        """Say something else, for instance why there is no disk."""
        self.found.setText(text)
        self._on_measured()

    def _on_measured(self) -> None:
        self.progress.finish()
        self.measure_button.setEnabled(True)
