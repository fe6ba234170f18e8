"""Layers as plain data: what napari is given for a scan and for a result."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.layers import Layer

from napari_polarmap.core.data import Calibration, Scan4D
from napari_polarmap.core.directions import COLORS, UNDEFINED, Direction
from napari_polarmap.core.domain_table import boundaries
from napari_polarmap.core.palette import angle_rgb, luminance, rgb_of
from napari_polarmap.io.display import Display
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.pipeline.display_layers import angle_layer, arrow_ink, arrow_layer, outline_layer
from napari_polarmap.pipeline.layers import (
    MAP_KEY,
    ROLE_KEY,
    SCAN_KEY,
    SOURCE_KEY,
    default_spacing_px,
    direction_layer,
    direction_shares,
    irregular_layer,
    map_layers,
    misclassified_layer,
    scan_layer,
)
from napari_polarmap.pipeline.reading import reading


@pytest.fixture
def result() -> PolarizationMap:
    """A map of 8 x 12 positions: left half MU, right half LM, one corner undefined."""
    shape = (8, 12)
    domain = np.full(shape, Direction.LM, np.uint8)
    domain[:, :6] = Direction.MU
    domain[0, 0] = UNDEFINED
    probability = np.full((*shape, 8), 0.3 / 7, np.float32)
    np.put_along_axis(probability, np.where(domain == UNDEFINED, 0, domain)[..., None].astype(int), 0.7, axis=2)
    probability[0, 0] = np.nan
    irregular = np.zeros(shape, bool)
    irregular[3, 4] = irregular[5, 7] = True
    return PolarizationMap(
        direction=domain,
        probability=probability,
        angle_deg=np.where(domain == UNDEFINED, np.nan, 45.0 * domain).astype(np.float32),
        confidence=probability.max(axis=-1),
        irregularity=irregular.astype(np.float32) * 5,
        irregular=irregular,
        com_px=np.zeros((*shape, 2), np.float32),
        domain=domain,
        virtual_image=np.arange(96, dtype=np.float32).reshape(shape),
        provenance={"calibration": {"scan_step_A": 0.5, "convergence_mrad": 24.0, "of_a_later_version": 1}},
    )


def by_role(layers):
    return {options["metadata"][ROLE_KEY]: (data, options, kind) for data, options, kind in layers}


def test_napari_accepts_every_layer_of_a_result(result):
    layers = map_layers(replace(result, misclassified=result.irregular))
    made = [Layer.create(data, dict(options), kind) for data, options, kind in layers]
    assert [layer.name for layer in made if layer.visible] == [
        "Bright field",
        "Polarization direction",
        "Domain outlines",
        "Differs from reference",
        "Polarization arrows",
        "Irregular positions",
        "Irregular regions",
    ]


def test_every_layer_has_the_same_scale_unit_and_axes(result):
    for _, options, _ in map_layers(result):
        assert options["scale"] == pytest.approx((0.05, 0.05))
        assert options["units"] == ("nm", "nm")
        assert options["axis_labels"] == ("y", "x")


def test_without_a_scan_step_layers_are_in_pixels(result):
    unknown = replace(result, provenance={})
    assert all(options["units"] == ("pixel", "pixel") for _, options, _ in map_layers(unknown))


def test_every_layer_holds_the_result_and_a_common_source(result):
    for _, options, _ in map_layers(result):
        assert options["metadata"][MAP_KEY] is result
        assert options["metadata"][SOURCE_KEY] is result


def test_labels_have_the_eight_colours_and_undefined_is_transparent(result):
    layer = Layer.create(*direction_layer(result))
    for direction, color in enumerate(COLORS):
        expected = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)] + [1.0]
        np.testing.assert_allclose(layer.get_color(direction + 1), expected, atol=1e-6)
    assert layer.data[0, 0] == 0
    assert layer.colormap.map(np.array([0], np.uint8))[0, 3] == 0


def test_the_status_bar_reads_direction_angle_confidence_and_area(result):
    layer = Layer.create(*direction_layer(result))
    text = layer.get_status((2 * 0.05, 2 * 0.05), world=True)["value"]
    assert "direction: MU" in text
    assert "angle: 90°" in text
    assert "mean confidence: 0.70" in text
    assert "area: 49.0 %" in text


def test_arrows_point_along_the_polarization_on_the_screen(result):
    data, _, kind = arrow_layer(result, Display(arrow_spacing_px=2))
    assert kind == "vectors"
    start, shift = data[: len(data) // 3, 0], data[: len(data) // 3, 1]
    middle = start + shift / 2
    left = middle[:, 1] < 5.5
    assert (shift[left, 0] < 0).all()
    np.testing.assert_allclose(shift[left, 1], 0, atol=1e-9)
    assert (shift[~left, 1] < 0).all()
    np.testing.assert_allclose(shift[~left, 0], 0, atol=1e-9)


def test_arrows_follow_a_crystal_that_is_turned_against_the_scan(result):
    turned = replace(result, provenance={"calibration": {"crystal_angle_deg": 50.0}})
    shift = arrow_layer(turned, Display(arrow_spacing_px=1))[0][: 8 * 12 - 1, 1]
    angle = np.degrees(np.arctan2(-shift[:, 0], shift[:, 1])) % 360
    assert sorted(set(angle.round(6))) == [95.0, 185.0]
    assert direction_layer(turned)[1]["features"]["angle"][1] == "5°"


@pytest.mark.parametrize("spacing_px", [1, 2, 3, 5, 40])
def test_arrows_stay_inside_the_map(result, spacing_px):
    data, _, _ = arrow_layer(result, Display(arrow_spacing_px=spacing_px))
    middle = (data[:, 0] + data[:, 1] / 2)[: len(data) // 3]
    assert (middle >= -0.5).all()
    assert (middle <= np.array(result.scan_shape) - 0.5).all()


def test_undefined_positions_have_no_arrow(result):
    data, _, _ = arrow_layer(result, Display(arrow_spacing_px=1))
    assert len(data) == 3 * (8 * 12 - 1)


def test_the_head_of_an_arrow_begins_at_its_tip_and_opens_backwards(result):
    data, _, _ = arrow_layer(result, Display(arrow_spacing_px=4))
    shaft, left, right = np.split(data, 3)
    for side in (left, right):
        np.testing.assert_allclose(side[:, 0], shaft.sum(axis=1))
        assert ((side[:, 1] * shaft[:, 1]).sum(axis=1) < 0).all()


def test_a_map_without_any_direction_has_layers_but_no_arrows(result):
    empty = np.full(result.scan_shape, UNDEFINED, np.uint8)
    nothing = replace(result, domain=empty, confidence=np.full(result.scan_shape, np.nan, np.float32))
    assert len(arrow_layer(nothing)[0]) == 0
    for data, options, kind in map_layers(nothing):
        Layer.create(data, dict(options), kind)


def test_arrows_contrast_with_the_colour_under_them():
    colors = np.concatenate([[rgb_of(color) for color in COLORS], angle_rgb(np.arange(0, 360, 5))])
    below, above = luminance(colors), luminance(arrow_ink(colors)[:, :3])
    bright, dark = np.maximum(below, above), np.minimum(below, above)
    assert ((bright + 0.05) / (dark + 0.05) >= 4.3).all()


def test_the_angle_layer_has_the_hue_of_the_angle_and_the_lightness_of_the_magnitude(result):
    angle = np.full(result.scan_shape, 200.0, np.float32)
    magnitude = np.linspace(0, 1, 96, dtype=np.float32).reshape(result.scan_shape)
    data, options, kind = angle_layer(replace(result, estimated_angle_deg=angle, magnitude=magnitude))
    assert kind == "image"
    assert options["rgb"]
    assert not options["visible"]
    np.testing.assert_allclose(data[-1, -1, :3], 255 * angle_rgb(200.0), atol=1)
    assert (np.diff(data[4, :, :3].sum(axis=-1).astype(int)) > 0).all()
    assert data[0, 0, 3] == 0


def test_without_an_estimator_the_angle_is_that_of_the_mean_direction(result):
    probability = np.zeros_like(result.probability)
    probability[..., [0, 1]] = 0.5
    data, _, _ = angle_layer(replace(result, probability=probability), Display(lightness="full"))
    np.testing.assert_allclose(data[3, 3, :3], 255 * angle_rgb(22.5), atol=1)


def test_arrows_over_the_continuous_angle_point_along_it(result):
    angled = replace(result, estimated_angle_deg=np.full(result.scan_shape, 70.0, np.float32))
    _, options, _ = arrow_layer(angled, Display(colors="angle", arrow_spacing_px=4))
    assert set(options["features"]["angle"]) == {"70°"}


def test_the_length_of_arrows_is_a_share_of_their_distance(result):
    half, full = (arrow_layer(result, Display(arrow_spacing_px=4, arrow_length=length))[0] for length in (0.5, 1.0))
    np.testing.assert_allclose(full[:, 1], 2 * half[:, 1], atol=1e-12)
    assert np.linalg.norm(full[0, 1]) == pytest.approx(4)


def test_outlines_run_along_the_walls_between_positions(result):
    lines, options, kind = outline_layer(result)
    assert kind == "vectors"
    wall, around_the_corner = lines[lines[:, 0, 1] == 5.5], lines[lines[:, 0, 1] != 5.5]
    assert wall.tolist() == [[[-0.5, 5.5], [8.0, 0.0]]]
    assert np.abs(around_the_corner[:, 1]).sum() == 2
    assert options["edge_width"] > 0


def test_outlines_are_as_long_as_the_boundary():
    classes = np.random.default_rng(0).integers(0, 3, (20, 30)).astype(np.uint8)
    edges = (classes[1:] != classes[:-1]).sum() + (classes[:, 1:] != classes[:, :-1]).sum()
    assert boundaries(classes)[:, 1].sum() == edges


@pytest.mark.parametrize(
    "change", [{"colors": "grey"}, {"lightness": "x"}, {"arrow_spacing_px": 0}, {"arrow_length": 9}]
)
def test_a_display_that_does_not_fit_is_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        Display(**change)


def test_large_maps_have_at_most_24_arrows_a_side():
    assert [default_spacing_px((n, n // 2)) for n in (1, 24, 25, 128, 256)] == [1, 1, 2, 6, 11]


def test_markers_sit_on_irregular_positions(result):
    data, options, kind = irregular_layer(result)
    assert kind == "points"
    assert data.tolist() == [[3, 4], [5, 7]]
    assert options["features"]["irregularity"].tolist() == [5, 5]


def test_crosses_sit_where_the_map_differs_from_the_reference(result):
    other = result.domain == Direction.LM
    assert len(misclassified_layer(replace(result, misclassified=other))[0]) == other.sum()
    assert "misclassified" not in by_role(map_layers(result))


def test_shares_count_undefined_positions_in_the_total(result):
    shares = direction_shares(result.domain)
    assert shares[Direction.MU] == pytest.approx(47 / 96)
    assert shares.sum() == pytest.approx(95 / 96)


def test_a_scan_layer_carries_the_scan():
    scan = Scan4D(np.ones((3, 4, 8, 8)), Calibration(scan_step_A=2.0), "film")
    image, options, kind = scan_layer(scan, np.ones((3, 4)))
    assert kind == "image"
    assert options["metadata"][SCAN_KEY] is scan
    assert options["name"] == "film: bright field"
    assert options["scale"] == (0.2, 0.2)
    Layer.create(image, dict(options), kind)


def test_one_hot_position_does_not_darken_the_image():
    image = np.random.default_rng(0).normal(100, 5, (40, 40))
    image[3, 3] = 1e6
    scan = Scan4D(np.ones((40, 40, 2, 2)))
    assert scan_layer(scan, image)[1]["contrast_limits"][1] < 130


@pytest.mark.parametrize("value", [0.0, np.nan, 7.0])
def test_an_image_without_contrast_still_has_limits(value):
    low, high = scan_layer(Scan4D(np.ones((4, 4, 2, 2))), np.full((4, 4), value))[1]["contrast_limits"]
    assert low < high


@pytest.fixture
def estimated(result) -> PolarizationMap:
    """The map with what the physical estimator adds; nothing is known in the corner."""
    thickness = np.full(result.scan_shape, 21.2, np.float32)
    thickness[0, 0] = np.nan
    tilt = np.stack([0.6 * thickness / thickness, 0.8 * thickness / thickness], axis=-1)
    return replace(
        result,
        thickness_nm=thickness,
        thickness_error_nm=thickness / 10,
        tilt_mrad=tilt,
        magnitude=thickness / 21.2,
        window_cells=np.where(np.isnan(thickness), 0, 2).astype(np.float32),
    )


def test_what_the_estimator_says_comes_as_layers_that_are_off_at_first(estimated):
    layers = by_role(map_layers(estimated))
    made = {role: Layer.create(*layers[role]) for role in ("thickness", "tilt", "magnitude", "cells")}
    assert not any(layer.visible for layer in made.values())
    assert made["tilt"].data[4, 4] == pytest.approx(1.0)
    assert made["thickness"].data[4, 4] == pytest.approx(21.2)
    assert not {"thickness", "tilt", "magnitude", "cells"} & by_role(map_layers(replace(estimated, **NOTHING))).keys()


NOTHING = dict.fromkeys(("thickness_nm", "tilt_mrad", "magnitude", "window_cells"))


@pytest.mark.parametrize("role", ["confidence", "thickness", "tilt", "magnitude", "cells"])
def test_where_nothing_is_known_every_layer_is_transparent(estimated, role):
    layer = Layer.create(*by_role(map_layers(estimated))[role])
    assert np.isnan(layer.data[0, 0])
    assert np.isfinite(layer.data[1:, 1:]).all()
    assert layer.colormap.map(np.array([np.nan]))[0, 3] == 0


@pytest.mark.parametrize(
    ("change", "place", "expected"),
    [
        ({}, (3, 2), "MU 90° · 70 % sure · 21 ± 2 nm · tilt 1.0 mrad · window 2 cells"),
        ({}, (0, 0), "undefined"),
        (NOTHING, (3, 9), "LM 180° · 70 % sure"),
        ({"window_cells": np.ones((8, 12), np.float32), "thickness_error_nm": None}, (3, 2), "21 nm"),
        ({"direction": np.zeros((8, 12), np.uint8)}, (3, 2), "MU 90° · window RM 0°, 70 % sure"),
    ],
)
def test_the_reading_of_a_position_names_what_is_known(estimated, change, place, expected):
    assert expected in reading(replace(estimated, **change), *place)
