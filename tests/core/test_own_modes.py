"""The modes of a scan are those in which its patterns differ."""

from __future__ import annotations

import numpy as np

from napari_polarmap.core.own_modes import own_modes


def test_a_disk_that_changes_on_one_side_is_the_first_mode_through_the_counting_noise():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64] - 32
    disk = (np.hypot(y, x) < 22).astype(float)
    change = rng.standard_normal(400)
    patterns = rng.poisson(disk * (1 + 0.2 * change[:, None, None] * np.sign(x)).clip(0))
    first = own_modes(patterns[:200], 2).strengths(patterns)[:, 0]
    assert abs(np.corrcoef(first, change)[0, 1]) > 0.95


def test_modes_take_patterns_of_any_size():
    assert own_modes(np.random.default_rng(1).random((30, 50, 50)), 4).strengths(np.ones((2, 50, 50))).shape == (2, 4)
