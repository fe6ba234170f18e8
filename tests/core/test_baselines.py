"""Each simple score is higher where what it looks at is odd."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap.core.baselines import (
    dark_field_anomaly,
    distance_to_mean,
    lack_of_confidence,
    neighbour_disagreement,
    over_a_patch,
)

SHAPE = (10, 12)


def test_an_unsure_position_lacks_confidence():
    probability = np.full((*SHAPE, 8), 0.02)
    probability[..., 3] = 0.86
    probability[4, 5] = 1 / 8
    probability[0, 0] = np.nan
    score = lack_of_confidence(probability)
    assert np.unravel_index(np.nanargmax(score), SHAPE) == (4, 5)
    assert np.isnan(score[0, 0])


def test_a_position_unlike_its_neighbours_disagrees_and_so_do_they_a_little():
    direction = np.zeros(SHAPE, int)
    direction[4, 5] = 2
    score = neighbour_disagreement(direction)
    assert score[4, 5] == 1
    assert score[4, 6] == 0.25
    assert score.sum() == 2


def test_a_dark_and_a_bright_position_are_both_anomalies():
    dark = np.random.default_rng(0).normal(100, 1, SHAPE)
    dark[2, 2], dark[7, 7] = 120, 80
    top = np.argsort(dark_field_anomaly(dark), axis=None)[-2:]
    assert sorted(map(int, top)) == [2 * 12 + 2, 7 * 12 + 7]


def test_another_pattern_is_far_from_the_mean_whatever_its_counts():
    patterns = np.ones((120, 4, 4))
    patterns *= np.random.default_rng(1).uniform(0.5, 2, (120, 1, 1))
    patterns[30] = np.eye(4)
    score = distance_to_mean(patterns, SHAPE)
    assert np.unravel_index(np.argmax(score), SHAPE) == (2, 6)
    assert np.median(score) < 0.1 * score.max()


def test_the_mean_over_a_patch_keeps_constants_and_holes():
    score = np.ones(SHAPE)
    score[3, 3] = np.nan
    mean = over_a_patch(score, 1.5)
    assert np.isnan(mean[3, 3])
    np.testing.assert_allclose(mean[np.isfinite(mean)], 1)


def test_what_has_another_number_of_axes_is_refused():
    with pytest.raises(ValueError, match="must have 2 axes"):
        neighbour_disagreement(np.zeros((2, 2, 2)))
