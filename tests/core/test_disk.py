"""The disk is found by its rim, whatever the specimen does inside it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_polarmap.core.preprocessing import Disk, center_of_mass, find_disk, follow_disk


def moved(pattern: np.ndarray, shape: tuple[int, int], center: tuple[float, float], scale: float = 1.0) -> np.ndarray:
    """The pattern on another detector: direct beam at `center`, `scale` times as large."""
    place = [(axis - c) / scale + 32 for axis, c in zip(np.indices(shape), center, strict=True)]
    return ndimage.map_coordinates(pattern, place, order=1, mode="nearest")


def distance(disk: Disk, center: tuple[float, float]) -> float:
    return float(np.hypot(disk.center_px[0] - center[0], disk.center_px[1] - center[1]))


@pytest.mark.parametrize("index", range(16))
def test_the_disk_of_a_crystal_is_found_at_any_thickness_and_tilt(mean_patterns, index):
    disk = find_disk(mean_patterns["pattern"][index])
    assert distance(disk, (32, 32)) < 0.25
    assert disk.radius_px == pytest.approx(mean_patterns["radius_px"][index], rel=0.01)


def test_the_rim_lies_nearer_to_the_beam_than_the_centre_of_mass_does(mean_patterns):
    tilted = mean_patterns["tilt_mrad"] > 1
    rim = [distance(find_disk(pattern), (32, 32)) for pattern in mean_patterns["pattern"][tilted]]
    mass = [np.hypot(*(center_of_mass(pattern) - 32)) for pattern in mean_patterns["pattern"][tilted]]
    assert np.mean(rim) < 0.5 * np.mean(mass)


@pytest.mark.parametrize("index", [1, 7, 14])
def test_a_known_radius_leaves_only_the_centre_to_find(mean_patterns, index):
    radius = float(mean_patterns["radius_px"][index])
    disk = find_disk(mean_patterns["pattern"][index], radius)
    assert disk.radius_px == radius
    assert distance(disk, (32, 32)) < 0.2


@pytest.mark.parametrize(
    ("shape", "center", "scale"),
    [((48, 64), (20.3, 35.8), 0.7), ((128, 128), (55.4, 71.7), 1.7), ((256, 200), (120.8, 97.4), 3.0)],
)
def test_any_detector_shows_the_same_disk(mean_pattern, shape, center, scale):
    disk = find_disk(moved(mean_pattern, shape, center, scale))
    assert distance(disk, center) < 0.2 * scale
    assert disk.radius_px == pytest.approx(22.18 * scale, rel=0.02)


def test_a_disk_partly_off_the_detector_is_found_by_the_rest_of_its_rim(mean_pattern):
    disk = find_disk(moved(mean_pattern, (64, 64), (17.5, 40.2)))
    assert distance(disk, (17.5, 40.2)) < 0.3


def test_hot_pixels_and_a_dead_row_do_not_move_the_disk(mean_pattern):
    rng = np.random.default_rng(0)
    broken = mean_pattern.copy()
    broken[rng.integers(0, 64, 12), rng.integers(0, 64, 12)] = 1e3 * rng.random(12)
    broken[20] = 0
    assert distance(find_disk(broken), (32, 32)) < 0.25


def test_an_intensity_slope_does_not_move_the_disk(mean_pattern):
    slope = 1 + 0.3 * np.linspace(-1, 1, 64)
    assert distance(find_disk(mean_pattern * slope), (32, 32)) < 0.15


def test_a_broad_halo_around_a_small_disk_is_not_the_disk():
    y, x = np.indices((128, 128))
    r = np.hypot(y - 70.4, x - 25.3)
    pattern = 60.0 * (r < 20) + 20.0 * (r < 42) + 2.0
    disk = find_disk(np.random.default_rng(4).poisson(pattern))
    assert distance(disk, (70.4, 25.3)) < 0.2
    assert disk.radius_px == pytest.approx(20, rel=0.02)


@pytest.mark.parametrize(("electrons", "error_px", "error"), [(1e6, 0.2, 0.01), (1e5, 0.4, 0.02), (1e4, 1.0, 0.06)])
def test_few_electrons_blur_the_answer_but_do_not_break_it(mean_pattern, electrons, error_px, error):
    rng = np.random.default_rng(1)
    for _ in range(3):
        disk = find_disk(rng.poisson(mean_pattern * electrons / mean_pattern.sum()))
        assert distance(disk, (32, 32)) < error_px
        assert disk.radius_px == pytest.approx(22.18, rel=error)


def test_a_known_disk_is_followed_into_a_noisy_part_of_the_scan(mean_pattern):
    disk = find_disk(mean_pattern)
    part = np.random.default_rng(2).poisson(moved(mean_pattern, (64, 64), (34.2, 29.1)) * 3e4 / mean_pattern.sum())
    found = follow_disk(part, disk)
    assert distance(found, (34.2, 29.1)) < 0.4
    assert found.radius_px == pytest.approx(22.18, rel=0.03)


def test_a_disk_that_jumped_away_is_not_followed(mean_pattern):
    with pytest.raises(ValueError, match="the disk is not near its place"):
        follow_disk(moved(mean_pattern, (96, 96), (60, 60)), Disk(center_px=(30, 30), radius_px=22.18))


@pytest.mark.parametrize(
    "pattern",
    [
        np.ones((64, 64)),
        np.random.default_rng(0).poisson(5, (64, 64)),
        np.random.default_rng(0).poisson(0.02, (96, 96)),
        np.random.default_rng(0).normal(size=(64, 64)),
        np.tile(np.arange(64.0), (64, 1)),
        np.pad([[1.0]], 30),
    ],
    ids=["flat", "noise", "single counts", "noise around zero", "ramp", "one hot pixel"],
)
def test_what_shows_no_disk_is_refused(pattern):
    with pytest.raises(ValueError, match=r"no bright-field disk|no counts"):
        find_disk(pattern)


@pytest.mark.parametrize("value", [0.0, np.nan, -1.0])
def test_no_counts_is_said_so(value):
    with pytest.raises(ValueError, match="the patterns hold no counts"):
        find_disk(np.full((32, 32), value))


def test_the_mask_of_a_disk_has_its_area():
    disk = Disk(center_px=(30.3, 28.6), radius_px=20)
    assert disk.mask((64, 64)).sum() == pytest.approx(np.pi * 400, rel=0.02)
    assert disk.mask((64, 64), 0.5).sum() == pytest.approx(np.pi * 100, rel=0.03)
