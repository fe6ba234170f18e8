"""Calibrated probabilities are as often right as they say; prediction sets hold the truth as often as asked."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from napari_polarmap.core.directions import N_DIRECTIONS
from napari_polarmap.core.metrics import expected_calibration_error, set_coverage
from napari_polarmap.core.symmetry import OPERATIONS
from napari_polarmap.models.calibration import LEVELS, NONE_BIT, Calibration, prediction_sets


def overconfident(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log-odds three times too large, the more so the fewer electrons; one truth in five is "none"."""
    rng = np.random.default_rng(seed)
    level = rng.uniform(5, 7.5, n)
    true = rng.normal(0, 2, (n, N_DIRECTIONS + 1))
    weight = np.exp(true) / np.exp(true).sum(axis=1, keepdims=True)
    label = (weight.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    return (true * (3 - 0.8 * (level[:, None] - 6.25))).astype(np.float32), label, 10**level


@pytest.fixture(scope="module")
def fitted() -> Calibration:
    logits, label, electrons = overconfident(8000)
    calibration = Calibration.fit(logits, label, electrons)
    probability, informed = calibration.apply(logits, electrons)
    return calibration.with_sets(probability, informed, label, electrons)


def test_too_sure_log_odds_become_right_probabilities_at_every_dose(fitted):
    logits, label, electrons = overconfident(8000, seed=1)
    told = label < N_DIRECTIONS
    before, after = Calibration().apply(logits, electrons)[0], fitted.apply(logits, electrons)[0]
    assert expected_calibration_error(before[told], label[told]) > 0.2
    for low, high in ((0, 3e5), (3e5, 3e6), (3e6, np.inf)):
        chosen = told & (electrons > low) & (electrons <= high)
        assert expected_calibration_error(after[chosen], label[chosen]) < 0.045


def test_calibration_commutes_with_the_operations_of_the_square(fitted):
    logits, _, electrons = overconfident(50, seed=2)
    straight, informed = fitted.apply(logits, electrons)
    for operation in OPERATIONS:
        turned = np.column_stack([operation.probabilities(logits[:, :N_DIRECTIONS]), logits[:, N_DIRECTIONS]])
        found, also = fitted.apply(turned, electrons)
        np.testing.assert_allclose(found, operation.probabilities(straight), rtol=1e-6)
        np.testing.assert_allclose(also, informed, rtol=1e-6)


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_sets_cover_new_truths_as_often_as_asked(fitted, level):
    logits, label, electrons = overconfident(8000, seed=3)
    sets = prediction_sets(*fitted.apply(logits, electrons), fitted.least_probabilities(electrons, level))
    for kind in (label < N_DIRECTIONS, label == N_DIRECTIONS):
        assert set_coverage(sets[kind], label[kind]) == pytest.approx(level, abs=0.02)


def test_larger_levels_hold_what_smaller_ones_do(fitted):
    logits, _, electrons = overconfident(500, seed=4)
    answer = fitted.apply(logits, electrons)
    sets = [prediction_sets(*answer, fitted.least_probabilities(electrons, level)) for level in LEVELS]
    for smaller, larger in pairwise(sets):
        assert ((smaller & ~larger) == 0).all()
    assert np.bitwise_count(sets[-1]).mean() > np.bitwise_count(sets[0]).mean() + 1


def test_a_pattern_less_clear_than_nine_in_ten_of_its_dose_has_an_empty_set():
    sets = prediction_sets(np.full((1, N_DIRECTIONS), 1 / 8), np.full(1, 0.9), np.array([[0.3, 0.4]]))
    assert sets.tolist() == [0]


def test_a_classifier_that_boasts_of_thin_specimens_is_put_right_there():
    logits, label, electrons = overconfident(12000, seed=7)
    thickness = np.random.default_rng(70).uniform(-1, 1, len(label))
    boasting = logits * np.exp(-0.8 * thickness)[:, None]
    thin = (thickness < -0.5) & (label < N_DIRECTIONS)
    known = Calibration.fit(boasting, label, electrons, thickness).apply(boasting, electrons, thickness)[0]
    unknown = Calibration.fit(boasting, label, electrons).apply(boasting, electrons)[0]
    assert expected_calibration_error(known[thin], label[thin]) < 0.04
    assert expected_calibration_error(unknown[thin], label[thin]) > 0.06


def test_what_shows_no_polarization_has_none_alone_in_its_set():
    sets = prediction_sets(np.full((1, N_DIRECTIONS), 1 / 8), np.zeros(1), np.array([[0.1, 0.1]]))
    assert sets.tolist() == [NONE_BIT]


def test_levels_that_are_not_stored_and_classifiers_without_sets_are_named(fitted):
    with pytest.raises(ValueError, match=r"level 0.5 is not one of 0.8, 0.9, 0.95, 0.99"):
        fitted.least_probabilities(np.ones(1), 0.5)
    with pytest.raises(ValueError, match="polarmap calibrate makes them"):
        Calibration().least_probabilities(np.ones(1), 0.9)


def test_a_calibration_survives_as_plain_values(fitted):
    assert Calibration.from_dict(fitted.as_dict()) == fitted
    with pytest.raises(TypeError, match="sharpnes"):
        Calibration.from_dict({"sharpnes": [0, 0, 0]})


@pytest.mark.parametrize("label", [0, 8])
def test_a_handful_of_specimens_of_one_kind_gives_a_calibration_all_the_same(label):
    logits, _, electrons = overconfident(6, seed=5)
    labels = np.full(6, label)
    calibration = Calibration.fit(logits, labels, electrons)
    probability, informed = calibration.apply(logits, electrons)
    assert np.isfinite(probability).all()
    assert np.isfinite(informed).all()
    with_sets = calibration.with_sets(probability, informed, labels, electrons)
    assert (with_sets.least_probabilities(electrons, 0.99) == 0).all()


def test_electrons_beyond_the_fit_count_as_its_end(fitted):
    logits, _, _ = overconfident(20, seed=6)
    far, end = (fitted.apply(logits, np.full(20, n))[0] for n in (1e12, 10 ** fitted.log10_electrons[1]))
    np.testing.assert_allclose(far, end)
    assert np.isfinite(fitted.apply(logits, np.zeros(20))[0]).all()
    assert replace(fitted, thresholds=None).patterns == 8000
