"""Two maps of directions compared."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap.core.comparison import ONE_UNDEFINED, compare
from napari_polarmap.core.directions import UNDEFINED


def test_the_difference_is_the_smaller_turn_between_the_directions():
    first, second = np.meshgrid(np.arange(8, dtype=np.uint8), np.arange(8, dtype=np.uint8), indexing="ij")
    steps = compare(first, second).steps
    turn = np.abs(45.0 * first - 45.0 * second)
    np.testing.assert_array_equal(45 * steps, np.minimum(turn, 360 - turn))


def test_what_is_undefined_in_both_counts_in_no_share():
    first = np.array([[0, 0, UNDEFINED, UNDEFINED]], np.uint8)
    second = np.array([[0, 4, 2, UNDEFINED]], np.uint8)
    found = compare(first, second)
    assert [found.share(step) for step in range(6)] == pytest.approx([1 / 3, 0, 0, 0, 1 / 3, 1 / 3])
    assert found.differs.tolist() == [[False, True, False, False]]
    assert found.steps[0, 2] == ONE_UNDEFINED
    assert (found.pairs[0, 4], found.pairs[8, 2], found.pairs[8, 8]) == (1, 1, 1)


def test_maps_of_different_scans_are_refused():
    with pytest.raises(ValueError, match=r"maps of the same scan fit"):
        compare(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))
