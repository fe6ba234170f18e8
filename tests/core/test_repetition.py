"""The lattice that a map repeats with is found also where a fault misleads the first guess."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap.core.lattice_search import find_lattice
from napari_polarmap.core.repetition import refined

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


def faulted(noise: float) -> np.ndarray:
    """An image of columns of which one half is shifted by half a cell along the fault."""
    y, x = np.mgrid[:64, :64].astype(np.float64)
    y += np.where(x > 30, PERIOD / 2, 0)
    spots = np.exp(3 * (np.cos(2 * np.pi * y / PERIOD) + np.cos(2 * np.pi * x / PERIOD)))
    return spots / spots.std() + noise * np.random.default_rng(0).standard_normal(spots.shape)


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_the_lattice_of_a_faulted_scan_is_that_of_its_halves(noise):
    found = find_lattice(faulted(noise), PERIOD).vectors_px
    np.testing.assert_allclose(found, [[0, PERIOD], [PERIOD, 0]], atol=0.2)


def test_noise_alone_does_not_exchange_the_lattice():
    maps = faulted(0.0)[None, :, :28].astype(np.float32)
    maps += 3 * np.random.default_rng(1).standard_normal(maps.shape).astype(np.float32)
    guess = np.array([[0.0, PERIOD + 0.1], [PERIOD, 0.05]])
    known = np.ones(maps.shape[1:], bool)
    np.testing.assert_array_equal(refined(guess, maps - maps.mean(), known, least_gain=0.0125), guess)
