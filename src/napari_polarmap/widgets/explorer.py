"""The pattern at the cursor beside the legend; both follow the mouse over the scan."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QGridLayout, QLabel, QWidget
from superqt.utils import qthrottled

from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.directions import UNDEFINED
from napari_polarmap.core.preprocessing import center_of_mass
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.pipeline.layers import MAP_KEY, SCAN_KEY, direction_shares, scan_geometry
from napari_polarmap.pipeline.reading import reading
from napari_polarmap.widgets.pattern_view import Overlay, PatternView
from napari_polarmap.widgets.wheel import DirectionWheel
from napari_polarmap.widgets.workers import Jobs

NOWHERE = "row –, column –"


class Explorer(QWidget):
    """Shows what is known of the scan position under the mouse."""

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._jobs = Jobs(self)
        self._scan: Scan4D | None = None
        self._result: PolarizationMap | None = None
        self._centers_px: NDArray[np.floating] | None = None
        self._radius_px: float | None = None
        self._crop_px: float | None = None
        self._waiting: tuple[int, int] | None = None
        self.position: tuple[int, int] | None = None
        self._build()
        self._on_move = qthrottled(self.look, timeout=20)
        viewer.mouse_move_callbacks.append(self._on_mouse)

    def detach(self) -> None:
        """Let go of the viewer."""
        self._jobs.stop()
        self._on_move.cancel()
        with contextlib.suppress(ValueError):
            self._viewer.mouse_move_callbacks.remove(self._on_mouse)

    def _build(self) -> None:
        self.view = PatternView()
        self.wheel = DirectionWheel()
        self.logarithmic = QCheckBox("log")
        self.logarithmic.setToolTip("Counts on a logarithmic scale (three decades); off: linear")
        self.logarithmic.toggled.connect(self.view.set_logarithmic)
        self.reading = QLabel(NOWHERE)
        self.reading.setToolTip(
            "Scan row and column under the mouse; direction of the map, probability that it is right,\n"
            "thickness with its standard error, specimen tilt, and the window the answer rests on"
        )
        self.reading.setTextFormat(Qt.TextFormat.PlainText)
        self.reading.setWordWrap(True)
        caption = QLabel("<b>Pattern at the cursor</b>")
        legend = QLabel("<b>Direction</b>")
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 2, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(caption, 0, 0)
        layout.addWidget(self.logarithmic, 0, 1, Qt.AlignmentFlag.AlignRight)
        layout.addWidget(legend, 0, 2)
        layout.addWidget(self.view, 1, 0, 1, 2)
        layout.addWidget(self.wheel, 1, 2)
        layout.addWidget(self.reading, 2, 0, 1, 3)
        layout.setColumnStretch(0, 3)
        layout.setColumnStretch(2, 3)
        layout.setRowStretch(1, 1)

    def set_scan(self, scan: Scan4D | None) -> None:
        """Follow another scan, or the same with another calibration."""
        if scan is None or self._scan is None or scan.data is not self._scan.data:
            self._jobs.stop()
            self._waiting = self.position = None
            self._centers_px = self._radius_px = self._crop_px = None
            self.view.set_pattern(None, Overlay())
            self.reading.setText(NOWHERE)
            self.set_result(None)
        self._scan = scan

    def set_disk(self, centers_px: NDArray[np.floating], radius_px: float, crop_px: float | None) -> None:
        """Draw the disk around its centre at each position, shape (scan_y, scan_x, 2), and the crop."""
        self._centers_px, self._radius_px, self._crop_px = centers_px, radius_px, crop_px
        self._draw(self.view.pattern)

    def set_result(self, result: PolarizationMap | None) -> None:
        """Read directions from a map."""
        self._result = result
        self.wheel.set_shares(None if result is None else direction_shares(result.domain))
        self._read()

    def look(self, row: int, column: int) -> None:
        """Show the pattern and the direction at a scan position."""
        if (row, column) == self.position:
            return
        self.position = (row, column)
        self._read()
        if self._jobs.busy:
            self._waiting = (row, column)
        else:
            self._fetch(row, column)

    def _on_mouse(self, viewer: ViewerModel, event: Any) -> None:
        place = self.place(viewer.cursor.position)
        if place is not None:
            self._on_move(*place)

    def place(self, world: Any) -> tuple[int, int] | None:
        """Return the scan row and column at a point of the canvas, or None outside the scan."""
        shape = self._shape()
        if shape is None:
            return None
        layer = self._layer()
        if layer is None:
            scale = scan_geometry(self._scan.calibration)["scale"] if self._scan else (1.0, 1.0)
            point = np.asarray(world[-2:]) / scale
        else:
            point = np.asarray(layer.world_to_data(world))[-2:]
        row, column = (int(value) for value in np.rint(point))
        return (row, column) if 0 <= row < shape[0] and 0 <= column < shape[1] else None

    def _shape(self) -> tuple[int, int] | None:
        if self._scan is not None:
            return self._scan.scan_shape
        return None if self._result is None else self._result.scan_shape

    def _layer(self) -> Layer | None:
        """Return a layer that lies on the scan grid of what is explored."""
        for layer in self._viewer.layers:
            scan, result = layer.metadata.get(SCAN_KEY), layer.metadata.get(MAP_KEY)
            on_grid = layer.ndim == 2 and layer._type_string in ("image", "labels")
            if on_grid and (
                (scan is not None and scan is self._scan) or (result is not None and result is self._result)
            ):
                return layer
        return None

    def _fetch(self, row: int, column: int) -> None:
        """Read a pattern in the background, so that a slow disk or a running map never holds up the window."""
        if self._scan is None:
            return
        self._jobs.start(
            self._scan.pattern, row, column, returned=self._draw, errored=self._on_error, finished=self._on_fetched
        )

    def _on_fetched(self) -> None:
        if self._waiting is not None:
            place, self._waiting = self._waiting, None
            self._fetch(*place)

    def _on_error(self, error: Exception) -> None:
        self.view.message = f"this pattern cannot be read ({error})"
        self.view.set_pattern(None)

    def _draw(self, pattern: NDArray[np.number] | None) -> None:
        if pattern is None or self.position is None:
            return
        overlay = Overlay()
        if self._centers_px is not None and self._radius_px is not None:
            y, x = self._centers_px[self.position]
            center = (float(y), float(x))
            crop = None if self._crop_px is None else (center, self._crop_px)
            overlay = Overlay(disk_px=(center, self._radius_px), com_px=self._com(pattern, center), crop_px=crop)
        self.view.set_pattern(pattern, overlay)

    def _com(self, pattern: NDArray[np.number], center: tuple[float, float]) -> tuple[float, float]:
        """Return the centre of mass inside 1.25 times the disk, as the map uses it."""
        y, x = np.ogrid[: pattern.shape[0], : pattern.shape[1]]
        near = np.hypot(y - center[0], x - center[1]) <= 1.25 * self._radius_px
        com = center_of_mass(np.maximum(np.nan_to_num(pattern), 0), near)
        return float(com[0]), float(com[1])

    def _read(self) -> None:
        """Say where the cursor is and what the map tells there."""
        if self.position is None:
            return
        row, column = self.position
        text = f"row {row}, column {column}"
        direction = UNDEFINED
        if self._result is not None and row < self._result.scan_shape[0] and column < self._result.scan_shape[1]:
            direction = int(self._result.domain[row, column])
            text += f"   {reading(self._result, row, column)}"
        self.reading.setText(text)
        self.wheel.set_active(None if direction == UNDEFINED else direction)
