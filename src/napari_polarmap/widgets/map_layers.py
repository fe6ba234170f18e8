"""Put the layers of a map into the viewer, and keep those that are there up to date."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer
from napari.utils.colormaps import DirectLabelColormap
from napari.utils.theme import get_theme
from qtpy.QtCore import QCoreApplication, QEventLoop

from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.directions import COLORS
from napari_polarmap.core.kinds import Kind
from napari_polarmap.core.lattice import Lattice
from napari_polarmap.io.display import Display
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.pipeline.layer_base import DARK
from napari_polarmap.pipeline.layers import (
    MAP_KEY,
    ROLE_KEY,
    SCAN_KEY,
    SCAN_ROLE,
    SOURCE_KEY,
    LayerData,
    lattice_layer,
    map_layers,
    scan_geometry,
    scan_layer,
)
from napari_polarmap.pipeline.region_layer import KIND_COLORS, REGION_ROLE
from napari_polarmap.widgets.direction_labels import make_layer


def warm_up() -> None:
    """Have napari compile what the first labels layer needs; a second or two, for a worker to spend."""
    labels = np.arange(len(COLORS) + 1, dtype=np.uint8)
    colors = {None: "transparent", **{int(label): "transparent" for label in labels}}
    DirectLabelColormap(color_dict=colors).map(labels)


PER_ITEM = {"vectors": ("edge_color", "edge_width")}
"""Options that belong to the data of a layer and not to the taste of its user."""


class MapLayers:
    """The layers of scans and their maps in a viewer.

    Layers that belong together share one object, their source: the data of the scan, or a
    result that was opened. What the user set on a layer (visibility, opacity, contrast,
    name) stays when its data are exchanged; a layer that the user deleted comes back with
    the next run only.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer

    @property
    def camera(self) -> Any:
        """The camera of the viewer."""
        return self._viewer.scene.camera

    @property
    def theme_changed(self) -> Any:
        """The event of the viewer's theme."""
        return self._viewer.events.theme

    def all(self) -> list[Layer]:
        """Return every layer of the viewer, the lowest first."""
        return list(self._viewer.layers)

    def of(self, source: object) -> list[Layer]:
        """Return the layers of a source, the lowest first."""
        return [layer for layer in self._viewer.layers if layer.metadata.get(SOURCE_KEY) is source]

    def layer(self, role: str, source: object) -> Layer | None:
        """Return the layer that shows one part of a map."""
        return next((layer for layer in self.of(source) if layer.metadata.get(ROLE_KEY) == role), None)

    def show_scan(self, scan: Scan4D, image: Any) -> None:
        """Show the bright-field image of a scan, in its layer where there is one."""
        data, options, kind = scan_layer(scan, image)
        layer = self.layer(SCAN_ROLE, scan.data)
        if layer is not None:
            layer.data, layer.contrast_limits, layer.name = data, options["contrast_limits"], options["name"]
            self.update_scan(scan)
            return
        first = len(self._viewer.layers) == 0
        self._add(data, options, kind)
        if first:
            self._viewer.reset_view()
            self._viewer.canvas.overlays.scale_bar.visible = True

    def show_lattice(self, scan: Scan4D, lattice: Lattice | None, image: Any) -> None:
        """Draw a lattice over the image of a scan, or take it away; the active layer stays the active one."""
        self.remove("lattice", scan.data)
        if lattice is not None and lattice.known:
            active = self._viewer.layers.selection.active
            self._add(*lattice_layer(scan, lattice, image))
            self._viewer.layers.selection.active = active

    def update_scan(self, scan: Scan4D) -> None:
        """Give the layers of a scan its new calibration."""
        geometry = scan_geometry(scan.calibration)
        for layer in self.of(scan.data):
            layer.scale, layer.units = geometry["scale"], geometry["units"]
            if SCAN_KEY in layer.metadata:
                layer.metadata = {**layer.metadata, SCAN_KEY: scan}

    def show_map(self, result: PolarizationMap, source: object, display: Display | None = None) -> None:
        """Add the layers of a map, or exchange the data of those that are there."""
        for data, options, kind in map_layers(result, display):
            options["metadata"][SOURCE_KEY] = source
            layer = self.layer(options["metadata"][ROLE_KEY], source)
            if layer is None:
                self._add(data, options, kind)
            elif SCAN_KEY not in layer.metadata:
                _exchange(layer, data, options, kind)

    def update(self, result: PolarizationMap, source: object, *layer_data: LayerData) -> None:
        """Let the layers of a map know the changed result, and exchange the data of those that are still there."""
        for layer in self.of(source):
            if MAP_KEY in layer.metadata:
                layer.metadata = {**layer.metadata, MAP_KEY: result}
        for data, options, kind in layer_data:
            layer = self.layer(options["metadata"][ROLE_KEY], source)
            if layer is not None:
                options["metadata"][SOURCE_KEY] = source
                _exchange(layer, data, options, kind)

    def color_by(self, colors: str, source: object) -> None:
        """Show the directions in eight colours (``class``) or the continuous ``angle``."""
        for role, name in (("direction", "class"), ("angle", "angle")):
            layer = self.layer(role, source)
            if layer is not None:
                layer.visible = name == colors

    def position_on_screen(self, source: object) -> float | None:
        """Return the edge of a scan position [screen px] at the present zoom; None where the map has no layer."""
        layer = self.layer("direction", source)
        return None if layer is None else float(layer.scale[-1] * self._viewer.scene.camera.zoom)

    def suit_theme(self) -> None:
        """Write the captions of walls, white as their outlines, dark where the canvas is light."""
        light = sum(get_theme(self._viewer.theme).canvas.as_rgb_tuple()[:3]) > 3 * 127
        for layer in self._viewer.layers:
            if layer.metadata.get(ROLE_KEY) == REGION_ROLE and len(layer.features):
                features = layer.features.copy()
                walls = features["kind"] == Kind.WALL.value
                features.loc[walls, "color"] = DARK if light else KIND_COLORS[Kind.WALL]
                if not features.equals(layer.features):
                    layer.features = features

    def remove(self, role: str, source: object) -> None:
        """Remove the layer of a role."""
        layer = self.layer(role, source)
        if layer is not None:
            self._viewer.layers.remove(layer)

    def select(self, role: str, source: object) -> None:
        """Make one layer the active one, which the status bar reads."""
        layer = self.layer(role, source)
        if layer is not None:
            self._viewer.layers.selection.active = layer

    def add(self, layer_data: LayerData, source: object) -> None:
        """Add one layer below the arrows; the active layer stays the active one."""
        data, options, kind = layer_data
        options["metadata"][SOURCE_KEY] = source
        layers = self._viewer.layers
        active, arrows = layers.selection.active, self.layer("arrows", source)
        place = len(layers) if arrows is None else layers.index(arrows)
        layers.insert(place, make_layer(data, options, kind))
        layers.selection.active = active

    def put(self, layer_data: LayerData) -> Layer:
        """Show a layer of the explorer, or exchange its data; the active layer stays the active one."""
        data, options, kind = layer_data
        metadata = options["metadata"]
        layer = self.layer(metadata[ROLE_KEY], metadata[SOURCE_KEY])
        if layer is not None:
            _exchange(layer, data, options, kind)
            for name in ("contrast_limits", "name"):
                if name in options:
                    setattr(layer, name, options[name])
            return layer
        active = self._viewer.layers.selection.active
        layer = make_layer(data, options, kind)
        self._viewer.add_layer(layer)
        if active is not None:
            self._viewer.layers.selection.active = active
        return layer

    def zoom(self, box_px: tuple[int, int, int, int], source: object, margin: float = 0.75) -> None:
        """Show a part of a map, first and last row and column in `box_px`, with some of its surroundings."""
        layer = self.layer("direction", source) or next(iter(self.of(source)), None)
        if layer is None:
            return
        top, left, bottom, right = box_px
        rows, columns = layer.data.shape[-2:] if layer._type_string in ("image", "labels") else (bottom + 1, right + 1)
        least = max(8.0, min(rows, columns) / 8)
        height, width = (max(end - start + 1.0, least) * (1 + margin) for start, end in ((top, bottom), (left, right)))
        scale = np.asarray(layer.scale[-2:])
        centre = np.asarray(layer.data_to_world(((top + bottom) / 2, (left + right) / 2)))[-2:]
        camera = self.camera
        camera.center = (camera.center[0], *centre)
        camera.zoom = float(np.min(np.array(self._viewer.canvas.size) / (np.array([height, width]) * scale)))

    def _add(self, data: Any, options: dict[str, Any], kind: str) -> None:
        self._viewer.add_layer(make_layer(data, options, kind))
        # A dozen layers take seconds on a slow screen; let the window draw in between.
        QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)


def _exchange(layer: Layer, data: Any, options: dict[str, Any], kind: str) -> None:
    layer.metadata = {**layer.metadata, **options["metadata"]}
    if kind == "shapes":
        _exchange_outlines(layer, data, options)
    else:
        layer.data = data
    layer.scale, layer.units = options["scale"], options["units"]
    if "features" in options and kind != "shapes":
        layer.features = options["features"]
    # a hidden layer is not sliced anew, and would be drawn with the colours of other vectors than it has
    with nullcontext() if layer.visible else layer.events.blocker_all():
        for name in PER_ITEM.get(kind, ()):
            setattr(layer, name, options[name])


def _exchange_outlines(layer: Layer, paths: list[Any], options: dict[str, Any]) -> None:
    """Exchange shapes whose number changes; their text is written last, when all it needs is there."""
    layer.text = None
    layer.data = []
    if paths:
        layer.add_paths(paths, edge_width=options["edge_width"], edge_color=options["edge_color"])
    layer.features = options["features"]
    layer.text = options["text"]
