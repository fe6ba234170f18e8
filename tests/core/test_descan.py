"""The disk is followed over the scan by its rim; the centre of mass also follows the crystal."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.preprocessing import find_disk, fit_descan, scan_statistics, track_disk

SHAPE = (32, 40)


def plane(slope_y: tuple[float, float], slope_x: tuple[float, float]) -> np.ndarray:
    """Displacements (y, x) over a scan of `SHAPE`, zero in the middle, +- the slopes at its edges."""
    y, x = np.meshgrid(*(2 * (np.arange(n) + 0.5) / n - 1 for n in SHAPE), indexing="ij")
    return np.stack([slope_y[0] * y + slope_y[1] * x, slope_x[0] * y + slope_x[1] * x], axis=-1)


def scan_of(pattern: np.ndarray, displacement: np.ndarray, electrons: float, seed: int = 0) -> Scan4D:
    """Noisy patterns of a moving disk in which a gradient comes and goes from cell to cell."""
    rng = np.random.default_rng(seed)
    data = np.empty((*SHAPE, 64, 64), np.uint8)
    for place in np.ndindex(SHAPE):
        tilted = pattern * (1 + 0.3 * np.sin(2 * np.pi * place[1] / 8) * np.linspace(-1, 1, 64)[:, None])
        moved = np.clip(ndimage.shift(tilted, displacement[place], order=1, mode="nearest"), 0, None)
        data[place] = rng.poisson(moved * electrons / moved.sum())
    return Scan4D(data)


@pytest.fixture(scope="module")
def moving(mean_pattern):
    displacement = plane((2.5, -1.0), (0.5, 2.0))
    scan = scan_of(mean_pattern, displacement, 800)
    disk = find_disk(scan_statistics(scan).mean_pattern)
    return scan_statistics(scan, disk=disk), disk, displacement


def test_the_rim_follows_a_moving_disk_to_a_fraction_of_a_pixel(moving):
    statistics, disk, displacement = moving
    _, centers = track_disk(statistics, disk)
    assert np.linalg.norm(centers - displacement - 32, axis=-1).max() < 0.2


def test_the_blur_of_the_movement_does_not_widen_the_disk(moving):
    statistics, disk, _ = moving
    sharp, _ = track_disk(statistics, disk)
    assert disk.radius_px > 22.18 * 1.03
    assert sharp.radius_px == pytest.approx(22.18, rel=0.01)


def test_the_rim_follows_better_than_the_centre_of_mass(moving):
    statistics, disk, displacement = moving
    rim = track_disk(statistics, disk)[1] - displacement - 32
    mass = fit_descan(statistics.com_px, center_px=disk.center_px) - displacement - 32
    assert np.abs(rim).mean() < np.abs(mass).mean()


def test_a_disk_that_rests_gets_one_centre(mean_pattern):
    scan = scan_of(mean_pattern, plane((0, 0), (0, 0)), 200)
    disk = find_disk(scan_statistics(scan).mean_pattern)
    _, centers = track_disk(scan_statistics(scan, disk=disk), disk)
    assert np.ptp(centers, axis=(0, 1)).max() < 0.15
    np.testing.assert_allclose(centers.mean((0, 1)), disk.center_px, atol=0.15)


def test_a_plane_through_the_centres_of_mass_is_found_under_signal_and_outliers():
    rng = np.random.default_rng(1)
    truth = plane((1.5, 0.3), (-0.7, 2.0)) + np.array([30.0, 33.0])
    com = truth + 0.5 * rng.standard_normal(truth.shape)
    com[:6, :6] += 8
    com[20, 20] = np.nan
    assert np.abs(fit_descan(com) - truth).max() < 0.25
    assert np.isfinite(fit_descan(com)).all()


def test_counts_weigh_and_positions_without_counts_do_not():
    truth = plane((1.0, 0.0), (0.0, 1.0))
    com, weights = truth.copy(), np.full(SHAPE, 100.0)
    com[:10], weights[:10] = 50, 0
    np.testing.assert_allclose(fit_descan(com, weights), truth, atol=1e-6)


def test_the_constant_model_gives_one_centre():
    com = np.random.default_rng(2).normal(32, 1, (*SHAPE, 2))
    centers = fit_descan(com, model="constant")
    assert np.ptp(centers, axis=(0, 1)).max() < 1e-9
    np.testing.assert_allclose(centers[0, 0], (32, 32), atol=0.15)


def test_the_mean_centre_is_the_one_given():
    com = plane((1.0, 0.0), (0.0, 1.0)) + 30
    centers = fit_descan(com, center_px=(31.2, 28.7))
    np.testing.assert_allclose(centers.mean((0, 1)), (31.2, 28.7))


def test_a_single_row_of_positions_can_be_followed():
    com = np.stack([np.zeros(20), np.linspace(-1, 1, 20)], axis=-1)[None]
    np.testing.assert_allclose(fit_descan(com), com, atol=1e-6)


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(ValueError, match="choose 'constant' or 'plane'"):
        fit_descan(np.zeros((4, 4, 2)), model="cubic")
    with pytest.raises(ValueError, match="no scan position has a centre of mass"):
        fit_descan(np.full((4, 4, 2), np.nan))
