"""The Explorer over a viewer without a window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QPointF, Qt
from qtpy.QtTest import QTest

from napari_polarmap.pipeline.layers import map_layers, scan_layer
from napari_polarmap.pipeline.virtual_images import binned_steps
from napari_polarmap.widgets import detecting
from napari_polarmap.widgets.detector_view import DetectorView
from napari_polarmap.widgets.explorer_widget import ExplorerWidget
from napari_polarmap.widgets.map_layers import MapLayers


@pytest.fixture
def window(viewer, scan):
    data, options, _ = scan_layer(scan, scan.data.sum(axis=(2, 3)))
    viewer.add_image(data, **options)
    return viewer


@pytest.fixture
def dock(qtbot, window):
    widget = ExplorerWidget(window)
    qtbot.addWidget(widget)
    widget.resize(400, 900)
    yield widget
    widget.detach()


@pytest.fixture
def measured(dock, qtbot):
    dock.measure_button.click()
    qtbot.waitUntil(lambda: dock.explored.inspection is not None and not dock._inspecting.busy)
    return dock


def look(qtbot, dock, row, column):
    dock.look(row, column)
    qtbot.waitUntil(lambda: dock.follower.position == (row, column))


def roles(viewer):
    return [layer.metadata["polarmap_role"] for layer in viewer.layers]


def test_without_a_scan_nothing_can_be_pressed(qtbot):
    dock = ExplorerWidget(ViewerModel())
    qtbot.addWidget(dock)
    buttons = (dock.compare.pin_button, dock.compare.region_button, dock.profile.line_button, dock.measure_button)
    assert not any(button.isEnabled() for button in (*buttons, dock.detector.kind, dock.field.box))
    assert "Open a scan" in dock.view.pattern.message
    dock.detach()


def test_a_pattern_is_shown_before_anything_is_measured(dock, qtbot, scan):
    look(qtbot, dock, 2, 3)
    np.testing.assert_array_equal(dock.view.pattern.pattern, scan.pattern(2, 3))
    assert dock.view.pattern.overlay.disk_px is None
    assert dock.view.reading.text().startswith(f"row 2, column 3   {scan.pattern(2, 3).sum():.4g} counts")


def test_disk_and_lattice_are_drawn_once_they_are_measured(measured, qtbot):
    look(qtbot, measured, 2, 3)
    overlay = measured.view.pattern.overlay
    assert overlay.disk_px[1] == pytest.approx(11.4, abs=0.4)
    assert overlay.com_px is not None
    assert not measured.measure_button.isVisible()
    measured.view.parts["disk"].setChecked(False)
    assert "disk" in measured.view.pattern.hidden


def test_what_another_dock_has_measured_is_there_at_once(measured, qtbot, window):
    second = ExplorerWidget(window)
    qtbot.addWidget(second)
    assert second.explored.inspection is measured.explored.inspection
    second.detach()


def test_counts_are_shown_linearly_logarithmically_or_with_a_gamma(dock, qtbot):
    look(qtbot, dock, 2, 3)
    levels = {}
    for place, name in enumerate(("linear", "log", "gamma")):
        dock.view.scale.setCurrentIndex(place)
        levels[name] = dock.view.pattern._levels.mean()
        assert dock.view.gamma.isHidden() == (name != "gamma")
    assert levels["linear"] < levels["gamma"] < levels["log"]


def test_pinned_positions_are_kept_marked_and_compared(measured, qtbot, window, scan):
    for place in ((1, 1), (6, 7), (6, 7)):
        look(qtbot, measured, *place)
        measured.compare.pin_button.click()
    assert [entry.name for entry in measured.compare.pinned] == ["A", "B"]
    np.testing.assert_array_equal(window.layers["film: pinned"].data, [(1, 1), (6, 7)])
    np.testing.assert_array_equal(measured.compare.views[1].pattern, scan.pattern(6, 7))
    measured.compare.way.setCurrentIndex(measured.compare.way.findData("difference"))
    shares = [scan.pattern(*place) / scan.pattern(*place).sum() for place in ((1, 1), (6, 7))]
    np.testing.assert_allclose(measured.compare.views[1].pattern, shares[1] - shares[0])
    measured.compare.drop("A")
    assert window.layers["film: pinned"].features["pin"].tolist() == ["B"]
    measured.compare.clear_button.click()
    assert "pins" not in roles(window)


def test_no_more_positions_are_pinned_than_there_is_room_for(dock, qtbot):
    for column in range(8):
        look(qtbot, dock, 0, column)
        dock.comparing.pin()
    assert len(dock.compare.pinned) == 6


def test_the_mean_follows_the_region_that_is_drawn(dock, qtbot, window, scan):
    dock.compare.region_button.click()
    layer = window.layers.selection.active
    assert layer.mode == "add_rectangle"
    layer.add_rectangles([[0.6, 1.6], [3.4, 4.4]])
    qtbot.waitUntil(lambda: len(dock.compare.pinned) == 1)
    assert dock.compare.pinned[0].caption == "9 pos."
    np.testing.assert_allclose(dock.compare.pinned[0].pattern, scan.data[1:4, 2:5].mean(axis=(0, 1)))
    layer.data = [np.array([[3.6, 1.6], [3.6, 4.4], [6.4, 4.4], [6.4, 1.6]])]
    expected = scan.data[4:7, 2:5].mean(axis=(0, 1))
    qtbot.waitUntil(lambda: np.allclose(dock.compare.pinned[0].pattern, expected))
    dock.compare.clear_button.click()
    assert "region" not in roles(window)


def test_a_virtual_detector_makes_an_image_that_follows_it(measured, qtbot, window, scan):
    measured.detector.kind.setCurrentIndex(measured.detector.kind.findData("disk"))
    qtbot.waitUntil(lambda: "virtual" in roles(window))
    weights = measured.detector.detector.weights((32, 32))
    expected = (scan.data * weights).sum(axis=(2, 3))
    np.testing.assert_allclose(window.layers["film: virtual image"].data, expected, rtol=1e-4)
    assert measured.detector.outer.suffix() == " mrad"
    measured.detector.outer.setValue(measured.detector.outer.value() / 2)
    smaller = (scan.data * measured.detector.detector.weights((32, 32))).sum(axis=(2, 3))
    qtbot.waitUntil(lambda: np.allclose(window.layers["film: virtual image"].data, smaller, rtol=1e-4))
    measured.detector.keep_button.click()
    qtbot.waitUntil(lambda: len(window.layers) == 3)
    measured.detector.kind.setCurrentIndex(0)
    assert roles(window) == ["virtual image", "kept virtual image"]


def test_a_coarse_copy_is_told_and_the_image_is_exact_when_let_go(measured, qtbot, window, scan, monkeypatch):
    def coarse(scan, max_bytes):
        return (yield from binned_steps(scan, max_bytes=72 * 4 * 64))

    monkeypatch.setattr(detecting, "binned_steps", coarse)
    measured.detector.kind.setCurrentIndex(measured.detector.kind.findData("annulus"))
    expected = (scan.data * measured.detector.detector.weights((32, 32))).sum(axis=(2, 3))
    qtbot.waitUntil(
        lambda: "virtual" in roles(window) and np.allclose(window.layers[-1].data, expected, rtol=1e-4, atol=1e-3)
    )
    assert "squares of 4 px" in measured.detector.said.text()


@pytest.fixture
def view(qtbot):
    widget = DetectorView()
    qtbot.addWidget(widget)
    widget.resize(320, 320)
    widget.show()
    widget.set_pattern(np.zeros((32, 32)))
    return widget


def at(view, y, x):
    zoom, left, top = view.frame()
    return QPointF(left + (x + 0.5) * zoom, top + (y + 0.5) * zoom).toPoint()


def drag(view, *places):
    QTest.mousePress(view, Qt.MouseButton.LeftButton, pos=at(view, *places[0]))
    for place in places[1:]:
        QTest.mouseMove(view, at(view, *place))
    QTest.mouseRelease(view, Qt.MouseButton.LeftButton, pos=at(view, *places[-1]))


def test_a_detector_is_moved_by_its_inside_and_sized_by_its_rims(view, dock):
    dock.detector._middle, dock.detector._disk_px = (15.0, 15.0), 6.0
    dock.detector.changed.connect(view.set_detector)
    view.dragged.connect(dock.detector.show_detector)
    dock.detector.begin("annulus")  # 6.9 to 12 px
    drag(view, (15, 27), (15, 29))
    assert view.detector.outer_px == pytest.approx(14, abs=0.3)
    drag(view, (15, 22), (15, 20))
    assert view.detector.inner_px == pytest.approx(5, abs=0.3)
    drag(view, (15, 12), (13, 14))
    assert view.detector.center_px == pytest.approx((13, 17), abs=0.3)
    assert dock.detector.detector is view.detector


def test_a_click_on_a_segment_changes_its_sign(view, dock):
    dock.detector._middle, dock.detector._disk_px = (15.0, 15.0), 10.0
    dock.detector.changed.connect(view.set_detector)
    dock.detector.begin("segments")
    assert view.detector.signs == (1, 0, -1, 0)
    drag(view, (15, 20))
    drag(view, (10, 15))
    assert view.detector.signs == (-1, 1, -1, 0)


def test_a_line_around_a_part_of_the_pattern_makes_a_detector(view, dock):
    dock.detector.changed.connect(view.set_detector)
    dock.detector.begin("drawn")
    drag(view, (5, 5), (5, 15), (15, 15), (15, 5))
    assert view.detector.weights((32, 32)).sum() == pytest.approx(100, abs=12)
    drag(view, (10, 10), (14, 10))
    assert view.detector.weights((32, 32))[17, 10] == 1


def test_deflections_are_shown_in_the_frame_of_the_scan(measured, window):
    assert measured.field.box.isEnabled()
    measured.field.box.setChecked(True)
    assert roles(window)[1:] == ["field", "field arrows"]
    before = window.layers[1].data.copy()
    layers = MapLayers(window)
    layers.update_scan(measured.explored.scan.calibrated(rotation_deg=90.0))
    assert "turned by 90°" in measured.field.said.text()
    assert not np.array_equal(window.layers[1].data, before)
    measured.field.box.setChecked(False)
    assert roles(window) == ["virtual image"]


def test_a_profile_follows_its_line_and_names_its_units(measured, qtbot, window, make_map, tmp_path):
    measured.profile.line_button.click()
    layer = window.layers.selection.active
    layer.add_lines([[4, 0], [4, 8]])
    qtbot.waitUntil(lambda: measured.profile.profile is not None)
    profile = measured.profile.profile
    assert profile.unit == "nm"
    assert profile.distance[-1] == pytest.approx(8 * 0.0995)
    assert list(profile.curves) == ["bright field"]
    measured.profile.quantity.setCurrentIndex(measured.profile.quantity.findData("polarization"))
    assert measured.profile.said.text() == "There is no map of this scan yet."
    for data, options, kind in map_layers(make_map()):
        options["metadata"]["polarmap_source"] = measured.explored.scan.data
        getattr(window, f"add_{kind}")(data, **options)
    measured.profile.changed.emit()
    curves = measured.profile.profile.curves
    assert curves["along the line"][0] == pytest.approx(1)  # RM
    assert curves["along the line"][-1] == pytest.approx(-np.sqrt(0.5), abs=1e-3)  # LU
    assert curves["left of it"][-1] == pytest.approx(np.sqrt(0.5), abs=1e-3)
    measured.profile.save(tmp_path / "wall.csv")
    assert (tmp_path / "wall.csv").read_text().splitlines()[0] == (
        "distance [nm],along the line (direction of P (length 1)),left of it (direction of P (length 1))"
    )


def test_keys_pin_and_change_the_scale_until_the_dock_is_closed(dock, qtbot, window):
    look(qtbot, dock, 2, 3)
    keymap = {str(key): target for key, target in window.keymap.items()}
    keymap["K"](window)
    keymap["G"](window)
    assert [entry.position for entry in dock.compare.pinned] == [(2, 3)]
    assert dock.view.scale.currentData() == "log"


def test_another_scan_clears_what_belongs_to_the_first(measured, qtbot, window, scan, patterns):
    look(qtbot, measured, 1, 1)
    measured.comparing.pin()
    other = replace(scan, data=patterns((5, 5)), name="second")
    data, options, _ = scan_layer(other, other.data.sum(axis=(2, 3)))
    window.add_image(data, **options)
    measured.choice.activated.emit(1)
    assert measured.compare.pinned == []
    assert measured.explored.scan is other
    assert measured.view.pattern.pattern is None
    assert measured.measure_button.isEnabled()
    window.layers.remove("second: bright field")
    assert measured.explored.scan is scan


def test_deleting_every_layer_leaves_an_empty_explorer(measured, qtbot, window):
    measured.detector.kind.setCurrentIndex(1)
    measured.field.box.setChecked(True)
    measured.profile.line_button.click()
    window.layers.clear()
    assert measured.explored.scan is None
    assert not measured.detector.kind.isEnabled()
