"""Photograph the real window for the documentation.

Run by ``make screenshots`` on a virtual screen; writes ``docs/images/window-*.png``. Names of functions as
arguments take these photographs only; ``hidpi`` is meant for ``QT_SCALE_FACTOR=2``.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("NAPARI_CONFIG", "")

import h5py
import napari
import numpy as np
from napari._qt.dialogs.preferences_dialog import PreferencesDialog
from pictures import IMAGES
from tour import SIZE, rest, wait

from napari_polarmap.core.axes import AXES
from napari_polarmap.core.calibration import Calibration
from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.directions import Direction
from napari_polarmap.io import open_scan
from napari_polarmap.pipeline.inspection import inspect_scan
from napari_polarmap.pipeline.layers import scan_layer
from napari_polarmap.pipeline.preview import quick_look
from napari_polarmap.plugin import sample_path
from napari_polarmap.simulation.rerecord import rerecord
from napari_polarmap.widgets.explorer_widget import ExplorerWidget
from napari_polarmap.widgets.map_widget import MapWidget

SLICE = IMAGES.parents[1] / "tests" / "data" / "training_slice.h5"


class Session:
    """One window, photographed step by step."""

    def __init__(self, theme: str = "dark") -> None:
        self.viewer = napari.Viewer(show=True)
        self.viewer.theme = theme
        _, widget = self.viewer.window.add_plugin_dock_widget("napari-polarmap", "Polarization mapping")
        self.dock: MapWidget = widget
        self.rest(0.5)
        self.viewer.window._qt_window.resize(*SIZE)
        self.rest(0.5)

    def rest(self, seconds: float = 0.3) -> None:
        """Let the window settle."""
        rest(seconds)

    def shoot(self, name: str, *, light: bool = False) -> None:
        """Write a photograph, and one of the light theme."""
        if light:
            self.shoot(name)
            self.viewer.theme = "light"
            self.rest(0.5)
            self.shoot(f"{name}-light")
            self.viewer.theme = "dark"
            return
        self.rest()
        path = IMAGES / f"window-{name}.png"
        self.viewer.screenshot(str(path), canvas_only=False, flash=False)
        print(f"wrote {path.relative_to(IMAGES.parents[1])}")

    def open(self, path: Path) -> None:
        """Open a scan and wait until its disk is found."""
        self.dock.dataset.open_path(path)
        wait(lambda: self.dock.inspection is not None)
        self.dock.export.folder.setText("results")
        self.rest()
        self.viewer.reset_view()

    def look(self, row: int, column: int) -> None:
        """Show the pattern at a scan position as if the mouse were there."""
        self.dock.explorer.look(row, column)
        wait(lambda: self.dock.explorer.view.pattern is not None)
        self.rest()

    def point(self, row: int, column: int) -> None:
        """Have the status bar read a scan position, as if the mouse were there."""
        layer = self.viewer.layers["Polarization direction"]
        self.viewer.mouse_over_canvas = True
        self.viewer.cursor.position = tuple(layer.data_to_world((row, column)))
        self.viewer.update_status_from_cursor()

    def run(self, *, photograph: bool = False) -> None:
        """Press Run and wait for the map; photograph the progress bar on the way."""
        self.dock.classifier.run_button.click()
        bar = self.dock.classifier.progress
        if photograph:
            wait(lambda: self.dock.result is not None or ("classifying" in bar.format() and bar.value() > 0))
            self.shoot("run")
        wait(lambda: self.dock.result is not None and not self.dock._mapping.busy)
        self.rest()

    def close(self) -> None:
        """Close the window."""
        self.viewer.close()
        self.rest()


def two_domains() -> None:
    """From the empty window to the exported map of the sample with two domains."""
    tour = Session()
    tour.shoot("empty")
    tour.open(sample_path("two_domains"))
    rows, columns = tour.dock.dataset.scan.scan_shape
    tour.look(rows // 3, columns // 4)
    tour.shoot("open")
    lattice = tour.dock.disk.lattice
    lattice.header.setChecked(True)
    lattice.show_lattice.setChecked(True)
    tour.rest()
    tour.dock.scroll.ensureWidgetVisible(lattice.radius_px)
    tour.shoot("lattice")
    lattice.show_lattice.setChecked(False)
    lattice.header.setChecked(False)
    tour.run(photograph=True)
    tour.dock.scroll.verticalScrollBar().setValue(0)
    tour.look(rows // 3, columns // 4)
    tour.point(rows // 3, columns // 4)
    tour.shoot("map")
    tour.dock.classifier.pool.setCurrentIndex(1)
    tour.dock.scroll.ensureWidgetVisible(tour.dock.sections[4].header)
    tour.shoot("stale", light=True)
    tour.dock.classifier.pool.setCurrentIndex(0)
    tour.dock.information_section.header.setChecked(True)
    tour.viewer.layers["Polarization direction"].visible = False
    tour.viewer.layers["Polarization arrows"].visible = False
    tour.viewer.layers["Thickness [nm]"].visible = True
    tour.rest()
    tour.dock.scroll.ensureWidgetVisible(tour.dock.information)
    tour.shoot("information")
    tour.viewer.layers["Thickness [nm]"].visible = False
    tour.viewer.layers["Polarization direction"].visible = True
    tour.viewer.layers["Polarization arrows"].visible = True
    tour.dock.information_section.header.setChecked(False)
    bar = tour.dock.scroll.verticalScrollBar()
    bar.setValue(bar.maximum())
    direction = Direction(int(tour.dock.result.domain[rows // 3, columns // 4]))
    tour.dock.review.reference.box.setCurrentIndex(tour.dock.review.reference.box.findData(direction))
    tour.look(rows // 3, 3 * columns // 4)
    tour.dock.export.button.click()
    wait(lambda: tour.dock.export.written.text().startswith("Wrote"))
    tour.rest()
    bar.setValue(bar.maximum())
    tour.shoot("export")
    tour.close()


def defect() -> None:
    """The sample with a defect, in the light theme."""
    tour = Session("light")
    tour.open(sample_path("defect"))
    tour.run()
    tour.dock.scroll.ensureWidgetVisible(tour.dock.sections[3])
    table = tour.dock.review.regions
    if table.regions:
        row, column = (round(place) for place in table.regions[0].centre_px)
        tour.look(row, column)
    tour.shoot("defect")
    table.cellClicked.emit(0, 0)
    tour.shoot("region")
    tour.close()


def errors() -> None:
    """The error analysis of the sample with two domains, against a painted reference."""
    tour = Session()
    tour.open(sample_path("two_domains"))
    tour.run()
    _, analysis = tour.viewer.window.add_plugin_dock_widget("napari-polarmap", "Error analysis")
    tour.rest()
    analysis.what.setCurrentIndex(1)
    analysis.reference.open_file(sample_path("two_domains"))
    wait(lambda: analysis.analysis is not None)
    tour.dock.parentWidget().hide()
    tour.rest(1.0)
    tour.shoot("errors", light=True)
    tour.close()


def train() -> None:
    """The dock that trains, on the slice of a training set that the tests use: too few specimens to learn much."""
    tour = Session()
    _, dock = tour.viewer.window.add_plugin_dock_widget("napari-polarmap", "Train a classifier")
    tour.dock.parentWidget().hide()
    tour.rest(1.0)
    dock.choose([SLICE])
    dock.epochs.setValue(20)
    dock.batch.setValue(16)
    dock.patience.setValue(0)
    dock.train()
    wait(lambda: len(next(iter(dock._histories.values()), {}).get("loss", ())) >= 12)
    tour.shoot("train", light=True)
    dock.cancel_button.click()
    wait(lambda: not dock._jobs.busy)
    tour.close()


def calibration() -> None:
    """The Calibration dock on a sample recorded again by a turned camera with an oval disk and broken pixels."""
    with open_scan(sample_path("two_domains")) as sample:
        counts, centre = sample.read(slice(0, 56), slice(0, 80)), inspect_scan(sample).disk.center_px
    truth = Calibration(rotation_deg=15.0, center_px=(30.1, 25.4), ellipse_ratio=1.04, ellipse_angle_deg=30.0)
    truth = replace(truth, descan=(0.01, -0.005, 0.006, 0.015), bad_pixels=((20, 33), (30, 12)))
    known = Calibration(voltage_kV=200, convergence_mrad=24.0)
    scan = Scan4D(rerecord(counts, centre, truth, hot=600.0), known, name="turned and distorted")
    tour = Session()
    data, options, _ = scan_layer(scan, quick_look(scan).image)
    tour.viewer.add_image(data, **options)
    _, dock = tour.viewer.window.add_plugin_dock_widget("napari-polarmap", "Calibration")
    tour.dock.parentWidget().hide()
    wait(dock.all_button.isEnabled)
    dock.measure("bad_pixels")
    wait(lambda: bool(dock.scan.calibration.bad_pixels) and dock.all_button.isEnabled())
    dock.measure_all()
    wait(lambda: all("measuring" not in row.residual.text() for row in dock.rows.values()))
    tour.rest(1.0)
    tour.viewer.reset_view()
    tour.shoot("calibration", light=True)
    tour.close()


def axes() -> None:
    """The dialog for axes, on the sample stored the wrong way round."""
    with h5py.File(sample_path("two_domains")) as file:
        np.save("turned.npy", file["data"][()].transpose(2, 3, 1, 0))
    tour = Session()
    tour.dock.dataset._path = Path("turned.npy").resolve()
    tour.dock.dataset.ask_layout()
    dialog = tour.dock.dataset.dialog
    wait(lambda: dialog.sample is not None)
    for place, name in enumerate(("det_y", "det_x", "scan_x", "scan_y")):
        dialog.stored[place].activated.emit(AXES.index(name))
    tour.rest(1.0)
    dialog.grab().save(str(IMAGES / "window-axes.png"))
    dialog.reject()
    tour.close()


def open_explorer(name: str = "two_domains") -> tuple[Session, ExplorerWidget]:
    """Open a sample in the Explorer, with its disk found."""
    tour = Session()
    tour.open(sample_path(name))
    _, dock = tour.viewer.window.add_plugin_dock_widget("napari-polarmap", "Explorer")
    tour.dock.parentWidget().hide()
    tour.rest(0.5)
    tour.viewer.reset_view()
    return tour, dock


def show_pattern(dock: ExplorerWidget, row: int, column: int) -> None:
    """Show a pattern in the Explorer."""
    dock.look(row, column)
    wait(lambda: dock.follower.position == (row, column))


def explorer() -> None:
    """The Explorer: differences, segments with deflections, and a profile."""
    tour, dock = open_explorer()
    for place in ((20, 16), (20, 24), (20, 64)):
        show_pattern(dock, *place)
        dock.comparing.pin()
    dock.compare.way.setCurrentIndex(dock.compare.way.findData("difference"))
    dock.view.scale.setCurrentIndex(dock.view.scale.findData("gamma"))
    tour.shoot("explorer", light=True)
    dock.compare.clear()
    for section in (dock.sections[0], dock.sections[3]):
        section.header.setChecked(False)
    dock.detector.begin("segments")
    dock.view.pattern.set_detector(dock.detector.detector)
    wait(lambda: "two_domains: virtual image" in tour.viewer.layers)
    tour.rest()
    tour.shoot("segments")
    dock.detector.begin(None)
    dock.field.average.setValue(8)
    dock.field.box.setChecked(True)
    tour.rest()
    tour.shoot("deflection")
    tour.close()


def preferences() -> None:
    """The page of napari's Preferences."""
    tour = Session()
    dialog = PreferencesDialog(parent=tour.viewer.window._qt_window)
    dialog.show()
    (place,) = [i for i in range(dialog._list.count()) if dialog._list.item(i).text() == "napari-polarmap"]
    dialog._list.setCurrentRow(place)
    tour.rest(1.0)
    dialog.grab().save(str(IMAGES / "window-preferences.png"))
    dialog.reject()
    tour.close()


def hidpi() -> None:
    """Map and Explorer on a screen with small pixels."""
    tour, dock = open_explorer()
    show_pattern(dock, 20, 16)
    dock.comparing.pin()
    tour.shoot("explorer-hidpi")
    dock.parentWidget().hide()
    tour.dock.parentWidget().show()
    tour.run()
    tour.look(20, 16)
    tour.shoot("map-hidpi")
    tour.close()


ALL = (two_domains, defect, errors, explorer, calibration, axes, preferences, train)


def main(names: list[str]) -> int:
    """Take every photograph, or those of some functions."""
    from screenshots_maps import batch, compare, display  # they stand on what is above

    known = {function.__name__: function for function in (*ALL, display, compare, batch)}
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # what is exported on the way
        os.environ["XDG_DATA_HOME"] = folder  # the user's model folder
        for name in names or known:
            (hidpi if name == "hidpi" else known[name])()
        os.chdir(IMAGES)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
