"""Pinned positions and the mean over a drawn region, in the window and in the panel."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Shapes
from numpy.typing import NDArray
from qtpy.QtCore import QObject
from superqt.utils import qdebounced

from napari_polarmap.pipeline.explorer_layers import drawn_options, pin_layer
from napari_polarmap.pipeline.virtual_images import mean_pattern_steps
from napari_polarmap.widgets.compare_panel import REGION, ComparePanel, Pinned
from napari_polarmap.widgets.explored import Explored
from napari_polarmap.widgets.follower import Follower
from napari_polarmap.widgets.map_layers import MapLayers
from napari_polarmap.widgets.workers import Jobs


class DrawnShapes(QObject):
    """A layer of shapes that the user draws into, and who hears of every change a moment later."""

    def __init__(self, viewer: ViewerModel, heard: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.layer: Shapes | None = None
        self.heard = qdebounced(heard, timeout=80)

    def draw(self, options: dict[str, Any], mode: str) -> None:
        """Let the user draw; a layer is added where there is none."""
        if self.layer is None or self.layer not in self._viewer.layers:
            self.forget()
            self.layer = Shapes(ndim=2, **options)
            self._viewer.add_layer(self.layer)
            self.layer.events.set_data.connect(self._on_change)
        self._viewer.layers.selection.active = self.layer
        self.layer.mode = mode

    def remove(self) -> None:
        """Take the layer out of the window."""
        layer = self.layer
        self.forget()
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def forget(self) -> None:
        """Hear no more of the layer."""
        self.heard.cancel()
        if self.layer is not None:
            self.layer.events.set_data.disconnect(self._on_change)
            self.layer = None

    def _on_change(self, event: Any = None) -> None:
        self.heard()


class Comparing(QObject):
    """Keeps the panel, the marks in the window and the patterns together."""

    def __init__(
        self, viewer: ViewerModel, explored: Explored, follower: Follower, panel: ComparePanel, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._explored, self._follower, self._panel = explored, follower, panel
        self._viewer = viewer
        self._layers = MapLayers(viewer)
        self._jobs = Jobs(self)
        self._mask: NDArray[np.bool_] | None = None
        self.region = DrawnShapes(viewer, self.average, self)
        panel.pin_clicked.connect(self.pin)
        panel.region_clicked.connect(self._draw)
        panel.changed.connect(self._on_panel)
        panel.progress.cancelled.connect(self._jobs.cancel)
        explored.chosen.connect(self._on_chosen)
        self._on_chosen()

    def detach(self) -> None:
        """Stop all work and let go of the viewer."""
        self._jobs.stop()
        self.region.forget()

    def pin(self) -> None:
        """Keep the pattern at the cursor."""
        position, pattern, name = self._follower.position, self._follower.pattern, self._panel.next_name()
        known = [entry.position for entry in self._panel.pinned]
        if position is None or pattern is None or name is None or position in known:
            return
        caption = f"{position[0]}, {position[1]}"
        overlay = self._explored.overlay(pattern, position)
        self._panel.keep(Pinned(name=name, caption=caption, pattern=pattern, overlay=overlay, position=position))

    def average(self) -> None:
        """Take the mean over the region again."""
        layer, scan = self.region.layer, self._explored.scan
        if layer is None or scan is None or len(layer.data) == 0:
            return
        mask = layer.to_masks(scan.scan_shape).any(axis=0)
        if self._mask is not None and np.array_equal(mask, self._mask):
            return
        self._mask = mask
        self._panel.progress.start("averaging")
        self._jobs.start(
            mean_pattern_steps,
            scan,
            mask,
            yielded=self._panel.progress.show_progress,
            returned=self._on_mean,
            errored=self._on_error,
            finished=self._panel.progress.finish,
        )

    def _on_mean(self, pattern: NDArray[np.float64]) -> None:
        caption = f"{int(self._mask.sum())} pos."
        overlay = self._explored.overlay(pattern, self._mask)
        self._panel.keep(Pinned(name=REGION, caption=caption, pattern=pattern, overlay=overlay))

    def _on_error(self, error: Exception) -> None:
        self._mask = None
        self._panel.say(str(error))

    def _draw(self) -> None:
        if self._explored.scan is not None:
            self.region.draw(drawn_options(self._explored.scan, "region", "region"), "add_rectangle")

    def _on_panel(self) -> None:
        """Mark in the window what is pinned."""
        scan = self._explored.scan
        pinned = [entry for entry in self._panel.pinned if entry.position is not None]
        if REGION not in [entry.name for entry in self._panel.pinned] and self._mask is not None:
            self._mask = None
            self.region.remove()
        if scan is None:
            return
        if pinned:
            self._layers.put(pin_layer(scan, [entry.position for entry in pinned], [entry.name for entry in pinned]))
        else:
            self._layers.remove("pins", scan.data)

    def _on_chosen(self) -> None:
        self._jobs.stop()
        self.region.forget()
        self._mask = None
        self._panel.clear()
        for button in (self._panel.pin_button, self._panel.region_button):
            button.setEnabled(self._explored.scan is not None)
