"""Single pixels that are dead or hot."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap.core.bad_pixels import fill_bad_pixels, find_bad_pixels


def disk(n: int = 48) -> np.ndarray:
    y, x = np.indices((n, n))
    return np.where(np.hypot(y - 23.3, x - 24.1) < 15, 40.0, 1.0)


@pytest.mark.parametrize("place", [(24, 24), (0, 0), (47, 20), (12, 24), (3, 3)])
def test_single_faults_are_found_in_the_disk_and_outside(place):
    rng = np.random.default_rng(0)
    mean = rng.poisson(disk() * 100) / 100
    dead, hot = find_bad_pixels(mean, 100)
    assert not dead.any()
    assert not hot.any()
    mean[place] = 400
    assert np.argwhere(find_bad_pixels(mean, 100)[1]).tolist() == [list(place)]
    if disk()[place] > 1:
        mean[place] = 0
        assert np.argwhere(find_bad_pixels(mean, 100)[0]).tolist() == [list(place)]


def test_two_hot_neighbours_are_both_found():
    mean = disk()
    mean[30, 30:32] = 500
    assert np.argwhere(find_bad_pixels(mean)[1]).tolist() == [[30, 30], [30, 31]]


def test_an_unlit_edge_of_the_detector_is_not_dead():
    mean = np.full((48, 48), 5.0)
    mean[0], mean[:, -1] = 0, 0
    dead, hot = find_bad_pixels(mean, 1000)
    assert not dead.any()
    assert not hot.any()


def test_noise_is_no_fault():
    mean = np.random.default_rng(1).exponential(size=(48, 48)) ** 4
    with pytest.raises(ValueError, match="no single faults"):
        find_bad_pixels(mean)


def test_bad_pixels_are_filled_from_good_neighbours_only():
    patterns = np.arange(2 * 5 * 6, dtype=np.uint16).reshape(1, 2, 5, 6)
    before = patterns.copy()
    filled = fill_bad_pixels(patterns, [(2, 3), (2, 4), (0, 0), (9, 9)])
    np.testing.assert_array_equal(patterns, before)
    kept = np.ones((5, 6), bool)
    kept[2, 3:5] = kept[0, 0] = False
    np.testing.assert_array_equal(filled[..., kept], patterns[..., kept])
    assert filled.dtype == np.uint16
    assert filled[0, 0, 2, 3] == round(np.mean([8, 9, 10, 14, 20, 21, 22]))
    part = fill_bad_pixels(patterns[..., 1:4, 2:5], [(2, 3), (2, 4), (0, 0)], (slice(1, 4), slice(2, 5)))
    assert part[0, 0, 1, 0] == patterns[0, 0, 2, 2]
    assert part[0, 0, 1, 1] != patterns[0, 0, 2, 3] or filled[0, 0, 2, 3] == patterns[0, 0, 2, 3]


def test_nothing_to_fill_leaves_the_array_itself():
    patterns = np.zeros((2, 4, 4))
    assert fill_bad_pixels(patterns, ()) is patterns
