"""What a classifier takes for familiar, and what not."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap.core.symmetry import OPERATIONS
from napari_polarmap.models.familiarity import Familiarity, electrons_behind, electrons_seen, features

Y, X = np.mgrid[:64, :64] - 31.5
RADIUS = np.hypot(Y, X)


def rings(n: int, seed: int = 0, *, period: float = 9.0) -> np.ndarray:
    """Disks with rings, of random phase, and a tilt-like slope."""
    rng = np.random.default_rng(seed)
    phase, slope = rng.uniform(0, 2, (n, 1, 1)), rng.normal(0, 0.003, (n, 1, 1))
    disk = 1 / (1 + np.exp(RADIUS - 23))
    return (disk * (1 + 0.3 * np.cos(2 * np.pi * RADIUS / period + phase) + slope * X)).astype(np.float32)


def counted(patterns: np.ndarray, electrons: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.poisson(patterns / patterns.sum(axis=(1, 2), keepdims=True) * electrons).astype(np.float32)


@pytest.fixture(scope="module")
def familiarity() -> Familiarity:
    held_out = [counted(rings(60, seed), 10**level, seed) for seed, level in enumerate(np.linspace(4.5, 7.5, 13))]
    fitted = Familiarity.fit(rings(600), np.arange(600.0))
    return fitted.with_limits(np.concatenate(held_out), np.linspace(4.5, 7.5, 7))


@pytest.mark.parametrize("electrons", [3e4, 3e5, 3e6])
def test_the_electrons_behind_a_pattern_are_read_from_its_noise_within_a_factor_of_three(electrons):
    # The estimate takes the smoothing by resampling for granted; without, it is low by half.
    seen = np.median(electrons_seen(counted(rings(40), electrons)))
    assert electrons / 3 < seen < 1.5 * electrons


def test_the_scale_of_the_counts_and_patterns_without_counts_are_no_matter(familiarity):
    patterns = counted(rings(5), 1e6)
    np.testing.assert_allclose(electrons_seen(7 * patterns), electrons_seen(patterns), rtol=1e-5)
    assert electrons_seen(np.zeros((2, 64, 64))).tolist() == [0, 0]
    assert np.isfinite(familiarity(np.zeros((2, 64, 64), np.float32))).all()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_rotations_and_mirrors_change_nothing(operation, familiarity):
    patterns = counted(rings(4), 1e6)
    turned = np.ascontiguousarray(operation.images(patterns))
    np.testing.assert_allclose(features(turned)[0], features(patterns)[0], rtol=1e-9)
    np.testing.assert_allclose(familiarity(turned), familiarity(patterns), atol=1e-9)


@pytest.mark.parametrize("electrons", [1e5, 1e6, 1e7])
def test_new_patterns_of_the_same_kind_are_familiar_at_every_dose(familiarity, electrons):
    assert (familiarity(counted(rings(200, 99), electrons, 99)) < 0.5).mean() <= 0.04


@pytest.mark.parametrize("electrons", [1e5, 1e6, 1e7])
def test_other_rings_a_flat_disk_and_no_disk_are_not_familiar(familiarity, electrons):
    strange = np.concatenate(
        [rings(20, 5, period=6.0), np.float32(RADIUS < 23)[None], np.ones((1, 64, 64), np.float32)]
    )
    assert (familiarity(counted(strange, electrons)) < 0.1).all()


def test_what_a_small_detector_does_not_see_is_no_reproach(familiarity):
    patterns = counted(rings(50, 7), 1e6)
    cut = patterns * (np.abs(X) < 21) * (np.abs(Y) < 24)
    assert (familiarity(cut) > 0.5).mean() >= 0.95


def test_arrays_of_a_model_file_give_the_same_answers(familiarity):
    again = Familiarity.from_arrays(familiarity.arrays())
    patterns = counted(rings(10, 8), 1e6)
    np.testing.assert_allclose(again(patterns), familiarity(patterns), atol=1e-3)


def test_arrays_that_do_not_fit_each_other_are_refused(familiarity):
    arrays = familiarity.arrays()
    with pytest.raises(ValueError, match="covariance has shape"):
        Familiarity.from_arrays(arrays | {"covariance": arrays["covariance"][:, :3]})
    with pytest.raises(ValueError, match="of another size"):
        familiarity(np.ones((1, 32, 32), np.float32))


def test_counts_are_believed_unless_the_noise_says_otherwise():
    patterns = counted(rings(20, 9), 1e6)
    assert (electrons_behind(patterns, np.full(20, 9e5)) == 9e5).all()
    assert (electrons_behind(patterns, np.full(20, 1e8)) < 2e6).all()
    np.testing.assert_allclose(electrons_behind(patterns, np.full(20, np.nan)), electrons_seen(patterns))


def test_thin_and_thick_are_told_apart_by_what_is_familiar():
    period = np.linspace(6, 12, 600)
    patterns = np.concatenate([rings(1, seed, period=each) for seed, each in enumerate(period)])
    fitted = Familiarity.fit(patterns, period)
    _, place = fitted.look(counted(np.concatenate([rings(5, 1, period=6.2), rings(5, 2, period=11.8)]), 1e6))
    assert (place[:5] < -0.5).all()
    assert (place[5:] > 0.5).all()
