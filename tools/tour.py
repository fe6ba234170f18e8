"""The tour of docs/tour.md: seven steps through the real window, each with what must be true after it.

``python tools/tour.py`` photographs them, as ``make screenshots`` does, and a test walks through them and compares the
photographs.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("NAPARI_CONFIG", "")

import napari
import numpy as np
from pictures import IMAGES
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QPushButton

from napari_polarmap.core.directions import Direction
from napari_polarmap.io.result import PolarizationMap

PLUGIN = "napari-polarmap"
SIZE = (1280, 800)
LEFT, RIGHT = (20, 16), (20, 64)
"""Scan positions in the middle of the two domains of the sample."""


def wait(condition: Callable[[], bool], seconds: float = 600) -> None:
    """Let the window live until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the window did not get there in time")
        QApplication.processEvents()
        time.sleep(0.01)


def rest(seconds: float = 0.3) -> None:
    """Let the window settle."""
    end = time.monotonic() + seconds
    wait(lambda: time.monotonic() > end)


def check(holds: bool, fact: str) -> None:
    """Stop the tour where it does not show what it says."""
    if not holds:
        raise ValueError(f"the tour does not show that {fact}")


@dataclass(frozen=True)
class Step:
    """One step: its heading in docs/tour.md, the name of its picture, and what is done."""

    title: str
    picture: str
    act: Callable[[], None]


