"""The map that is shown, and how its judging changes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from qtpy.QtCore import QObject, Signal

from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.irregularity import irregular_at
from napari_polarmap.core.regions import Region
from napari_polarmap.io.display import Display, display_of
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.pipeline.layers import (
    MAP_KEY,
    SOURCE_KEY,
    LayerData,
    irregular_layer,
    misclassified_layer,
)
from napari_polarmap.pipeline.region_layer import region_layer
from napari_polarmap.pipeline.review import regions_of, with_fdr, with_reference
from napari_polarmap.plugin import result_of
from napari_polarmap.widgets.displaying import Displaying
from napari_polarmap.widgets.map_layers import MapLayers
from napari_polarmap.widgets.reference import Reference
from napari_polarmap.widgets.review_panel import ReviewPanel
from napari_polarmap.widgets.workers import Latest

AT_ONCE: Final = 256 * 256
"""Scan positions up to which regions are found while the window waits, some tenths of a second."""


class Judging(QObject):
    """Holds the current map; the review panel changes it and its layers follow.

    Signals
    -------
    changed()
        There is another map, or none, or it is judged differently.
    """

    changed = Signal()

    def __init__(
        self, layers: MapLayers, panel: ReviewPanel, displaying: Displaying, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.result: PolarizationMap | None = None
        self._source: object = None
        self._later = Latest(self)
        self._layers, self._panel, self._displaying = layers, panel, displaying
        panel.fdr_changed.connect(self._on_fdr)
        panel.reference_changed.connect(self._on_reference)
        panel.region_chosen.connect(self._on_region)

    def show(self, result: PolarizationMap, source: object) -> None:
        """Take a map that was computed and show its layers."""
        display = self._displaying.display_of(result, source)
        self._layers.show_map(result, source, display)
        self._layers.select("direction", source)
        self._take(result, source, display)

    def stop(self) -> None:
        """Stop judging."""
        self._later.stop()

    def clear(self) -> None:
        """Forget the map; its layers stay."""
        self.stop()
        self._take(None, None)

    def adopt(self, scan: Scan4D | None) -> None:
        """Take a map that is in the window already: of this scan, or opened as a file."""
        for layer in self._layers.all():
            result, source = layer.metadata.get(MAP_KEY), layer.metadata.get(SOURCE_KEY)
            if result is not None and belongs(result, source, scan):
                self._panel.show_fdr(result.provenance.get("parameters", {}).get("fdr", self._panel.fdr))
                self._take(result, source, display_of(result))
                return

    def to_save(self) -> PolarizationMap | None:
        """Return the map as its layers show it now: with their looks, and what was painted."""
        layers = self._layers.of(self._source)
        if self.result is None or not any(MAP_KEY in layer.metadata for layer in layers):
            return self.result
        return result_of("the map", [layer.as_layer_data_tuple() for layer in layers])

    def show_only(self, direction: int) -> None:
        """Show one direction of the map alone; all of them when it is shown alone already."""
        layer = self._layers.layer("direction", self._source)
        if layer is not None:
            alone = layer.show_selected_label and layer.selected_label == direction + 1
            layer.selected_label = direction + 1
            layer.show_selected_label = not alone

    def _take(self, result: PolarizationMap | None, source: object, display: Display | None = None) -> None:
        self.result, self._source = result, source
        self._displaying.take(result, source, display)
        self._panel.show_map(result, None if result is None else regions_of(result)[0])
        self.changed.emit()

    def _on_fdr(self, fdr: float) -> None:
        """Mark at once; where the map is large, its regions follow."""
        before = self.result
        if before is None:
            return
        if before.irregular.size <= AT_ONCE:
            self._change(with_fdr(before, fdr), irregular_layer, region_layer)
            return
        marked = replace(before, irregular=irregular_at(before.irregularity, fdr))
        self._layers.update(before, self._source, irregular_layer(marked))
        self._later.ask(with_fdr, before, fdr, returned=partial(self._on_judged, before, fdr))

    def _on_judged(self, before: PolarizationMap, fdr: float, result: PolarizationMap) -> None:
        if self.result is before:
            self._change(result, irregular_layer, region_layer)
        elif self.result is not None and fdr == self._panel.fdr:  # compared with another reference in the meantime
            self._on_fdr(fdr)

    def _on_region(self, region: Region) -> None:
        if self.result is not None:
            self._layers.zoom(region.box_px, self._source)

    def _on_reference(self, reference: Reference) -> None:
        if self.result is None:
            return
        result = with_reference(self.result, reference)
        if result.misclassified is None:
            self._layers.remove("misclassified", self._source)
            self._change(result)
        elif self._layers.layer("misclassified", self._source) is None:
            self._layers.add(misclassified_layer(result), self._source)
            self._change(result)
        else:
            self._change(result, misclassified_layer)

    def _change(self, result: PolarizationMap, *make_layers: Callable[[PolarizationMap], LayerData]) -> None:
        self._layers.update(result, self._source, *(make_layer(result) for make_layer in make_layers))
        self._take(result, self._source)


def belongs(result: PolarizationMap, source: object, scan: Scan4D | None) -> bool:
    """Tell whether a map in the window is one of the scan, or any map where there is no scan."""
    if scan is None or source is scan.data:
        return True
    if not isinstance(source, PolarizationMap) or result.scan_shape != scan.scan_shape or scan.path is None:
        return False
    stored = (result.provenance.get("input") or {}).get("path") or ""
    return Path(stored).name == scan.path.name
