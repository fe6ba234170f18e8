"""Step 4: judge the map: irregular positions, a reference, and how dense the arrows are."""

from __future__ import annotations

import math

from napari.components import ViewerModel
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QLabel, QSlider, QVBoxLayout, QWidget

from napari_polarmap.core.regions import Region
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.pipeline.layers import default_spacing_px
from napari_polarmap.pipeline.mapping import MapParams
from napari_polarmap.widgets.reference import ReferenceBox
from napari_polarmap.widgets.region_table import RegionTable
from napari_polarmap.widgets.section import Form

LOWEST, HIGHEST, STEPS = 1e-4, 0.5, 100
"""Ends of the false-discovery rate's slider, logarithmic, and its steps."""


class ReviewPanel(QWidget):
    """Threshold of irregularity, table of the irregular regions, reference and spacing of the arrows.

    Signals
    -------
    fdr_changed(float), reference_changed(object), spacing_changed(int), region_chosen(object)
        The reference is a class, a map of classes or None.
    """

    fdr_changed = Signal(float)
    reference_changed = Signal(object)
    spacing_changed = Signal(int)
    region_chosen = Signal(object)

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.fdr_slider = QSlider(Qt.Orientation.Horizontal)
        self.fdr_slider.setRange(0, STEPS)
        self.fdr_slider.setToolTip(
            "False-discovery rate [0.0001 to 0.5]: the share of the marked positions that is expected to be chance.\n"
            "Smaller marks fewer positions, more surely."
        )
        self.fdr_value = QLabel()
        self.fdr_value.setMinimumWidth(48)
        self.count = QLabel()
        self.differ = QLabel()
        self.regions = RegionTable()
        self.reference = ReferenceBox(viewer)
        self.spacing = QSlider(Qt.Orientation.Horizontal)
        self.spacing.setRange(1, 16)
        self.spacing.setToolTip("Scan positions from one arrow to the next")
        self.spacing_value = QLabel()
        self.spacing_value.setMinimumWidth(48)
        form = Form()
        form.add("FDR", self.fdr_slider, self.fdr_value)
        form.add_wide(self.count)
        form.add_wide(self.regions)
        form.add("Reference", self.reference)
        form.add_wide(self.differ)
        form.add("Arrows", self.spacing, self.spacing_value)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        self.fdr_slider.valueChanged.connect(self._on_fdr)
        self.reference.changed.connect(self.reference_changed)
        self.regions.chosen.connect(self.region_chosen)
        self.spacing.valueChanged.connect(self._on_spacing)
        self.set_fdr(MapParams().fdr)
        self.show_map(None)
        self._on_spacing(self.spacing.value())

    @property
    def fdr(self) -> float:
        """False-discovery rate of the slider, two digits."""
        share = self.fdr_slider.value() / STEPS
        value = math.exp(math.log(LOWEST) + share * (math.log(HIGHEST) - math.log(LOWEST)))
        return float(f"{value:.2g}")

    def set_fdr(self, fdr: float) -> None:
        """Move the slider."""
        share = (math.log(fdr) - math.log(LOWEST)) / (math.log(HIGHEST) - math.log(LOWEST))
        self.fdr_slider.setValue(round(share * STEPS))
        self.fdr_value.setText(f"{self.fdr:g}")

    def show_map(self, result: PolarizationMap | None, regions: list[Region] | None = None) -> None:
        """Say how many positions are marked, and which regions they form."""
        self.reference.show_map(result)
        self.regions.show_regions(regions or [])
        if result is None:
            self.differ.hide()
            self.count.setText("No map yet.")
            return
        n = result.irregular.size
        marked = int(result.irregular.sum())
        self.count.setText(f"{marked} of {n} positions irregular ({100 * marked / n:.1f} %)")
        self.differ.setVisible(result.misclassified is not None)
        if result.misclassified is not None:
            differ = int(result.misclassified.sum())
            self.differ.setText(f"{differ} of {n} positions differ ({100 * differ / n:.1f} %)")

    def show_spacing(self, scan_shape: tuple[int, int]) -> None:
        """Set the arrows to the spacing that suits a map of this shape."""
        suitable = default_spacing_px(scan_shape)
        self.spacing.blockSignals(True)
        self.spacing.setRange(1, max(16, 2 * suitable))
        self.spacing.setValue(suitable)
        self.spacing.blockSignals(False)
        self.spacing_value.setText(f"1 in {self.spacing.value()}")

    def _on_fdr(self) -> None:
        self.fdr_value.setText(f"{self.fdr:g}")
        self.fdr_changed.emit(self.fdr)

    def _on_spacing(self, spacing: int) -> None:
        self.spacing_value.setText(f"1 in {spacing}")
        self.spacing_changed.emit(spacing)
