"""The lattice that a map repeats with is found also where a fault misleads the first guess."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap.core.expectation import refined

PERIOD = 7.96


@pytest.mark.parametrize("sheared", [1, -1])
def test_a_fault_by_half_a_cell_does_not_leave_a_sheared_lattice(sheared):
    """A lattice sheared by half a cell fits across the fault, and is wrong on both sides."""
    y, x = np.mgrid[:48, :48].astype(np.float64)
    y += np.where(x > 24, PERIOD / 2, 0)
    spots = np.exp(3 * (np.cos(2 * np.pi * y / PERIOD) + np.cos(2 * np.pi * x / PERIOD)))
    maps = ((spots - spots.mean()) / spots.std())[None].astype(np.float32)
    guess = np.array([[sheared * PERIOD / 2, PERIOD], [PERIOD, 0.0]])
    found = refined(guess, maps, np.ones((48, 48), bool))
    steps = found / PERIOD
    np.testing.assert_allclose(steps, np.round(steps), atol=0.03)
    assert abs(np.linalg.det(steps)) == pytest.approx(1, abs=0.05)