class Tour:
    """The steps in one window of napari.

    Parameters
    ----------
    viewer : napari.Viewer
    folder : Path
        Where the last step writes its files.
    """

    def __init__(self, viewer: object, folder: Path) -> None:
        self.viewer, self.folder = viewer, folder
        viewer.window._qt_window.resize(*SIZE)
        self.steps = [
            Step("Open the sample", "open", self.open),
            Step("Look at patterns", "patterns", self.patterns),
            Step("See what a detector sees", "detector", self.detector),
            Step("Check the calibration", "calibration", self.calibrate),
            Step("Compute the map", "map", self.map),
            Step("Look across the wall", "wall", self.wall),
            Step("Take it home", "export", self.export),
        ]

    def dock(self, name: str) -> object:
        """Open a dock, or bring it to the front."""
        dock, widget = self.viewer.window.add_plugin_dock_widget(PLUGIN, name, tabify=True)
        dock.raise_()
        rest()
        return widget

    def press(self, button: QPushButton) -> None:
        """Press a button as the mouse does."""
        check(button.isEnabled(), f"{button.text()} can be pressed ({button.toolTip()})")
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)

    def hover(self, row: float, column: float) -> None:
        """Move the mouse to a scan position."""
        layer = self.viewer.layers[0]
        canvas, camera = self.viewer.window._qt_viewer.canvas.native, self.viewer.scene.camera
        shift = (np.array(layer.data_to_world((row, column))) - camera.center[-2:]) * camera.zoom
        place = QPoint(round(canvas.width() / 2 + shift[1]), round(canvas.height() / 2 + shift[0]))
        for step in (3, 1, 0):
            QTest.mouseMove(canvas, place + QPoint(step, step))
            rest(0.05)

    def open(self) -> None:
        """File > Open Sample, then the dock; the disk is found by itself."""
        self.viewer.open_sample(PLUGIN, "two_domains")
        self.mapping = self.dock("Polarization mapping")
        wait(lambda: self.mapping.inspection is not None)
        rest()
        self.viewer.reset_view()
        self.hover(*LEFT)
        wait(lambda: self.mapping.explorer.position is not None)
        check("radius 20.0" in self.mapping.sections[1].status.text(), "the disk has a radius of 20.0 px")
        check(self.mapping.classifier.run_button.isEnabled(), "Run can be pressed")

    def patterns(self) -> None:
        """Pin a position of each domain by the key K, draw a region in the left one."""
        self.explorer = self.dock("Explorer")
        self.viewer.reset_view()
        check(self.explorer.explored.inspection is self.mapping.inspection, "nothing is measured twice")
        canvas = self.viewer.window._qt_viewer.canvas.native
        for count, place in enumerate((LEFT, RIGHT), start=1):
            self.hover(*place)
            wait(lambda place=place: self.explorer.follower.position == place, 10)
            QTest.keyClick(canvas, Qt.Key.Key_K)
            wait(lambda count=count: len(self.explorer.compare.pinned) == count, 10)
        self.press(self.explorer.compare.region_button)
        self.explorer.comparing.region.layer.add_rectangles([[31.6, 3.6], [51.4, 27.4]])
        wait(lambda: len(self.explorer.compare.pinned) == 3 and self.explorer.compare.progress.isHidden())
        rest()
        self.viewer.layers.selection.active = self.viewer.layers[0]
        self.explorer.view.parts["lattice"].setChecked(True)
        captions = [entry.caption for entry in self.explorer.compare.pinned]
        check(captions == ["20, 16", "20, 64", "480 pos."], "two positions and a region are compared")

    def detector(self) -> None:
        """An annulus around the disk; its outer rim is dragged inwards."""
        explorer = self.explorer
        explorer.sections[0].header.setChecked(False)
        explorer.compare.clear_button.click()
        explorer.detector.kind.setCurrentIndex(explorer.detector.kind.findData("annulus"))
        name = "two_domains: virtual image"
        wait(lambda: name in self.viewer.layers)
        before = self.viewer.layers[name].data.copy()
        view = explorer.view.pattern
        zoom, left, top = view.frame()
        (y, x), outer = view.detector.center_px, view.detector.outer_px
        rims = [QPoint(round(left + (x - r + 0.5) * zoom), round(top + (y + 0.5) * zoom)) for r in (24.0, 24.3, 25.5)]
        inner = QPoint(round(left + (x - view.detector.inner_px + 0.5) * zoom), rims[0].y())
        QTest.mousePress(view, Qt.MouseButton.LeftButton, pos=inner)
        for rim in rims:
            QTest.mouseMove(view, rim)
            rest(0.1)
        QTest.mouseRelease(view, Qt.MouseButton.LeftButton, pos=rims[-1])
        rest(0.5)
        check(view.detector.outer_px == outer and view.detector.inner_px > 25, "the inner rim was dragged")
        check(not np.array_equal(self.viewer.layers[name].data, before), "the image followed")

    def calibrate(self) -> None:
        """Measure every part, and take the step back."""
        self.explorer.detector.kind.setCurrentIndex(0)
        calibration = self.dock("Calibration")
        before = calibration.scan.calibration
        self.press(calibration.all_button)
        wait(lambda: calibration.scan.calibration != before)
        rest()
        check("curl" in calibration.rows["rotation"].residual.text(), "the rotation says how good it is")
        check(abs(calibration.scan.calibration.radius_px - 20) < 0.3, "the disk has its radius")
        self.viewer.reset_view()

    def map(self) -> None:
        """Take the calibration back, press Run, and wait."""
        self.press(self.dock("Calibration").undo_button)
        self.dock("Polarization mapping")
        self.mapping.scroll.ensureWidgetVisible(self.mapping.classifier.run_button)
        self.press(self.mapping.classifier.run_button)
        wait(lambda: self.mapping.result is not None and not self.mapping._mapping.busy)
        self.viewer.reset_view()
        self.hover(*LEFT)
        result = self.mapping.result
        check(result.domain[LEFT] == Direction.RU, "the left domain points to the right and up")
        check(result.domain[RIGHT] == Direction.RD, "the right domain points to the right and down")
        wait(lambda: self.mapping.explorer.wheel.active == Direction.RU, 10)
        self.mapping.scroll.verticalScrollBar().setValue(0)

    def wall(self) -> None:
        """A line across the wall; the polarization turns from upwards to downwards."""
        self.dock("Explorer")
        profile = self.explorer.profile
        for section in self.explorer.sections[:3]:
            section.header.setChecked(False)
        self.press(profile.line_button)
        self.explorer.profiling.drawn.layer.add_lines([[28, 8], [28, 72]])
        profile.quantity.setCurrentIndex(profile.quantity.findData("polarization"))
        wait(lambda: profile.profile is not None and "left of it" in profile.profile.curves)
        self.viewer.layers.selection.active = self.viewer.layers["Polarization direction"]
        left = profile.profile.curves["left of it"]
        check(left[0] > 0.5 and left[-1] < -0.5, "P turns from up to down across the wall")
        rest()

    def export(self) -> None:
        """Write result, table and figure; the result comes back with all its layers."""
        self.dock("Polarization mapping")
        panel = self.mapping.export
        panel.folder.setText(str(self.folder))
        self.mapping.scroll.ensureWidgetVisible(panel.written)
        self.press(panel.button)
        wait(lambda: panel.written.text().startswith("Wrote"))
        panel.folder.setText("results")
        panel.written.setText(panel.written.text().replace(str(self.folder), "results"))
        self.mapping.scroll.ensureWidgetVisible(panel.written)
        written = PolarizationMap.load(self.folder / "two_domains_polarization.h5")
        check(np.array_equal(written.domain, self.mapping.result.domain), "the file holds the map")
        check("files written" in self.mapping.sections[4].status.text(), "the step says that files were written")


def photograph() -> None:
    """Walk through the steps and write a picture of each to docs/images."""
    viewer = napari.Viewer(show=True)
    with tempfile.TemporaryDirectory() as folder:
        for number, step in enumerate(Tour(viewer, Path(folder)).steps, start=1):
            step.act()
            rest(0.5)
            viewer.screenshot(str(IMAGES / f"tour-{number}-{step.picture}.png"), canvas_only=False, flash=False)
            print(f"wrote docs/images/tour-{number}-{step.picture}.png", flush=True)
    viewer.close()
    rest()


if __name__ == "__main__":
    sys.exit(photograph())
