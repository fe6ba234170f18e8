"""Scores of a map against its truth."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap.core.metrics import (
    accuracy,
    calibration_error_by_chance,
    confusion,
    expected_calibration_error,
    opposite_fraction,
    roc_auc,
    wall_distance,
)

TRUTH = np.array([[0, 1, 2, 3], [4, 5, 6, 255]], np.uint8)


def test_a_perfect_map_is_right_everywhere():
    assert accuracy(TRUTH, TRUTH) == 1
    assert opposite_fraction(TRUTH, TRUTH) == 0
    np.testing.assert_array_equal(confusion(TRUTH, TRUTH), np.eye(8, 9, dtype=int) * [*[1] * 7, 0, 0])


def test_no_answer_counts_as_wrong_and_no_truth_does_not_count():
    guess = TRUTH.copy()
    guess[0, 0], guess[1, 3] = 255, 5
    assert accuracy(guess, TRUTH) == pytest.approx(6 / 7)
    assert confusion(guess, TRUTH)[0, 8] == 1
    assert confusion(guess, TRUTH).sum() == 7


def test_chance_is_an_eighth():
    rng = np.random.default_rng(0)
    assert accuracy(rng.integers(0, 8, 20000), rng.integers(0, 8, 20000)) == pytest.approx(1 / 8, abs=0.01)


def test_the_opposite_direction_is_the_worst_error_of_those_given():
    guess = np.array([4, 5, 255, 0])
    assert opposite_fraction(guess, np.array([0, 1, 2, 1])) == pytest.approx(2 / 3)


def test_only_the_masked_positions_count():
    mask = np.zeros(TRUTH.shape, bool)
    mask[0, :2] = True
    assert accuracy(np.zeros_like(TRUTH), TRUTH, mask) == 0.5
    assert confusion(np.zeros_like(TRUTH), TRUTH, mask).sum() == 2


def test_where_there_is_no_truth_there_is_no_score():
    nothing = np.full((2, 2), 255, np.uint8)
    assert np.isnan(accuracy(nothing, nothing))
    assert np.isnan(opposite_fraction(nothing, nothing))
    assert np.isnan(expected_calibration_error(np.full((2, 2, 8), 0.125), nothing))


@pytest.mark.parametrize("sharpness", [1.0, 3.0])
def test_honest_probabilities_are_calibrated_and_boasting_ones_are_not(sharpness):
    rng = np.random.default_rng(1)
    honest = rng.dirichlet(np.full(8, 0.3), 20000)
    truth = np.array([rng.choice(8, p=row) for row in honest])
    told = honest**sharpness / (honest**sharpness).sum(axis=1, keepdims=True)
    error = expected_calibration_error(told, truth)
    assert error < 0.02 if sharpness == 1 else error > 0.05


def test_few_cases_scatter_even_where_probabilities_are_honest():
    rng = np.random.default_rng(4)
    honest = rng.dirichlet(np.full(8, 0.3), 400)
    truth = np.array([rng.choice(8, p=row) for row in honest])
    median, upper = calibration_error_by_chance(honest, np.arange(400))
    assert 0.03 < median < upper < 0.1
    assert expected_calibration_error(honest, truth) < upper
    boasting = honest**3 / (honest**3).sum(axis=1, keepdims=True)
    assert expected_calibration_error(boasting, truth) > calibration_error_by_chance(boasting, np.arange(400))[1]


def test_cases_that_err_together_scatter_more():
    honest = np.random.default_rng(5).dirichlet(np.full(8, 0.3), 400)
    alone, together = (calibration_error_by_chance(honest, np.arange(400) // size)[0] for size in (1, 20))
    assert together > 1.5 * alone


def test_undefined_predictions_do_not_enter_the_calibration():
    probability = np.tile(np.eye(8)[0], (4, 1))
    probability[2:] = np.nan
    assert expected_calibration_error(probability, np.array([0, 0, 5, 255])) == 0


def test_the_area_under_the_curve_is_the_chance_to_rank_right():
    rng = np.random.default_rng(2)
    score, truth = rng.integers(0, 6, 80).astype(float), rng.random(80) > 0.6
    pairs = score[truth][:, None] - score[~truth][None]
    assert roc_auc(score, truth) == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())


def test_scores_that_are_not_numbers_are_left_out_of_the_ranking():
    assert roc_auc([0.1, np.nan, 0.9], [False, False, True]) == 1
    assert np.isnan(roc_auc([0.1, 0.2], [True, True]))


def test_the_distance_to_a_wall_is_counted_from_between_two_positions():
    domains = np.zeros((6, 10), np.uint8)
    domains[:, 6:] = 3
    np.testing.assert_allclose(wall_distance(domains)[2], [5.5, 4.5, 3.5, 2.5, 1.5, 0.5, 0.5, 1.5, 2.5, 3.5])


def test_a_single_domain_has_no_wall_and_undefined_positions_make_none():
    domains = np.full((3, 3), 2, np.uint8)
    domains[1, 1] = 255
    distance = wall_distance(domains)
    assert np.isnan(distance[1, 1])
    assert np.isinf(distance[domains == 2]).all()


@pytest.mark.parametrize(
    ("guess", "truth", "message"),
    [
        (np.zeros(3, int), np.zeros(4, int), r"\(3,\), truth \(4,\); they must agree"),
        (np.full(2, 8), np.zeros(2, int), "the prediction holds a class that is neither 0 to 7 nor 255"),
        (np.zeros(2, int), np.full(2, -1), "the truth holds a class"),
    ],
)
def test_what_are_no_two_maps_of_classes_is_refused(guess, truth, message):
    with pytest.raises(ValueError, match=message):
        accuracy(guess, truth)
