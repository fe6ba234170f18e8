"""The dock that compares two maps."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_polarmap.core.directions import Direction
from napari_polarmap.models.weights import ModelInfo
from napari_polarmap.pipeline.inspection import Progress
from napari_polarmap.pipeline.layers import MAP_KEY, scan_layer
from napari_polarmap.widgets import compare_widget
from napari_polarmap.widgets.compare_widget import CompareWidget
from napari_polarmap.widgets.map_layers import MapLayers

INFO = ModelInfo(name="one", title="One", network="cnn", grid_px=32, grid_mrad=2.1, licence="CC0-1.0")


@pytest.fixture
def dock(qtbot, viewer, monkeypatch):
    monkeypatch.setattr(compare_widget, "list_models", lambda: [INFO, replace(INFO, name="two", title="Two")])
    widget = CompareWidget(viewer)
    qtbot.addWidget(widget)
    yield widget
    widget.detach()


def named(result, name):
    return replace(result, provenance={**result.provenance, "model": {"title": name, "name": name}, "date": name})


@pytest.fixture
def both(result):
    """A map, and one in which a row is opposite and a row is undefined."""
    domain = result.domain.copy()
    domain[0] = (domain[0] + 4) % 8
    domain[1] = 255
    return named(result, "A"), named(replace(result, domain=domain), "B")


def shown(viewer):
    return [layer.name for layer in viewer.layers if layer.visible]


def test_one_map_is_not_enough(dock, viewer, both):
    assert dock.said.text().startswith("Two maps of the same scan are needed")
    MapLayers(viewer).show_map(both[0], "source")
    assert dock.said.text().startswith("Two maps of the same scan are needed")
    assert not dock.buttons["difference"].isEnabled()


def test_a_second_run_is_compared_with_the_first_although_it_takes_its_layers(dock, viewer, both):
    layers = MapLayers(viewer)
    for result in both:
        layers.show_map(result, "source")
    assert [dock.first.currentText(), dock.second.currentText()] == ["A — scan", "B — scan"]
    assert dock.said.text() == (
        "75.0 % of the directions agree, 12.5 % opposite, 12.5 % one undefined. "
        "Where they differ, the first is 80 % and the second 80 % sure."
    )


def test_views_are_toggled_and_the_window_is_as_before_when_off(dock, viewer, both, qtbot):
    MapLayers(viewer).show_map(both[0], "source")
    dock.add(both[1])
    before = shown(viewer)
    for name, expected in (
        ("first", ["First: A"]),
        ("second", ["Second: B"]),
        ("difference", ["Difference"]),
        ("beside", ["First: A", "Second: B", "Difference", "Captions"]),
    ):
        qtbot.mouseClick(dock.buttons[name], Qt.MouseButton.LeftButton)
        assert shown(viewer) == expected
    qtbot.mouseClick(dock.buttons["off"], Qt.MouseButton.LeftButton)
    assert shown(viewer) == before
    assert not any(layer.name.startswith(("First", "Second", "Difference", "Captions")) for layer in viewer.layers)


def test_the_difference_map_shows_the_angle_between_the_two(dock, viewer, both):
    dock.add(both[0])
    dock.add(both[1])
    dock.show_view("difference")
    layer = viewer.layers["Difference"]
    assert (layer.data[0] == 5).all()
    assert (layer.data[1] == 6).all()
    assert (layer.data[2:] == 1).all()
    assert "opposite" in layer.get_status((0.0, 0.0), world=True)["value"]


def test_maps_side_by_side_do_not_overlap(dock, viewer, both):
    for result in both:
        dock.add(result)
    dock.show_view("beside")
    extents = [viewer.layers[name].extent.world for name in ("First: A", "Second: B", "Difference")]
    for left, right in pairwise(extents):
        assert (right[0] > left[1]).any()


def test_the_scan_is_mapped_with_another_classifier(dock, viewer, both, scan, monkeypatch, qtbot):
    asked = []

    def again(scan_, model, params):
        asked.append((scan_, model, params.pool))
        yield Progress("classifying", 1, 2)
        return both[1]

    monkeypatch.setattr(compare_widget, "map_again", again)
    data, options, _ = scan_layer(scan, np.ones(scan.scan_shape))
    viewer.add_image(data, **options)
    MapLayers(viewer).show_map(
        replace(both[0], provenance={**both[0].provenance, "parameters": {"pool": "cell"}}), scan.data
    )
    assert dock.model.currentData() == "two"
    qtbot.mouseClick(dock.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.comparison is not None)
    assert asked == [(scan, "two", "cell")]
    qtbot.waitUntil(dock.run_button.isEnabled)


def test_without_a_scan_it_says_what_to_do(dock, viewer, both, qtbot):
    MapLayers(viewer).show_map(both[0], "source")
    qtbot.mouseClick(dock.run_button, Qt.MouseButton.LeftButton)
    assert dock.said.text().startswith("Open the scan")


def test_files_can_be_compared_and_other_scans_are_refused(dock, both, make_map, tmp_path):
    dock.add(both[0])
    dock.add_file(both[1].save(tmp_path / "b.h5"))
    assert dock.comparison is not None
    dock.add_file(named(make_map((9, 8)), "C").save(tmp_path / "c.h5"))
    dock.second.setCurrentIndex(2)
    assert "maps of the same scan fit" in dock.said.text()
    assert not dock.buttons["beside"].isEnabled()


def test_a_map_that_is_judged_anew_is_the_same_map(dock, viewer, both):
    layers = MapLayers(viewer)
    layers.show_map(both[0], "source")
    layers.update(replace(both[0], irregular=~both[0].irregular), "source")
    layers.show_map(replace(both[0], domain=np.full_like(both[0].domain, Direction.MD)), "source")
    assert len(dock.maps) == 1
    assert dock.maps[0] is viewer.layers["Polarization direction"].metadata[MAP_KEY]


def test_closing_the_dock_leaves_the_window_as_it_was(viewer, both, dock):
    MapLayers(viewer).show_map(both[0], "source")
    dock.add(both[1])
    before = shown(viewer)
    dock.show_view("beside")
    dock._remove()
    assert shown(viewer) == before


@pytest.mark.parametrize("deleted", ["Difference", "Captions", "First: A"])
def test_a_layer_that_was_deleted_comes_back_with_the_next_view(dock, viewer, both, deleted):
    MapLayers(viewer).show_map(both[0], "source")
    dock.add(both[1])
    before = shown(viewer)
    dock.show_view("beside")
    viewer.layers.remove(deleted)
    dock.show_view("second")
    assert shown(viewer) == ["Second: B"]
    dock.show_view("beside")
    assert shown(viewer) == ["First: A", "Second: B", "Difference", "Captions"]
    dock.show_view("off")
    assert shown(viewer) == before
