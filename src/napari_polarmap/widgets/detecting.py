"""The virtual detector that is dragged, and its image."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from numpy.typing import NDArray
from qtpy.QtCore import QObject

from napari_polarmap.core.virtual_detector import VirtualDetector
from napari_polarmap.pipeline.explorer_layers import virtual_layer
from napari_polarmap.pipeline.layer_base import ROLE_KEY
from napari_polarmap.pipeline.virtual_images import BinnedScan, binned_steps, virtual_image_steps
from napari_polarmap.widgets.detector_panel import DetectorPanel
from napari_polarmap.widgets.detector_view import DetectorView
from napari_polarmap.widgets.explored import Explored
from napari_polarmap.widgets.map_layers import MapLayers
from napari_polarmap.widgets.preferences import preferences
from napari_polarmap.widgets.workers import Jobs, Latest, tell_error


class Detecting(QObject):
    """Lets the image follow the detector: at once from a copy in memory, exactly when it is let go."""

    def __init__(
        self, viewer: ViewerModel, explored: Explored, view: DetectorView, panel: DetectorPanel, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._explored, self._view, self._panel = explored, view, panel
        self._viewer = viewer
        self._layers = MapLayers(viewer)
        self._reading, self._live = Jobs(self), Latest(self)
        self.binned: BinnedScan | None = None
        panel.changed.connect(self._on_panel)
        panel.keep_clicked.connect(self.keep)
        panel.progress.cancelled.connect(self._cancel)
        view.dragged.connect(self._on_dragged)
        view.settled.connect(self._on_settled)
        explored.chosen.connect(self._on_chosen)
        explored.changed.connect(self._on_changed)
        self._on_chosen()

    def detach(self) -> None:
        """Stop all work."""
        self._reading.stop()
        self._live.stop()
        self.binned = None

    def keep(self) -> None:
        """Leave the present image in the window; a new one follows from now on."""
        layer = self._layers.layer("virtual", self._explored.scan.data)
        if layer is not None:
            kind = self._panel.detector.kind
            layer.name = f"{layer.name} ({kind})"
            layer.metadata = {**layer.metadata, ROLE_KEY: "kept virtual image"}
            self._look()

    def _on_panel(self, detector: VirtualDetector | None) -> None:
        self._view.set_detector(detector)
        if detector is None:
            self._cancel()
            self._layers.remove("virtual", self._explored.scan.data)
            return
        self._look()
        self._on_settled(detector)

    def _on_dragged(self, detector: VirtualDetector) -> None:
        self._panel.show_detector(detector)
        self._look()

    def _on_settled(self, detector: VirtualDetector) -> None:
        """Read the image from the file where the copy in memory is coarser."""
        if self.binned is None or self.binned.exact or not self._weights().any():
            return
        self._panel.progress.start("virtual image")
        self._reading.start(
            virtual_image_steps,
            self._explored.scan,
            self._weights(),
            yielded=self._panel.progress.show_progress,
            returned=self._show,
            errored=tell_error,
            finished=self._panel.progress.finish,
        )

    def _look(self) -> None:
        """Show the image of the detector as it is now; the scan is read into memory first."""
        if self.binned is not None:
            self._live.ask(self.binned.image, self._weights(), returned=self._show)
        elif not self._reading.busy:
            self._panel.progress.start("reading the scan")
            self._reading.start(
                binned_steps,
                self._explored.scan,
                preferences().explorer.memory_mb * 2**20,
                yielded=self._panel.progress.show_progress,
                returned=self._on_binned,
                errored=tell_error,
                aborted=lambda: self._panel.begin(None),
                finished=self._panel.progress.finish,
            )

    def _on_binned(self, binned: BinnedScan) -> None:
        self.binned = binned
        coarse = f"While it is dragged, squares of {binned.bin_px} px count as one; exact when let go."
        self._panel.said.setText("" if binned.exact else coarse)
        self._panel.said.setVisible(not binned.exact)
        if self._panel.detector is not None:
            self._look()
            self._on_settled(self._panel.detector)

    def _weights(self) -> NDArray[np.float32]:
        return self._panel.detector.weights(self._explored.scan.detector_shape)

    def _show(self, image: NDArray[np.float32]) -> None:
        if self._panel.detector is not None:
            layer = self._layers.put(virtual_layer(self._explored.scan, image))
            if not layer.visible:
                layer.visible = True

    def _cancel(self) -> None:
        self._live.stop()
        self._reading.cancel()

    def _on_chosen(self) -> None:
        self.detach()
        self._panel.progress.finish()
        self._panel.said.hide()
        self._panel.show_detector(None)
        self._view.set_detector(None)
        self._panel.kind.setEnabled(self._explored.scan is not None)
        self._on_changed()

    def _on_changed(self) -> None:
        scan, inspection = self._explored.scan, self._explored.inspection
        if scan is None:
            return
        rows, columns = scan.detector_shape
        center, radius = ((rows - 1) / 2, (columns - 1) / 2), min(rows, columns) / 4
        if inspection is not None:
            center, radius = inspection.disk.center_px, inspection.disk.radius_px
        self._panel.set_disk(center, radius, self._explored.mrad_per_px)
