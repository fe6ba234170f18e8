"""What segments are found from: thickness and tilt at every cell, between and beyond those of larger windows."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_polarmap.pipeline.segmenting import _known, segment_everywhere
from napari_polarmap.pipeline.tiling import Tile

NODES = slice(0, 12), slice(0, 20)


def answer(rows: list[int], columns: list[int], thickness_nm, tilt_mrad) -> SimpleNamespace:
    """Windows that found a thickness and a tilt at their centres, of ample dose."""
    return SimpleNamespace(
        pool=SimpleNamespace(effective_positions=1e9),
        axes=(np.array(rows), np.array(columns)),
        of=lambda tile: (np.arange(len(rows)), np.arange(len(columns))),
        estimated={"thickness_nm": np.float32(thickness_nm), "tilt_mrad": np.float32(tilt_mrad)},
    )


@pytest.mark.parametrize("rows", [[6], [2, 6, 9]])
def test_a_tilt_that_changes_evenly_goes_on_beyond_the_outermost_windows(rows):
    columns = [6, 10, 14]
    shape = len(rows), len(columns)
    tilt = np.stack([np.full(shape, 0.3), np.tile(0.1 * np.array(columns), (len(rows), 1))], axis=-1)
    tile = Tile(NODES, NODES, NODES, NODES)
    known = _known([answer(rows, columns, np.full(shape, 20.0), tilt)], tile, 1.0).reshape(12, 20, 3)
    np.testing.assert_allclose(known[..., 0], 20, rtol=1e-5)
    np.testing.assert_allclose(known[..., 1], 0.3, atol=1e-5)
    np.testing.assert_allclose(known[..., 2], np.tile(0.1 * np.arange(20), (12, 1)), atol=1e-5)


def test_a_window_without_an_answer_takes_the_median_of_the_others():
    thickness = np.array([[20.0, np.nan, 20.0]])
    tile = Tile(NODES, NODES, NODES, NODES)
    known = _known([answer([6], [4, 10, 16], thickness, np.zeros((1, 3, 2)))], tile, 1.0)
    np.testing.assert_allclose(known[:, 0], 20, rtol=1e-5)


def test_the_wall_lies_where_the_belief_of_both_sides_is_even():
    belief = np.full((2, 2, 9), -9.0, np.float32)
    belief[:, 0, 3], belief[:, 1, 5] = 0, 0
    belief[:, 0, 5], belief[:, 1, 3] = -3, -1
    plan = SimpleNamespace(grid=SimpleNamespace(axes=(np.array([0, 8]), np.array([0, 8]))))
    found = segment_everywhere(belief, plan, (9, 9))
    assert (found[:, :7] == 3).all()
    assert (found[:, 7:] == 5).all()
