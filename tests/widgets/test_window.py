"""The real window: from a file to a map to files, by the dock's own buttons."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from npe2 import PluginManifest
from qtpy.QtCore import QPoint, QSize, Qt, QTimer
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QFileDialog, QScrollArea

import napari_polarmap
from napari_polarmap.core.directions import UNDEFINED
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.plugin import sample_path
from napari_polarmap.widgets import map_widget
from napari_polarmap.widgets.map_widget import MapWidget
from napari_polarmap.widgets.pattern_view import PatternView

pytestmark = pytest.mark.gui

PLUGIN = "napari-polarmap"
MINUTES = 60_000


@pytest.fixture
def window(make_napari_viewer):
    """A real window; widgets that are left over at the end are an error."""
    return make_napari_viewer(strict_qt="raise", show=True)


@pytest.fixture
def dock(window) -> MapWidget:
    _, widget = window.window.add_plugin_dock_widget(PLUGIN, "Polarization mapping")
    return widget


def click(qtbot, dock, button):
    assert button.isEnabled(), button.toolTip()
    dock.scroll.ensureWidgetVisible(button)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def heartbeat(dock) -> list[float]:
    """Return a list that grows by the time whenever the window is free to do something, every 20 ms at best."""
    beats = [perf_counter()]
    timer = QTimer(dock)
    timer.timeout.connect(lambda: beats.append(perf_counter()))
    timer.start(20)
    return beats


def open_sample(qtbot, dock, name="two_domains"):
    dock.dataset.sample_actions[name].trigger()
    qtbot.waitUntil(lambda: dock.inspection is not None, timeout=MINUTES)


@pytest.mark.timeout(900)
def test_from_a_file_to_a_map_to_files_in_a_window_that_stays_alive(window, dock, qtbot, tmp_path, monkeypatch):
    sample = sample_path("two_domains")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(sample), ""))
    click(qtbot, dock, dock.dataset.open_button)
    qtbot.waitUntil(lambda: dock.inspection is not None, timeout=MINUTES)
    beats = heartbeat(dock)
    click(qtbot, dock, dock.classifier.run_button)
    qtbot.waitUntil(lambda: dock.result is not None, timeout=10 * MINUTES)
    pauses = np.diff(beats)
    assert np.median(pauses) < 0.2
    assert pauses.max() < pauses.sum() / 3

    assert [layer.name for layer in window.layers if layer.visible] == [
        "two_domains: bright field",
        "Polarization direction",
        "Domain outlines",
        "Polarization arrows",
        "Irregular positions",
        "Irregular regions",
    ]
    assert dock.result.scan_shape == dock.dataset.scan.scan_shape
    assert (dock.result.domain != UNDEFINED).any()

    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    click(qtbot, dock, dock.export.browse_button)
    click(qtbot, dock, dock.export.button)
    qtbot.waitUntil(lambda: dock.export.written.text().startswith("Wrote"), timeout=MINUTES)
    written = PolarizationMap.load(tmp_path / "two_domains_polarization.h5")
    np.testing.assert_array_equal(written.domain, dock.result.domain)
    assert {path.suffix for path in tmp_path.iterdir()} == {".h5", ".tif", ".csv", ".png"}

    window.layers.clear()
    window.open(str(tmp_path / "two_domains_polarization.h5"), plugin=PLUGIN)
    np.testing.assert_array_equal(window.layers["Polarization direction"].data[written.domain == UNDEFINED], 0)


def test_cancel_stops_a_run_and_leaves_the_layers(window, dock, qtbot):
    open_sample(qtbot, dock)
    click(qtbot, dock, dock.classifier.run_button)
    qtbot.waitUntil(lambda: dock.classifier.progress.maximum() > 0, timeout=MINUTES)
    click(qtbot, dock, dock.classifier.cancel_button)
    qtbot.waitUntil(lambda: not dock._mapping.busy, timeout=MINUTES)
    assert dock.result is None
    assert [layer.name for layer in window.layers] == ["two_domains: bright field"]


def test_closing_the_window_during_a_run_does_no_harm(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Polarization mapping")
    open_sample(qtbot, dock)
    click(qtbot, dock, dock.classifier.run_button)
    qtbot.wait(100)
    viewer.close()
    qtbot.wait(300)


def test_closing_the_dock_during_a_run_does_no_harm(window, dock, qtbot):
    open_sample(qtbot, dock)
    click(qtbot, dock, dock.classifier.run_button)
    qtbot.wait(50)
    window.window.remove_dock_widget(dock)
    assert not dock._mapping.busy
    assert dock.explorer.follower._on_mouse not in window.mouse_move_callbacks
    qtbot.wait(200)
    assert [layer.name for layer in window.layers] == ["two_domains: bright field"]


def test_the_mouse_over_the_scan_shows_its_pattern(window, dock, qtbot):
    open_sample(qtbot, dock)
    canvas = window.window._qt_viewer.canvas.native
    for shift in (0, 3, 6):
        qtbot.mouseMove(canvas, QPoint(canvas.width() // 2 + shift, canvas.height() // 2))
        qtbot.wait(30)
    qtbot.waitUntil(lambda: dock.explorer.position is not None)
    row, column = dock.explorer.position
    expected = dock.dataset.scan.pattern(row, column)
    qtbot.waitUntil(lambda: np.array_equal(dock.explorer.view.pattern, expected))
    assert dock.explorer.reading.text().startswith(f"row {row}, column {column}")


def test_a_dragged_file_and_a_sample_are_found_by_the_dock(window, dock, qtbot):
    window.open_sample(PLUGIN, "two_domains")
    qtbot.waitUntil(lambda: dock.inspection is not None, timeout=MINUTES)
    assert dock.dataset.choice.currentText() == "two_domains"
    assert window.layers[0].name == "two_domains: bright field"


def test_a_map_is_saved_by_the_menu_and_comes_back(window, make_map, qtbot, tmp_path):
    first = make_map().save(tmp_path / "first.h5")
    window.open(str(first), plugin=PLUGIN)
    before = [layer.name for layer in window.layers]
    window.layers.save(str(tmp_path / "second.h5"), plugin=PLUGIN)
    window.layers.clear()
    window.open(str(tmp_path / "second.h5"), plugin=PLUGIN)
    assert [layer.name for layer in window.layers] == before


def test_bad_input_becomes_a_notification(window, dock, qtbot, tmp_path):
    notification_manager.records.clear()
    dock.dataset.open_path(tmp_path / "missing.h5")
    qtbot.waitUntil(lambda: bool(notification_manager.records))
    assert notification_manager.records[-1].message == f"{tmp_path / 'missing.h5'}: no such file or folder"
    dock.detach()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_every_dock_fits_a_window_of_1280_by_800(window, dock, qtbot, theme):
    window.theme = theme
    window.window._qt_window.resize(1280, 800)
    open_sample(qtbot, dock)
    assert dock.width() <= 420
    for section in dock.sections:
        dock.scroll.ensureWidgetVisible(section)
        assert section.isVisible()
    manifest = PluginManifest.from_file(Path(napari_polarmap.__file__).with_name("napari.yaml"))
    for name in (entry.display_name for entry in manifest.contributions.widgets):
        parent, widget = window.window.add_plugin_dock_widget(PLUGIN, name, tabify=True)
        parent.raise_()
        qtbot.wait(50)
        assert widget.width() <= 420, name
        for area in widget.findChildren(QScrollArea):
            assert area.widget().width() <= area.viewport().width(), name
    assert window.window._qt_window.size() == QSize(1280, 800)


def test_patterns_keep_their_detail_on_a_screen_with_small_pixels(qtbot):
    view = PatternView()
    qtbot.addWidget(view)
    view.resize(64, 64)
    pattern = np.zeros((128, 128), np.uint16)
    pattern[::2, ::2] = 100  # every other pixel: lost where two detector pixels share one of the screen
    view.set_pattern(pattern)
    image = QImage(128, 128, QImage.Format.Format_RGB32)
    image.setDevicePixelRatio(2)
    view.render(image)
    lightness = np.array([[image.pixelColor(x, y).lightness() for x in range(40, 60)] for y in range(40, 60)])
    assert (lightness > 100).sum() == 100
    assert (lightness < 30).sum() == 300


def test_each_place_of_the_mouse_is_painted_once(window, dock, qtbot, monkeypatch):
    open_sample(qtbot, dock)
    painted = []
    paint = PatternView.paintEvent

    def count(view, event):
        paint(view, event)
        painted.append(view)

    monkeypatch.setattr(PatternView, "paintEvent", count)
    for place in range(40):
        before = len(painted)
        dock.explorer.look(place, place)
        qtbot.waitUntil(lambda before=before: len(painted) > before)
    # Now and then the window system asks for another.
    assert 40 <= len(painted) < 60


def test_the_map_widget_takes_the_steps_of_the_pipeline():
    from napari_polarmap.pipeline.mapping import map_steps

    assert map_widget.map_steps is map_steps
