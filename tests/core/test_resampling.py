"""Any camera length, rotation and offset comes onto one grid, direct beam in the middle."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy import ndimage

from napari_polarmap.core.directions import VECTORS_YX
from napari_polarmap.core.preprocessing import center_of_mass, resample_patterns
from napari_polarmap.core.resampling import Resampler


def disk_at(center: np.ndarray | tuple[float, float], radius: float, shape: tuple[int, int] = (128, 128)) -> np.ndarray:
    y, x = np.indices(shape)
    return np.clip(radius + 0.5 - np.hypot(y - center[0], x - center[1]), 0, 1)


@pytest.mark.parametrize("mrad_per_px", [1.05, 0.5, 2.1])
@pytest.mark.parametrize("center", [(63.5, 63.5), (52.2, 70.9), (71.0, 55.5)])
def test_a_disk_anywhere_lands_in_the_middle(center, mrad_per_px):
    pattern = disk_at(center, 20 / mrad_per_px)[None]
    out = resample_patterns(pattern, center, mrad_per_px=mrad_per_px)
    np.testing.assert_allclose(center_of_mass(out[0]), (31.5, 31.5), atol=0.02)


@pytest.mark.parametrize("mrad_per_px", [0.9, 0.4])
def test_each_pattern_follows_its_own_disk(mrad_per_px):
    centers = 63.5 + np.random.default_rng(0).uniform(-7, 7, (12, 2))
    patterns = np.stack([disk_at(center, 15 / mrad_per_px) for center in centers])
    out = resample_patterns(patterns, centers, mrad_per_px=mrad_per_px, size_px=48)
    np.testing.assert_allclose(center_of_mass(out), np.full((12, 2), 23.5), atol=0.03)


@pytest.mark.parametrize("mrad_per_px", [0.21, 0.7, 1.05, 1.6])
def test_the_counts_are_kept_whatever_the_camera_length(mrad_per_px):
    size = round(110 / mrad_per_px)
    pattern = ndimage.gaussian_filter(np.random.default_rng(1).random((size, size)), 4 / mrad_per_px)
    y, x = (np.indices((size, size)) - (size - 1) / 2) * mrad_per_px
    pattern *= np.exp(-(y**2 + x**2) / 2 / 8**2)
    out = resample_patterns(pattern[None], ((size - 1) / 2,) * 2, mrad_per_px=mrad_per_px, size_px=96)
    assert out.sum() == pytest.approx(pattern.sum(), rel=2e-3)


@pytest.mark.parametrize("direction", range(8))
@pytest.mark.parametrize(("rotation_deg", "flip"), [(0, False), (90, False), (45, True), (-135, True), (30, False)])
def test_a_detector_vector_is_mirrored_then_turned_into_the_frame_of_the_scan(direction, rotation_deg, flip):
    y, x = VECTORS_YX[direction]
    spot = disk_at((63.5 + 12 * y, 63.5 + 12 * x), 4)
    out = resample_patterns(
        spot[None], (63.5, 63.5), mrad_per_px=1.0, grid_mrad=1.0, rotation_deg=rotation_deg, flip=flip
    )
    seen_y, seen_x = center_of_mass(out[0]) - 31.5
    angle = (-45 if flip else 45) * direction + rotation_deg
    np.testing.assert_allclose(
        (seen_y, seen_x), (-12 * np.sin(np.deg2rad(angle)), 12 * np.cos(np.deg2rad(angle))), atol=0.05
    )


def test_on_its_own_grid_a_pattern_comes_back_as_it_was():
    patterns = np.random.default_rng(2).random((3, 64, 64)).astype(np.float32)
    out = resample_patterns(patterns, (31.5, 31.5), mrad_per_px=1.05, grid_mrad=1.05)
    np.testing.assert_allclose(out, patterns, atol=1e-6)


@pytest.mark.parametrize("mrad_per_px", [1.05, 0.35])
def test_one_centre_for_all_or_the_same_for_each_is_the_same(mrad_per_px):
    noise = np.random.default_rng(3).random((4, 100, 90))
    patterns = ndimage.gaussian_filter(noise, (0, 3, 3))
    options = {"mrad_per_px": mrad_per_px, "size_px": 16, "rotation_deg": 20.0}
    shared = resample_patterns(patterns, (48.25, 44.5), **options)
    nudged = np.array([[48.25, 44.5]] * 3 + [[48.25, 44.5001]])
    each = resample_patterns(patterns, nudged, **options)
    np.testing.assert_allclose(each, shared, atol=0.05 * shared.std())


def test_a_fine_detector_is_averaged_so_that_no_pixel_is_left_out():
    for pixel in [(100, 131), (101, 131), (102, 133), (103, 134)]:
        pattern = np.zeros((1, 256, 256))
        pattern[(0, *pixel)] = 100.0
        out = resample_patterns(pattern, (127.5, 127.5), mrad_per_px=0.26)
        assert out.sum() == pytest.approx(100, rel=0.1)


def test_outside_the_detector_there_is_nothing():
    out = resample_patterns(np.ones((1, 40, 40)), (19.5, 19.5), mrad_per_px=1.05)
    assert out[0, :11].max() == 0
    np.testing.assert_allclose(out[0, 20:40, 20:40], 1)


def test_centres_far_off_the_detector_give_empty_patterns():
    centers = np.array([[1e9, 0.0], [-1e9, 1e9]])
    for mrad_per_px in (1.0, 0.3):
        assert resample_patterns(np.ones((2, 40, 40)), centers, mrad_per_px=mrad_per_px).max() == 0


def test_no_patterns_give_no_patterns():
    assert resample_patterns(np.ones((0, 40, 40)), np.ones((0, 2)), mrad_per_px=1.0).shape == (0, 64, 64)


@pytest.mark.parametrize(
    ("patterns", "centers", "mrad_per_px", "message"),
    [
        (np.ones((4, 4)), (1, 1), 1.0, r"axes \(n, qy, qx\)"),
        (np.ones((2, 4, 4)), np.ones((3, 2)), 1.0, r"2 patterns need \(2,\) or \(2, 2\)"),
        (np.ones((1, 4, 4)), (1, np.nan), 1.0, "not a finite number"),
        (np.ones((1, 4, 4)), (1, 1), 0.0, "mrad_per_px is 0.0"),
    ],
)
def test_what_does_not_fit_is_refused(patterns, centers, mrad_per_px, message):
    with pytest.raises(ValueError, match=message):
        resample_patterns(patterns, centers, mrad_per_px=mrad_per_px)


@pytest.mark.parametrize(("mrad_per_px", "drift_px"), [(0.4, 0.0), (0.4, 5.0), (0.9, 5.0)])
def test_the_part_of_the_detector_that_is_used_is_enough(mrad_per_px, drift_px):
    rng = np.random.default_rng(4)
    patterns = rng.poisson(3, (6, 150, 140)).astype(np.uint16)
    centers = np.array([70.3, 61.8]) + drift_px * rng.uniform(-1, 1, (6, 2))
    geometry = {"mrad_per_px": mrad_per_px, "size_px": 24, "grid_mrad": 1.05, "rotation_deg": 30.0, "flip": True}
    resampler = Resampler((150, 140), centers, **geometry)
    assert resampler.box is not None
    part = np.ascontiguousarray(patterns[:, *resampler.box])
    np.testing.assert_array_equal(resampler(part, centers), resample_patterns(patterns, centers, **geometry))
    one_by_one = [resampler(part[i : i + 1], centers[i : i + 1])[0] for i in range(6)]
    np.testing.assert_array_equal(one_by_one, resampler(part, centers))


def test_a_camera_length_that_makes_the_detector_a_point_is_refused_before_any_memory_is_taken():
    with pytest.raises(ValueError, match=r"spans 0\.0064 mrad"):
        resample_patterns(np.ones((1, 64, 64)), (32, 32), mrad_per_px=1e-4, size_px=64, grid_mrad=1.2)


def test_memory_is_that_of_the_detector_however_much_of_the_grid_lies_beside_it():
    detector = np.random.default_rng(0).random((1, 1024, 1024), np.float32)
    tracemalloc.start()
    try:
        found = resample_patterns(detector, (511.5, 511.5), mrad_per_px=1.05 / 100)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 150 * 2**20
    np.testing.assert_allclose(found.sum(), detector.sum(), rtol=1e-4)
    middle = detector[0, 112:912, 112:912].reshape(8, 100, 8, 100).sum(axis=(1, 3))
    np.testing.assert_allclose(found[0, 28:36, 28:36], middle, rtol=0.02)
