"""The scan position under the mouse, and its pattern."""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from typing import Any, Final

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QWidget
from superqt.utils import qthrottled

from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.ordered import Threads
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.pipeline.layers import MAP_KEY, SCAN_KEY, scan_geometry

_PATTERN_S: Final = 0.005
"""How long the status bar waits for the pattern, at most."""
_STATUS_MS: Final = 25
"""How long the pattern waits for the status bar, at most."""


class Follower(QObject):
    """Follows the mouse over a scan.

    Patterns are read in the background, so that a slow disk or a running map never holds up the
    window; positions that the mouse has left meanwhile are left out. A pattern is shown together with what
    napari's status bar says of its position: Qt puts the whole window together anew at each change, and once
    for both is half of the work.

    Signals
    -------
    looked(object)
        The pattern at `position`, which changes with it; None where there is a map without a scan.
    failed(object)
        The exception of a pattern that cannot be read.
    """

    looked = Signal(object)
    failed = Signal(object)
    _arrived = Signal(object)

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.scan: Scan4D | None = None
        self.result: PolarizationMap | None = None
        self._asked: tuple[int, int] | None = None
        self.position: tuple[int, int] | None = None
        self.pattern: NDArray[np.number] | None = None
        self._thread: Threads | None = None
        self._reading: tuple[tuple[int, int], Future[NDArray[np.number]]] | None = None
        self._arrived.connect(self._on_arrived)
        self._status_due = QTimer(self, singleShot=True, interval=_STATUS_MS)
        self._status_due.timeout.connect(self._show)
        self._on_move = qthrottled(self.look, timeout=20)
        viewer.mouse_move_callbacks.append(self._on_mouse)
        viewer.events.status.connect(self._on_status)

    def detach(self) -> None:
        """Let go of the viewer."""
        self.forget()
        self._on_move.cancel()
        self._viewer.events.status.disconnect(self._on_status)
        with suppress(ValueError):
            self._viewer.mouse_move_callbacks.remove(self._on_mouse)

    def forget(self) -> None:
        """Leave the position."""
        self._status_due.stop()
        if self._thread is not None:
            self._thread.shutdown(wait=False)  # it may hang in a read
        self._asked = self.position = self.pattern = self._thread = self._reading = None

    def look(self, row: int, column: int) -> None:
        """Go to a scan position; `looked` or `failed` follows."""
        if (row, column) == self._asked:
            return
        self._asked = (row, column)
        if self.scan is None:
            self.position, self.pattern = self._asked, None
            self.looked.emit(None)
        elif self._reading is None:
            self._read(self.scan, self._asked)

    def _read(self, scan: Scan4D, position: tuple[int, int]) -> None:
        # A thread of its own starts at once; workers wait until the event loop has nothing else to do.
        self._thread = self._thread or Threads(1, "pattern at the cursor")
        future = self._thread.submit(scan.pattern, *position)
        self._reading = position, future
        future.add_done_callback(self._tell)

    def _tell(self, future: Future[NDArray[np.number]]) -> None:
        with suppress(RuntimeError):  # the window is gone
            self._arrived.emit(future)

    def _on_arrived(self, future: Future[NDArray[np.number]]) -> None:
        if self._reading is not None and self._reading[1] is future and not self._status_due.isActive():
            self._show()

    def _on_status(self, _: object) -> None:
        if self._status_due.isActive():
            self._status_due.stop()
            if self._reading is not None:
                with suppress(FutureTimeoutError):
                    self._reading[1].exception(timeout=_PATTERN_S)
            self._show()

    def _show(self) -> None:
        """Show what has been read, and read on if the mouse has moved on."""
        if self._reading is None or not self._reading[1].done():
            return
        (position, future), self._reading = self._reading, None
        if self.scan is not None and self._asked is not None and self._asked != position:
            self._read(self.scan, self._asked)
        error = future.exception()
        self.position, self.pattern = position, None if error else future.result()
        if error:
            self.failed.emit(error)
        else:
            self.looked.emit(self.pattern)

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
        owner = self.parent()
        behind_a_tab = isinstance(owner, QWidget) and owner.window().isVisible() and not owner.isVisible()
        place = None if behind_a_tab else self.place(viewer.cursor.position)
        if place is not None:
            if place != self._asked and not self._status_due.isActive():
                self._status_due.start()
            self._on_move(*place)

    def _layer(self) -> Layer | None:
        """Return a layer that lies on the scan grid of what is explored."""
        for layer in self._viewer.layers:
            scan, result = layer.metadata.get(SCAN_KEY), layer.metadata.get(MAP_KEY)
            on_grid = layer.ndim == 2 and layer._type_string in ("image", "labels")
            if on_grid and ((scan is not None and scan is self.scan) or (result is not None and result is self.result)):
                return layer
        return None
