"""Profiles along a line."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap.core.profile import along_and_across, line_profile


def test_a_profile_across_a_step_shows_the_step_where_it_is():
    image = np.where(np.arange(20) < 8, 1.0, 3.0) * np.ones((15, 1))
    distance, values = line_profile(image, (7, 2), (7, 16), width=5)
    assert distance[0] == 0
    assert distance[-1] == 14
    np.testing.assert_allclose(values, np.where(distance + 2 < 8, 1.0, 3.0))


def test_the_mean_is_taken_across_the_line():
    ramp = np.arange(15.0)[:, None] * np.ones((1, 20))
    np.testing.assert_allclose(line_profile(ramp, (7, 2), (7, 16), width=9)[1], 7)
    np.testing.assert_allclose(line_profile(ramp, (2, 5), (12, 5))[1], np.arange(2, 13))


def test_what_is_not_known_does_not_count():
    image = np.ones((9, 9))
    image[3:, :] = np.nan
    _, values = line_profile(image, (0, 4), (8, 4))
    np.testing.assert_allclose(values[:3], 1)
    assert np.isnan(values[4:]).all()


def test_several_maps_are_taken_along_the_same_line():
    maps = np.stack([np.ones((5, 6)), 2 * np.ones((5, 6))])
    assert line_profile(maps, (2, 0), (2, 5))[1].shape == (2, 6)


def test_left_of_a_line_is_left_on_the_screen():
    up, right = np.array([-1.0, 0.0]), np.array([0.0, 1.0])
    along, left = along_and_across(np.stack([up, right]), (0, 0), (0, 3))
    np.testing.assert_allclose(along, [0, 1])
    np.testing.assert_allclose(left, [1, 0])


def test_a_line_without_length_is_refused():
    with pytest.raises(ValueError, match="no length"):
        line_profile(np.ones((3, 3)), (1, 1), (1, 1))
