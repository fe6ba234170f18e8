"""How many patterns a second follow the mouse in the real window: ``xvfb-run -a python benchmarks/cursor.py``.

The mouse is moved over the image of the packaged sample about a hundred times a second, so fast that each move reaches
another position, and the paintings of the pattern are counted; and an annulus is dragged over the pattern of the
Explorer, and the virtual images that are shown are counted. The load of the machine is written beside both, as other
work takes from them.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

os.environ.setdefault("NAPARI_CONFIG", "")

import napari
import numpy as np
from qtpy.QtCore import QEventLoop, QPoint, Qt, QTimer
from qtpy.QtTest import QTest
from superqt.utils import WorkerBase

from napari_polarmap.plugin import sample_path
from napari_polarmap.widgets.pattern_view import PatternView

SECONDS = 5.0


def live(milliseconds: int) -> None:
    """Let the window work."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def wait(condition: Callable[[], bool]) -> None:
    """Let the window work until a condition holds."""
    while not condition():
        live(20)


def rate(move: Callable[[float], None], counted: list[float]) -> float:
    """Return how often a second something happened while the mouse was moved."""
    counted.clear()
    begin = time.perf_counter()
    while time.perf_counter() - begin < SECONDS:
        move(time.perf_counter() - begin)
        live(8)
    return len(counted) / (time.perf_counter() - begin)


def main() -> int:
    """Measure both rates."""
    viewer = napari.Viewer()
    viewer.window._qt_window.resize(1280, 800)
    _, mapping = viewer.window.add_plugin_dock_widget("napari-polarmap", "Polarization mapping")
    mapping.dataset.open_path(sample_path("two_domains"))
    wait(lambda: mapping.inspection is not None)
    viewer.reset_view()
    live(500)
    canvas = viewer.window._qt_viewer.canvas.native
    middle = QPoint(canvas.width() // 2, canvas.height() // 2)
    painted: list[float] = []
    paint = PatternView.paintEvent

    def count(view: PatternView, event: object) -> None:
        paint(view, event)
        if view is mapping.explorer.view:
            painted.append(time.perf_counter())

    PatternView.paintEvent = count
    over = rate(lambda t: QTest.mouseMove(canvas, middle + QPoint(*_lissajous(2 * t, 170, 110))), painted)
    PatternView.paintEvent = paint

    _, explorer = viewer.window.add_plugin_dock_widget("napari-polarmap", "Explorer", tabify=True)
    explorer.parentWidget().raise_()
    explorer.look(20, 20)
    wait(lambda: explorer.follower.pattern is not None)
    explorer.detector.kind.setCurrentIndex(explorer.detector.kind.findData("annulus"))
    wait(lambda: "two_domains: virtual image" in viewer.layers)
    shown: list[float] = []
    viewer.layers["two_domains: virtual image"].events.set_data.connect(lambda _: shown.append(time.perf_counter()))
    view = explorer.view.pattern
    centre = QPoint(view.width() // 2, view.height() // 2)
    QTest.mousePress(view, Qt.MouseButton.LeftButton, pos=centre)
    dragged = rate(lambda t: QTest.mouseMove(view, centre + QPoint(*_lissajous(t, 40, 30))), shown)
    QTest.mouseRelease(view, Qt.MouseButton.LeftButton, pos=centre)
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    print(f"{over:.0f} patterns a second follow the mouse, {dragged:.0f} virtual images a second the detector")
    print(f"(load {load:.1f} per core, {os.cpu_count()} cores)")
    viewer.close()
    live(500)
    WorkerBase.await_workers()
    return 0


def _lissajous(seconds: float, width: int, height: int) -> tuple[int, int]:
    return round(width * np.cos(2 * seconds)), round(height * np.sin(3 * seconds))


if __name__ == "__main__":
    sys.exit(main())
