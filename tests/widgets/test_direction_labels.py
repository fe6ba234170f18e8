"""The status bar reads the map at the cursor, in a real window and without one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_polarmap.pipeline.layers import map_layers
from napari_polarmap.widgets.direction_labels import make_layer
from napari_polarmap.widgets.map_layers import MapLayers


@pytest.fixture
def estimated(make_map):
    shape = (8, 9)
    return replace(
        make_map(shape),
        thickness_nm=np.full(shape, 21.0, np.float32),
        thickness_error_nm=np.full(shape, 2.0, np.float32),
        window_cells=np.full(shape, 2, np.float32),
    )


EXPECTED = "row 2, column 7: LU 135° · 80 % sure · 21 ± 2 nm · window 2 cells"


def test_the_status_bar_reads_direction_confidence_and_thickness(viewer, estimated):
    layers = MapLayers(viewer)
    layers.show_map(estimated, "source")
    layers.select("direction", "source")
    viewer.mouse_over_canvas = True
    viewer.cursor.position = (2 * 0.0995, 7 * 0.0995)
    viewer.update_status_from_cursor()
    assert viewer.status["coordinates"] == EXPECTED
    viewer.cursor.position = (-5.0, 0.0)
    viewer.update_status_from_cursor()
    assert "sure" not in viewer.status["coordinates"]


def test_napari_takes_the_layer_for_labels(estimated):
    made = [make_layer(data, options, kind) for data, options, kind in map_layers(estimated)]
    direction = next(layer for layer in made if layer.metadata["polarmap_role"] == "direction")
    assert direction.as_layer_data_tuple()[2] == "labels"


@pytest.mark.gui
def test_the_status_bar_of_a_real_window_reads_the_map(make_napari_viewer, qtbot, estimated):
    viewer = make_napari_viewer(show=True)
    layers = MapLayers(viewer)
    layers.show_map(estimated, "source")
    layers.select("direction", "source")
    viewer.mouse_over_canvas = True
    viewer.cursor.position = (2 * 0.0995, 7 * 0.0995)
    viewer.update_status_from_cursor()
    bar = viewer.window._qt_window.statusBar()
    qtbot.waitUntil(lambda: "80 % sure · 21 ± 2 nm" in bar._coordinates.text(), timeout=20_000)
