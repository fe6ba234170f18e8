"""The maps that the layers of a viewer carry."""

from __future__ import annotations

from napari.components import ViewerModel
from napari.layers import Layer
from qtpy.QtCore import QObject, Signal

from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.pipeline.layers import MAP_KEY


class FollowedMaps(QObject):
    """Watches which maps are in a window, and when their data are exchanged.

    Signals
    -------
    listed()
        A layer came or went.
    exchanged()
        A layer of a map was given other data.
    """

    listed = Signal()
    exchanged = Signal()

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._followed: list[Layer] = []
        for event in (viewer.layers.events.inserted, viewer.layers.events.removed):
            event.connect(self._on_layers)
        self._follow([layer for layer in viewer.layers if MAP_KEY in layer.metadata])

    def detach(self) -> None:
        """Let go of the viewer."""
        for event in (self._viewer.layers.events.inserted, self._viewer.layers.events.removed):
            event.disconnect(self._on_layers)
        self._follow([])

    @property
    def maps(self) -> list[PolarizationMap]:
        """Maps of all layers that carry one, the lowest first; several layers may carry the same."""
        return [layer.metadata[MAP_KEY] for layer in self._followed]

    def _on_layers(self, event: object = None) -> None:
        self._follow([layer for layer in self._viewer.layers if MAP_KEY in layer.metadata])
        self.listed.emit()

    def _follow(self, layers: list[Layer]) -> None:
        for layer in self._followed:
            layer.events.data.disconnect(self._on_data)
        self._followed = layers
        for layer in layers:
            layer.events.data.connect(self._on_data)

    def _on_data(self, event: object = None) -> None:
        self.exchanged.emit()
