"""Layers of maps in a viewer: added once, then kept up to date."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_polarmap.core.directions import UNDEFINED, Direction
from napari_polarmap.pipeline.layers import MAP_KEY, arrow_layer, irregular_layer, misclassified_layer
from napari_polarmap.widgets.map_layers import MapLayers


@pytest.fixture
def layers(viewer):
    return MapLayers(viewer)


def names(viewer):
    return [layer.name for layer in viewer.layers if layer.visible]


def test_a_scan_and_its_map_lie_on_top_of_each_other(viewer, layers, scan, result):
    layers.show_scan(scan, np.ones(scan.scan_shape))
    layers.show_map(result, scan.data)
    assert names(viewer)[:2] == ["film: bright field", "Polarization direction"]
    assert names(viewer)[2:] == ["Domain outlines", "Polarization arrows", "Irregular positions", "Irregular regions"]
    assert {tuple(layer.scale) for layer in viewer.layers} == {(0.0995, 0.0995)}
    assert viewer.canvas.overlays.scale_bar.visible


def test_a_second_run_exchanges_the_data_and_keeps_what_the_user_set(viewer, layers, scan, result):
    layers.show_map(result, scan.data)
    before = list(viewer.layers)
    map_layer = layers.layer("direction", scan.data)
    map_layer.opacity = 0.3
    map_layer.name = "mine"
    other = np.full(result.scan_shape, Direction.MD, np.uint8)
    other[0, 0] = UNDEFINED
    layers.show_map(replace(result, domain=other, irregular=np.ones(result.scan_shape, bool)), scan.data)
    assert list(viewer.layers) == before
    assert map_layer.opacity == 0.3
    assert map_layer.name == "mine"
    assert (map_layer.data[1:] == Direction.MD + 1).all()
    arrows = layers.layer("arrows", scan.data)
    assert set(arrows.features["direction"]) == {"MD"}
    np.testing.assert_allclose(arrows.edge_color, arrow_layer(replace(result, domain=other))[1]["edge_color"])
    assert len(layers.layer("irregular", scan.data).data) == result.irregular.size


def test_a_map_that_becomes_empty_and_full_again_is_shown(viewer, layers, scan, result):
    nothing = replace(
        result, domain=np.full(result.scan_shape, UNDEFINED, np.uint8), irregular=np.zeros(result.scan_shape, bool)
    )
    for current in (result, nothing, result):
        layers.show_map(current, scan.data)
    assert len(layers.layer("arrows", scan.data).data) == 3 * result.domain.size
    assert len(layers.layer("irregular", scan.data).data) == 1


def test_maps_of_two_scans_do_not_touch_each_other(viewer, layers, scan, result):
    other = replace(scan, data=scan.data.copy())
    layers.show_map(result, scan.data)
    layers.show_map(result, other.data)
    assert len(layers.of(scan.data)) == len(layers.of(other.data)) == len(viewer.layers) / 2


def test_deleted_layers_stay_away_until_the_next_run(viewer, layers, scan, result):
    layers.show_map(result, scan.data)
    viewer.layers.remove(layers.layer("irregular", scan.data))
    layers.update(result, scan.data, irregular_layer(result))
    assert layers.layer("irregular", scan.data) is None
    layers.show_map(result, scan.data)
    assert layers.layer("irregular", scan.data) is not None


def test_every_layer_knows_the_changed_result(viewer, layers, scan, result):
    layers.show_map(result, scan.data)
    changed = replace(result, irregular=~result.irregular)
    layers.update(changed, scan.data, irregular_layer(changed))
    assert all(layer.metadata[MAP_KEY] is changed for layer in viewer.layers)
    assert len(layers.layer("irregular", scan.data).data) == changed.irregular.sum()


def test_the_reference_comes_below_the_arrows_and_goes_again(viewer, layers, scan, result):
    layers.show_map(result, scan.data)
    layers.select("direction", scan.data)
    active = viewer.layers.selection.active
    layers.add(misclassified_layer(replace(result, misclassified=result.irregular)), scan.data)
    assert names(viewer)[-4:-1] == ["Differs from reference", "Polarization arrows", "Irregular positions"]
    assert viewer.layers.selection.active is active
    layers.remove("misclassified", scan.data)
    assert "Differs from reference" not in names(viewer)


def test_a_new_scan_step_reaches_every_layer(viewer, layers, scan, result):
    layers.show_scan(scan, np.ones(scan.scan_shape))
    layers.show_map(result, scan.data)
    layers.update_scan(scan.calibrated(scan_step_A=20.0))
    assert {tuple(layer.scale) for layer in viewer.layers} == {(2.0, 2.0)}


def test_the_preview_becomes_the_full_image(viewer, layers, scan):
    from napari_polarmap.pipeline.layers import scan_layer

    data, options, _ = scan_layer(scan, np.zeros(scan.scan_shape), preview=True)
    viewer.add_image(data, **options)
    layers.show_scan(scan, np.arange(72.0).reshape(8, 9))
    (layer,) = viewer.layers
    assert layer.name == "film: bright field"
    assert layer.data.max() == 71
    assert layer.contrast_limits[1] > 60
