"""The scan position under the mouse, and its pattern."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal
from superqt.utils import qthrottled

from napari_polarmap.core.data import Scan4D
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.pipeline.layers import MAP_KEY, SCAN_KEY, scan_geometry
from napari_polarmap.widgets.workers import Latest


class Follower(QObject):
    """Follows the mouse over a scan.

    Patterns are read in the background, so that a slow disk or a running map never holds up the
    window; positions that the mouse has left meanwhile are left out.

    Signals
    -------
    looked(object)
        The pattern at `position`, which changes with it; None where there is a map without a scan.
    failed(object)
        The exception of a pattern that cannot be read.
    """

    looked = Signal(object)
    failed = Signal(object)

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._jobs = Latest(self)
        self.scan: Scan4D | None = None
        self.result: PolarizationMap | None = None
        self._asked: tuple[int, int] | None = None
        self.position: tuple[int, int] | None = None
        self.pattern: NDArray[np.number] | None = None
        self._on_move = qthrottled(self.look, timeout=20)
        viewer.mouse_move_callbacks.append(self._on_mouse)

    def detach(self) -> None:
        """Let go of the viewer."""
        self._jobs.stop()
        self._on_move.cancel()
        with contextlib.suppress(ValueError):
            self._viewer.mouse_move_callbacks.remove(self._on_mouse)

    def forget(self) -> None:
        """Leave the position."""
        self._jobs.stop()
        self._asked = self.position = self.pattern = None

    def look(self, row: int, column: int) -> None:
        """Go to a scan position; `looked` or `failed` follows."""
        if (row, column) == self._asked:
            return
        self._asked = (row, column)
        if self.scan is None:
            self._take(self._asked, None)
        else:
            self._jobs.ask(
                self.scan.pattern, row, column, returned=partial(self._take, self._asked), errored=self._fail
            )

    def _take(self, position: tuple[int, int], pattern: NDArray[np.number] | None) -> None:
        self.position, self.pattern = position, pattern
        self.looked.emit(pattern)

    def _fail(self, error: Exception) -> None:
        self.position, self.pattern = self._asked, None
        self.failed.emit(error)

    def place(self, world: Any) -> tuple[int, int] | None:
        """Return the scan row and column at a point of the canvas, or None outside the scan."""
        of = self.scan or self.result
        if of is None:
            return None
        layer = self._layer()
        if layer is None:
            scale = scan_geometry(self.scan.calibration)["scale"] if self.scan else (1.0, 1.0)
            point = np.asarray(world[-2:]) / scale
        else:
            point = np.asarray(layer.world_to_data(world))[-2:]
        row, column = (int(value) for value in np.rint(point))
        return (row, column) if 0 <= row < of.scan_shape[0] and 0 <= column < of.scan_shape[1] else None

    def _on_mouse(self, viewer: ViewerModel, event: Any) -> None:
        place = self.place(viewer.cursor.position)
        if place is not None:
            self._on_move(*place)

    def _layer(self) -> Layer | None:
        """Return a layer that lies on the scan grid of what is explored."""
        for layer in self._viewer.layers:
            scan, result = layer.metadata.get(SCAN_KEY), layer.metadata.get(MAP_KEY)
            on_grid = layer.ndim == 2 and layer._type_string in ("image", "labels")
            if on_grid and ((scan is not None and scan is self.scan) or (result is not None and result is self.result)):
                return layer
        return None
