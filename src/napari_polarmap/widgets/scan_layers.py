"""The scans that the layers of a viewer carry."""

from __future__ import annotations

from napari.components import ViewerModel
from napari.layers import Layer
from qtpy.QtCore import QObject, Signal

from napari_polarmap.core.data import Scan4D
from napari_polarmap.pipeline.layers import SCAN_KEY


class ScanLayers(QObject):
    """Watches which scans are in a window, and their calibrations.

    Signals
    -------
    listed()
        A layer came or went.
    recalibrated()
        A layer was given a scan with another calibration.
    """

    listed = Signal()
    recalibrated = Signal()

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._watched: list[Layer] = []
        for event in (viewer.layers.events.inserted, viewer.layers.events.removed):
            event.connect(self._on_layers)
        self._watch()

    def detach(self) -> None:
        """Let go of the viewer."""
        for event in (self._viewer.layers.events.inserted, self._viewer.layers.events.removed):
            event.disconnect(self._on_layers)
        self._leave()

    @property
    def scans(self) -> list[Scan4D]:
        """Scans of all layers, the lowest first."""
        return [layer.metadata[SCAN_KEY] for layer in self._watched if SCAN_KEY in layer.metadata]

    def same(self, scan: Scan4D | None) -> Scan4D | None:
        """Return the scan with these data as the layers have it now."""
        return next((entry for entry in self.scans if scan is not None and entry.data is scan.data), None)

    def _watch(self) -> None:
        self._watched = [layer for layer in self._viewer.layers if SCAN_KEY in layer.metadata]
        for layer in self._watched:
            layer.events.metadata.connect(self._on_metadata)

    def _leave(self) -> None:
        for layer in self._watched:
            layer.events.metadata.disconnect(self._on_metadata)
        self._watched = []

    def _on_layers(self, event: object = None) -> None:
        self._leave()
        self._watch()
        self.listed.emit()

    def _on_metadata(self, event: object = None) -> None:
        self.recalibrated.emit()
