"""What a map is compared with: a direction, a layer that the user paints, or a saved map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QPushButton, QWidget
from superqt.utils import qdebounced

from napari_polarmap.core.directions import COLORS, LABELS, N_DIRECTIONS, UNDEFINED, Direction
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.pipeline.layers import ROLE_KEY, result_calibration, scan_geometry
from napari_polarmap.pipeline.review import read_reference
from napari_polarmap.widgets.section import fit_width
from napari_polarmap.widgets.workers import tell_error

PAINTED_ROLE = "reference"
LIVE_MS = 150
"""Painting is followed after a pause of this length."""

Reference = int | NDArray[np.uint8] | None


def classes_of(layer: Labels) -> NDArray[np.uint8]:
    """Return the classes of a layer with the labels 1 to 8 of the direction map; any other label is undefined."""
    label = np.asarray(layer.data)
    told = (label >= 1) & (label <= N_DIRECTIONS)
    return np.where(told, label - 1, UNDEFINED).astype(np.uint8)


def paint_layer(result: PolarizationMap) -> Labels:
    """Return an empty layer over a map, to paint directions into; the brush starts with the commonest one."""
    colors: dict[int | None, Any] = {None: "transparent", 0: "transparent"}
    colors |= {index + 1: color for index, color in enumerate(COLORS)}
    layer = Labels(
        np.zeros(result.scan_shape, np.uint8),
        name="Reference (paint)",
        colormap=DirectLabelColormap(color_dict=colors),
        features={"index": list(range(N_DIRECTIONS + 1)), "direction": ["undefined", *LABELS]},
        metadata={ROLE_KEY: PAINTED_ROLE},
        opacity=0.6,
        **scan_geometry(result_calibration(result)),
    )
    told = result.domain[result.domain != UNDEFINED]
    layer.selected_label = 1 + (int(np.bincount(told).argmax()) if told.size else 0)
    layer.brush_size = max(1, min(result.scan_shape) // 6)
    layer.mode = "paint"
    return layer


class ReferenceBox(QWidget):
    """List of what a map can be compared with, and buttons for a painted and a saved reference.

    Signals
    -------
    changed(object)
        The reference: class, map of classes or None. Also while its layer is painted.
    """

    changed = Signal(object)

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._result: PolarizationMap | None = None
        self._followed: Labels | None = None
        self.box = QComboBox()
        fit_width(self.box)
        self.box.addItem("none", None)
        for direction in Direction:
            self.box.addItem(f"{direction.name}  {direction.angle_deg:.0f}°", direction)
        self.box.setToolTip(
            "What is known of this specimen: one direction, a labels layer (labels 1 to 8 are the directions), "
            "or a saved map.\nPositions with another direction are marked with a cross."
        )
        self.paint = QPushButton("Paint")
        self.paint.setToolTip("Add a labels layer and paint the directions that are known into it")
        self.file = QPushButton("File…")
        self.file.setToolTip("Compare with a saved result, or with the truth in a simulated scan")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.box, 1)
        layout.addWidget(self.paint)
        layout.addWidget(self.file)
        self._tell_soon = qdebounced(self._tell, timeout=LIVE_MS)
        self.box.currentIndexChanged.connect(self._on_chosen)
        self.paint.clicked.connect(self._on_paint)
        self.file.clicked.connect(self._on_file)
        viewer.layers.events.inserted.connect(self._on_layers)
        viewer.layers.events.removed.connect(self._on_layers)
        self.show_map(None)

    def detach(self) -> None:
        """Let go of the viewer."""
        self._tell_soon.cancel()
        self._follow(None)
        self._viewer.layers.events.inserted.disconnect(self._on_layers)
        self._viewer.layers.events.removed.disconnect(self._on_layers)

    def show_map(self, result: PolarizationMap | None) -> None:
        """Offer what fits this map."""
        self._result = result
        self.paint.setEnabled(result is not None)
        self.file.setEnabled(result is not None)
        self._on_layers()

    @property
    def reference(self) -> Reference:
        """What is chosen, as the comparison takes it; None if it does not fit the map."""
        chosen = self.box.currentData()
        chosen = classes_of(chosen) if isinstance(chosen, Labels) else chosen
        if isinstance(chosen, np.ndarray) and (self._result is None or chosen.shape != self._result.scan_shape):
            return None
        return None if chosen is None else chosen if isinstance(chosen, np.ndarray) else int(chosen)

    def open_file(self, path: Path) -> None:
        """Compare with a file."""
        if self._result is None:
            return
        try:
            classes = read_reference(path, self._result.scan_shape)
        except (OSError, ValueError) as error:
            tell_error(error)
            return
        self.box.addItem(path.name, classes)
        self.box.setCurrentIndex(self.box.count() - 1)

    def _on_layers(self, event: Any = None) -> None:
        """Keep the labels layers in the list up to date; what is chosen stays chosen."""
        listed = [index for index in range(self.box.count()) if isinstance(self.box.itemData(index), Labels)]
        there = [] if self._result is None else [layer for layer in self._viewer.layers if self._fits(layer)]
        for index in reversed(listed):
            if not any(self.box.itemData(index) is layer for layer in there):
                if index == self.box.currentIndex():
                    self.box.setCurrentIndex(0)
                self.box.removeItem(index)
        known = [self.box.itemData(index) for index in range(self.box.count())]
        for layer in there:
            if not any(entry is layer for entry in known):
                self.box.addItem(f"layer: {layer.name}", layer)

    def _fits(self, layer: Any) -> bool:
        return (
            isinstance(layer, Labels)
            and tuple(layer.data.shape) == self._result.scan_shape
            and layer.metadata.get(ROLE_KEY) in (None, PAINTED_ROLE)
        )

    def _on_paint(self) -> None:
        layer = paint_layer(self._result)
        self._viewer.add_layer(layer)
        self._viewer.layers.selection.active = layer
        self._on_layers()
        for index in range(self.box.count()):
            if self.box.itemData(index) is layer:
                self.box.setCurrentIndex(index)

    def _on_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Compare with", "", "Results and scans (*.h5 *.hdf5)")
        if name:
            self.open_file(Path(name))

    def _on_chosen(self) -> None:
        chosen = self.box.currentData()
        self._follow(chosen if isinstance(chosen, Labels) else None)
        self._tell()

    def _follow(self, layer: Labels | None) -> None:
        """Hear of every change of a painted layer."""
        for each, connect in ((self._followed, False), (layer, True)):
            if each is not None:
                for event in (each.events.paint, each.events.labels_update, each.events.data):
                    (event.connect if connect else event.disconnect)(self._on_painted)
        self._followed = layer

    def _on_painted(self, event: Any = None) -> None:
        self._tell_soon()

    def _tell(self) -> None:
        self.changed.emit(self.reference)
