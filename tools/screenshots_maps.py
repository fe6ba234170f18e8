"""Photographs of how maps are shown, compared and made in batches; taken by ``screenshots.py``."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
from PIL import ImageGrab
from screenshots import IMAGES, Session, wait

from napari_polarmap.plugin import sample_path


def display() -> None:
    """The sample with two domains as a continuous angle with its rose, the classifiers unfolded on the way."""
    tour = Session()
    tour.open(sample_path("two_domains"))
    tour.dock.classifier.model.showPopup()
    tour.rest(0.5)
    window = tour.viewer.window._qt_window
    popup = tour.dock.classifier.model.view().window()
    box = window.geometry().united(popup.geometry())
    place = (box.left(), box.top(), box.right() + 1, box.bottom() + 1)
    ImageGrab.grab(place).save(IMAGES / "window-classifiers.png")
    tour.dock.classifier.model.hidePopup()
    tour.run()
    tour.dock.display.rose_header.setChecked(True)
    tour.dock.display.colors.setCurrentIndex(tour.dock.display.colors.findData("angle"))
    tour.viewer.layers["Irregular regions"].visible = False
    tour.rest()
    tour.dock.scroll.ensureWidgetVisible(tour.dock.display.rose)
    tour.shoot("display")
    tour.close()


def compare() -> None:
    """Two classifiers on the sample with two domains, of which one electron in forty is left."""
    with h5py.File(sample_path("two_domains")) as whole, h5py.File("thin.h5", "w") as file:
        file["data"] = np.random.default_rng(1).binomial(whole["data"][()], 1 / 40).astype(np.uint16)
        file["data"].attrs.update(whole["data"].attrs)
    tour = Session()
    tour.open(Path("thin.h5").resolve())
    tour.run()
    _, dock = tour.viewer.window.add_plugin_dock_widget("napari-polarmap", "Compare maps")
    tour.dock.parentWidget().hide()
    tour.rest(1.0)
    dock.model.setCurrentIndex(dock.model.findData("pca-knn-niobate"))
    dock.run()
    wait(lambda: dock.comparison is not None and dock.run_button.isEnabled())
    dock.show_view("beside")
    tour.rest(1.0)
    tour.shoot("compare")
    tour.close()


def batch() -> None:
    """A folder with parts of the samples, and a file that is none."""
    folder = Path("session").resolve()
    folder.mkdir()
    for name, sample, part in (
        ("film_1.h5", "two_domains", (slice(0, 56), slice(0, 40))),
        ("film_2.h5", "two_domains", (slice(0, 56), slice(0, 80))),
        ("film_4.h5", "defect", (slice(0, 64), slice(0, 64))),
    ):
        with h5py.File(sample_path(sample)) as whole, h5py.File(folder / name, "w") as file:
            file["data"] = whole["data"][part]
            file["data"].attrs.update(whole["data"].attrs)
    (folder / "film_3.h5").write_bytes(b"interrupted")
    tour = Session()
    _, dock = tour.viewer.window.add_plugin_dock_widget("napari-polarmap", "Batch")
    tour.dock.parentWidget().hide()
    tour.rest(1.0)
    dock.folder.setText("session")
    dock.run()
    wait(lambda: dock.said.text() != "")
    dock.open(1)
    tour.rest(1.0)
    tour.viewer.reset_view()
    tour.shoot("batch")
    tour.close()
    shutil.rmtree(folder)
