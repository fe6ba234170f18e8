"""Where the predictions repeat with the lattice nothing is irregular; where they stop, there is a defect."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import ndimage

from napari_polarmap.core.irregularity import benjamini_hochberg, irregular_at, irregularity
from napari_polarmap.core.lattice import Lattice, lattice_from_step
from napari_polarmap.core.metrics import roc_auc

SHAPE = (80, 88)


def square(period_px: float = 8.0, angle_deg: float = 0.0) -> Lattice:
    return lattice_from_step(1 / period_px, 1.0, angle_deg)


def repeating(lattice: Lattice, seed: int, shape: tuple[int, int] = SHAPE, shift: float = 0.0) -> np.ndarray:
    """Eight maps that repeat with the lattice, for a soft maximum."""
    rng = np.random.default_rng(seed)
    cell = lattice.coordinates(shape) + shift
    out = np.zeros((*shape, 8))
    for h in range(-2, 3):
        for k in range(-2, 3):
            phase = 2 * np.pi * (cell @ [h, k])[..., None]
            out += (np.cos(phase) * rng.standard_normal(8) + np.sin(phase) * rng.standard_normal(8)) / (
                1 + h * h + k * k
            )
    return 2 * out


def predicted(maps: np.ndarray, noise: float, votes: int = 0, seed: int = 0) -> np.ndarray:
    """Probabilities of a classifier that errs from pattern to pattern, or of one that counts few neighbours."""
    rng = np.random.default_rng(seed)
    maps = maps + noise * rng.standard_normal(maps.shape)
    probability = np.exp(maps - maps.max(axis=-1, keepdims=True))
    probability /= probability.sum(axis=-1, keepdims=True)
    return rng.multinomial(votes, probability) / votes if votes else probability


def radius_from(place: tuple[float, float]) -> np.ndarray:
    y, x = np.indices(SHAPE)
    return np.hypot(y - place[0], x - place[1])


def with_missing_column(lattice: Lattice, place: tuple[float, float] = (43.3, 37.1)) -> tuple[np.ndarray, np.ndarray]:
    """A defect about one cell wide, and where it is."""
    near = np.exp(-((radius_from(place) / (0.35 * lattice.period_px)) ** 2) / 2)[..., None]
    maps = (1 - near) * repeating(lattice, 1) + near * repeating(lattice, 9)
    return maps, radius_from(place) <= lattice.period_px / 2


NOISE = [(0.0, 0), (0.5, 0), (2.0, 0), (0.0, 5), (1.0, 5)]


@pytest.mark.parametrize(("noise", "votes"), NOISE)
@pytest.mark.parametrize(("period_px", "angle_deg"), [(8, 0), (10.67, 7)])
def test_a_missing_column_is_found_and_nothing_else(noise, votes, period_px, angle_deg):
    lattice = square(period_px, angle_deg)
    maps, truth = with_missing_column(lattice)
    found = irregularity(predicted(maps, noise, votes), lattice)
    away = ndimage.distance_transform_edt(~truth) > period_px
    assert roc_auc(found.score, truth) > 0.95
    assert found.irregular[truth].mean() > 0.8
    assert found.irregular[away].mean() < 0.01


@pytest.mark.parametrize(("noise", "votes"), [(0.5, 0), (2.0, 0), (0.0, 5)])
def test_a_missing_column_is_placed_within_half_a_cell(noise, votes):
    maps, _ = with_missing_column(square())
    score = irregularity(predicted(maps, noise, votes), square()).score
    assert radius_from((43.3, 37.1))[np.unravel_index(np.argmax(score), SHAPE)] < 4


@pytest.mark.parametrize(("noise", "votes"), [(0.0, 0), (1.0, 0), (1.0, 5)])
def test_an_amorphous_patch_does_not_define_what_is_regular(noise, votes):
    truth = radius_from((40, 40)) <= 18
    random = 24 * ndimage.gaussian_filter(np.random.default_rng(5).standard_normal((*SHAPE, 8)), (2, 2, 0))
    maps = np.where(truth[..., None], random, repeating(square(), 1))
    found = irregularity(predicted(maps, noise, votes), square())
    away = ndimage.distance_transform_edt(~truth) > 8
    assert roc_auc(found.score, truth) > 0.95
    assert found.irregular[truth].mean() > 0.8
    assert found.irregular[away].mean() < 0.02


@pytest.mark.parametrize(("noise", "votes"), NOISE)
def test_a_regular_crystal_is_regular(noise, votes):
    found = irregularity(predicted(repeating(square(7.3, 5), 1), noise, votes), square(7.3, 5))
    assert found.irregular.mean() < 0.005


@pytest.mark.parametrize(("noise", "votes"), NOISE)
def test_a_slow_bend_is_no_defect(noise, votes):
    along = np.linspace(0, 1, SHAPE[1])[None, :, None]
    maps = repeating(square(), 1) + 0.5 * along * repeating(square(), 2) + np.sin(2 * along) * np.linspace(-0.5, 0.5, 8)
    found = irregularity(predicted(maps, noise, votes), square())
    assert found.irregular.mean() < 0.02


@pytest.mark.parametrize(("noise", "votes"), [(0.0, 0), (0.5, 0), (0.0, 5)])
def test_a_domain_wall_is_a_narrow_line_between_two_quiet_sides(noise, votes):
    y, x = np.indices(SHAPE)
    beyond = x - 44 - 0.2 * (y - 40)
    maps = np.where((beyond > 0)[..., None], repeating(square(), 7), repeating(square(), 1))
    found = irregularity(predicted(maps, noise, votes), square())
    assert found.irregular[np.abs(beyond) > 8].mean() < 0.01
    assert np.median(found.score[np.abs(beyond) < 1]) > 3


def test_a_planar_fault_shows_although_both_sides_are_the_same_crystal():
    x = np.indices(SHAPE)[1]
    maps = np.where((x > 44)[..., None], repeating(square(), 1, shift=0.5), repeating(square(), 1))
    found = irregularity(predicted(maps, 0.5), square())
    assert roc_auc(found.score, np.abs(x - 44.5) < 4) > 0.95


def test_undefined_positions_have_no_score_and_do_not_disturb_their_neighbours():
    maps, truth = with_missing_column(square())
    probability = predicted(maps, 0.5)
    probability[:20] = np.nan
    probability[60, 60] = np.nan
    found = irregularity(probability, square())
    undefined = np.isnan(probability).any(axis=-1)
    assert np.isnan(found.score[undefined]).all()
    assert np.isnan(found.p_value[undefined]).all()
    assert not found.irregular[undefined].any()
    assert np.isfinite(found.score[~undefined]).all()
    assert found.irregular[truth].mean() > 0.8
    assert found.irregular[~truth & (radius_from((43.3, 37.1)) > 12)].mean() < 0.01


def test_a_map_without_any_prediction_has_no_irregularity():
    found = irregularity(np.full((20, 20, 8), np.nan), square())
    assert np.isnan(found.score).all()
    assert not found.irregular.any()


def test_a_constant_prediction_is_regular():
    found = irregularity(np.full((32, 32, 8), 1 / 8), square())
    assert not found.irregular.any()


def test_without_a_lattice_neighbours_are_compared():
    smooth = repeating(square(60), 1)
    odd = radius_from((40, 40)) < 5
    smooth[odd] = repeating(square(60), 4)[odd]
    found = irregularity(predicted(smooth, 0.3), None)
    assert roc_auc(found.score, odd) > 0.9


def test_any_features_that_repeat_can_take_the_place_of_probabilities():
    maps, truth = with_missing_column(square())
    mixed = maps @ np.random.default_rng(6).standard_normal((8, 30))
    found = irregularity(
        predicted(maps, 0), square(), embedding=mixed + np.random.default_rng(7).standard_normal(mixed.shape)
    )
    assert roc_auc(found.score, truth) > 0.95


def test_the_score_alone_gives_the_same_mask_again_and_a_stricter_rate_a_smaller_one():
    maps, _ = with_missing_column(square())
    found = irregularity(predicted(maps, 0.5), square(), fdr=0.05)
    again = irregular_at(found.score, 0.05)
    assert (again != found.irregular).mean() < 0.001
    assert irregular_at(found.score, 1e-6).sum() < again.sum()


def test_chance_alone_passes_a_false_discovery_rate_rarely():
    rng = np.random.default_rng(8)
    assert sum(benjamini_hochberg(rng.random(1000), 0.05).any() for _ in range(200)) < 25


def test_of_what_passes_about_the_stated_share_is_chance():
    rng = np.random.default_rng(9)
    p_value = np.concatenate([rng.random(9000), 1e-4 * rng.random(1000)])
    passed = benjamini_hochberg(p_value, 0.1)
    assert passed[9000:].mean() > 0.99
    assert passed[:9000].sum() / passed.sum() < 0.12


def test_a_large_map_takes_seconds():
    probability = predicted(repeating(square(), 1, (512, 512)), 0.5).astype(np.float32)
    start = time.process_time()
    irregularity(probability, square())
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neighbourhood_cells": 0}, "neighbourhood_cells is 0"),
        ({"fdr": 1.0}, "fdr is 1.0"),
        ({"embedding": np.zeros((4, 4))}, r"embedding has shape \(4, 4\)"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        irregularity(np.full((4, 4, 8), 0.125), None, **options)
