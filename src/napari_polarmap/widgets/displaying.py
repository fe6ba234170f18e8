"""How the layers of the current map follow the display panel and the zoom."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject
from superqt.utils import qdebounced

from napari_polarmap.io.display import Display
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.pipeline.display_layers import angle_layer, arrow_layer, default_spacing_px, spacing_on_screen
from napari_polarmap.widgets.display_panel import DisplayPanel
from napari_polarmap.widgets.map_layers import MapLayers


class Displaying(QObject):
    """Holds how the map is shown; the layers follow the panel, arrows the zoom and captions the theme as well."""

    def __init__(self, layers: MapLayers, panel: DisplayPanel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._layers, self._panel = layers, panel
        self._result: PolarizationMap | None = None
        self._source: object = None
        self._shown = panel.display()
        self._zoom_soon = qdebounced(self._on_zoom, timeout=120)
        panel.changed.connect(self._on_panel)
        layers.camera.events.zoom.connect(self._zoom_soon)
        layers.theme_changed.connect(self._on_theme)

    def detach(self) -> None:
        """Let go of the viewer."""
        self._zoom_soon.cancel()
        self._layers.camera.events.zoom.disconnect(self._zoom_soon)
        self._layers.theme_changed.disconnect(self._on_theme)

    def display_of(self, result: PolarizationMap, source: object) -> Display:
        """Return how a map is to be shown: as chosen, with arrows that suit the zoom."""
        position = self._layers.position_on_screen(source)
        if position is None:
            spacing = default_spacing_px(result.scan_shape)
        else:
            spacing = spacing_on_screen(result.scan_shape, self._panel.distance.value(), position)
        return self._panel.display(spacing)

    def take(self, result: PolarizationMap | None, source: object, display: Display | None = None) -> None:
        """Follow another map, which is shown in some way already."""
        self._result, self._source = result, source
        if display is not None:
            self._panel.show_display(display)
            self._shown = display
        self._panel.show_map(result)
        if result is not None:
            self._layers.suit_theme()
            self._panel.show_spacing(self._shown.arrow_spacing_px or default_spacing_px(result.scan_shape))

    def _on_panel(self) -> None:
        before = self._shown
        self._refresh()
        if self._result is not None and before.colors != self._shown.colors:
            self._layers.color_by(self._shown.colors, self._source)

    def _on_theme(self, event: Any = None) -> None:
        self._layers.suit_theme()

    def _on_zoom(self, event: Any = None) -> None:
        if self._result is not None and self.display_of(self._result, self._source) != self._shown:
            self._refresh()

    def _refresh(self) -> None:
        if self._result is None:
            self._shown = self._panel.display()
            return
        before, self._shown = self._shown, self.display_of(self._result, self._source)
        self._panel.show_spacing(self._shown.arrow_spacing_px or 1)
        layers = [arrow_layer(self._result, self._shown)]
        if before.lightness != self._shown.lightness:
            layers.append(angle_layer(self._result, self._shown))
        self._layers.update(self._result, self._source, *layers)
