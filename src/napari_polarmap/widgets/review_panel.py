"""Step 4: judge the map: irregular positions and a reference."""

from __future__ import annotations

import math

from napari.components import ViewerModel
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QLabel, QSlider, QVBoxLayout, QWidget

from napari_polarmap.core.regions import Region
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.pipeline.mapping import MapParams
from napari_polarmap.widgets.reference import ReferenceBox
from napari_polarmap.widgets.region_table import RegionTable
from napari_polarmap.widgets.section import Form

LOWEST, HIGHEST, STEPS = 1e-4, 0.5, 100
"""Ends of the false-discovery rate's slider, logarithmic, and its steps."""


class ReviewPanel(QWidget):
    """Threshold of irregularity, table of the irregular regions, and reference.

    Signals
    -------
    fdr_changed(float), reference_changed(object), region_chosen(object)
        The reference is a class, a map of classes or None.
    """

    fdr_changed = Signal(float)
    reference_changed = Signal(object)
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
        form = Form()
        form.add("FDR", self.fdr_slider, self.fdr_value)
        form.add_wide(self.count)
        form.add_wide(self.regions)
        form.add("Reference", self.reference)
        form.add_wide(self.differ)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        self.fdr_slider.valueChanged.connect(self._on_fdr)
        self.reference.changed.connect(self.reference_changed)
        self.regions.chosen.connect(self.region_chosen)
        self.set_fdr(MapParams().fdr)
        self.show_map(None)

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

    def show_fdr(self, fdr: float) -> None:
        """Move the slider to the rate of a map without telling anybody."""
        self.fdr_slider.blockSignals(True)
        self.set_fdr(fdr)
        self.fdr_slider.blockSignals(False)
        self.fdr_value.setText(f"{fdr:g}")

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
        text = f"{marked} of {n} positions irregular ({100 * marked / n:.1f} %)"
        rate = result.provenance.get("parameters", {}).get("fdr", self.fdr)
        if marked:
            lowest = float(result.irregularity[result.irregular].min())
            text += f"\nscore from {lowest:.1f} σ; about {rate * marked:.0f} of them by chance"
        self.count.setText(text)
        self.differ.setVisible(result.misclassified is not None)
        if result.misclassified is not None:
            differ = int(result.misclassified.sum())
            self.differ.setText(f"{differ} of {n} positions differ ({100 * differ / n:.1f} %)")

    def _on_fdr(self) -> None:
        self.fdr_value.setText(f"{self.fdr:g}")
        self.fdr_changed.emit(self.fdr)
