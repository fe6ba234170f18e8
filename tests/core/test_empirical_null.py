"""What counts as usual does not widen with what is not."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap.core.empirical_null import standardised


@pytest.mark.parametrize("share", [0.0, 0.1, 0.35])
def test_a_defect_over_a_third_of_the_map_does_not_widen_what_is_regular(share):
    value = np.random.default_rng(1).normal(5, 2, 10_000)
    count = int(share * value.size)
    value[:count] = 15 + value[:count] / 5
    z = standardised(value, np.ones(value.shape, bool))[count:]
    assert abs(np.median(z)) < 0.15
    assert z.std() == pytest.approx(1, abs=0.15)


def test_the_wider_side_of_a_skew_distribution_gives_the_width():
    value = np.random.default_rng(2).gamma(3.0, size=20_000)
    z = standardised(value, np.ones(value.shape, bool))
    assert (z > 3).mean() < 0.03
    assert (z < -3).mean() == 0


@pytest.mark.parametrize("value", [np.full(50, 2.0), np.array([2.0]), np.array([2.0, 2.0, 2.0, 2.0001])])
def test_a_constant_map_has_no_departure(value):
    assert np.abs(standardised(value, np.ones(value.shape, bool))).max() < 0.1


def test_what_is_not_known_does_not_tell_what_is_usual():
    value = np.append(np.random.default_rng(3).normal(0, 1, 5000), np.full(20_000, 9.0))
    known = np.arange(value.size) < 5000
    assert standardised(value, known)[-1] == pytest.approx(9, abs=1)
