"""One pass over a scan, in blocks, past everything that is broken in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_polarmap.core import survey
from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.preprocessing import (
    Disk,
    center_of_mass,
    disk_centers_of_mass,
    read_patterns,
    sample_mean,
    scan_statistics,
)


class BrokenFile:
    """An array of which some patterns cannot be read."""

    def __init__(self, data: np.ndarray, broken: set[tuple[int, int]]) -> None:
        self.data, self.broken = data, broken
        self.shape, self.dtype = data.shape, data.dtype

    def __getitem__(self, key: Any) -> np.ndarray:
        block = np.zeros(self.shape[:2], bool)
        block[key] = True
        if any(block[place] for place in self.broken):
            raise OSError("a checksum is wrong")
        return self.data[key]


@pytest.fixture
def counts() -> np.ndarray:
    return np.random.default_rng(0).poisson(3.0, (20, 17, 24, 30)).astype(np.uint16)


def test_the_centre_of_mass_is_the_mean_position_of_the_counts():
    pattern = np.random.default_rng(1).random((2, 3, 11, 14))
    y, x = np.indices((11, 14))
    expected = np.stack([(pattern * axis).sum((2, 3)) / pattern.sum((2, 3)) for axis in (y, x)], axis=-1)
    np.testing.assert_allclose(center_of_mass(pattern), expected)


def test_an_even_pattern_has_its_centre_of_mass_in_the_middle_of_the_axes():
    np.testing.assert_allclose(center_of_mass(np.ones((10, 7))), (4.5, 3.0))


def test_no_counts_have_no_centre_of_mass():
    assert np.isnan(center_of_mass(np.zeros((2, 8, 8)))).all()


def test_a_mask_leaves_out_a_hot_pixel():
    pattern = np.ones((9, 9))
    pattern[0, 0] = 1e6
    mask = np.ones((9, 9), bool)
    mask[0, :] = mask[:, 0] = mask[-1, :] = mask[:, -1] = False
    np.testing.assert_allclose(center_of_mass(pattern, mask), (4, 4))
    with pytest.raises(ValueError, match=r"it must fit the detector, \(9, 9\)"):
        center_of_mass(pattern, mask[1:])


def test_a_line_is_no_pattern():
    with pytest.raises(ValueError, match="a pattern has the two axes"):
        center_of_mass(np.ones(5))


@pytest.mark.parametrize("block_bytes", [1, 5000, 2**25])
def test_the_statistics_do_not_depend_on_the_blocks(counts, block_bytes, monkeypatch):
    monkeypatch.setattr(survey, "_BLOCK_BYTES", block_bytes)
    statistics = scan_statistics(Scan4D(counts))
    np.testing.assert_allclose(statistics.mean_pattern, counts.mean((0, 1)))
    np.testing.assert_allclose(statistics.total, counts.sum((2, 3)))
    np.testing.assert_allclose(statistics.com_px, center_of_mass(counts), atol=1e-4)
    np.testing.assert_allclose(statistics.tile_patterns.sum((0, 1)), counts.sum((0, 1)))


def test_tiles_hold_the_patterns_of_their_part_of_the_scan(counts):
    statistics = scan_statistics(Scan4D(counts))
    y, x = statistics.tile_edges
    assert (y[-1], x[-1]) == counts.shape[:2]
    np.testing.assert_allclose(statistics.tile_patterns[1, 0], counts[y[1] : y[2], x[0] : x[1]].sum((0, 1)))


def test_with_a_disk_only_its_surroundings_count(counts):
    disk = Disk(center_px=(11, 14), radius_px=6)
    counts[..., 0, 0] = 60000
    statistics = scan_statistics(Scan4D(counts), disk=disk)
    np.testing.assert_allclose(statistics.bright, counts[..., disk.mask((24, 30))].sum(-1))
    np.testing.assert_allclose(statistics.com_px, center_of_mass(counts, disk.mask((24, 30), 1.25)), atol=1e-4)


def test_readings_that_are_not_finite_or_negative_count_as_zero_and_are_told(counts):
    data = counts.astype(np.float32)
    data[3, 4, 5, 6], data[3, 4, 5, 7], data[0, 0, 0, 0] = np.nan, np.inf, -1e30
    clean = data.copy()
    clean[3, 4, 5, 6] = clean[3, 4, 5, 7] = clean[0, 0, 0, 0] = 0
    statistics = scan_statistics(Scan4D(data))
    assert statistics.n_bad_pixels == 2
    np.testing.assert_allclose(statistics.total, clean.sum((2, 3)), rtol=1e-6)


def test_patterns_that_cannot_be_read_are_left_out_and_counted(counts):
    broken = BrokenFile(counts, {(0, 3), (11, 16)})
    statistics = scan_statistics(Scan4D(broken))
    assert statistics.n_unreadable == 2
    assert np.isnan(statistics.com_px[0, 3]).all()
    whole = np.ones(counts.shape[:2], bool)
    whole[0, 3] = whole[11, 16] = False
    np.testing.assert_allclose(statistics.mean_pattern, counts[whole].mean(0))
    assert np.isfinite(statistics.com_px[whole]).all()


def test_a_file_of_which_nothing_can_be_read_says_so(counts):
    broken = BrokenFile(counts[:2, :2], set(np.ndindex(2, 2)))
    with pytest.raises(ValueError, match="none of the 4 patterns can be read"):
        scan_statistics(Scan4D(broken))


def test_a_block_of_patterns_is_read_as_plain_numbers(counts):
    patterns, n_bad, n_unreadable = read_patterns(Scan4D(counts), slice(2, 4), slice(5, 17))
    assert (patterns.dtype, n_bad, n_unreadable) == (np.float32, 0, 0)
    np.testing.assert_array_equal(patterns, counts[2:4, 5:17])


def test_progress_ends_with_the_whole_scan(counts, monkeypatch):
    monkeypatch.setattr(survey, "_BLOCK_BYTES", 10 * counts[0, 0].nbytes)
    seen: list[tuple[int, int]] = []
    scan_statistics(Scan4D(counts), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (340, 340)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_the_disk_s_centres_of_mass_alone_are_those_of_the_whole_survey(counts):
    disk = Disk(center_px=(11, 14), radius_px=6)
    np.testing.assert_array_equal(
        disk_centers_of_mass(Scan4D(counts), disk), scan_statistics(Scan4D(counts), disk=disk).com_px
    )


@pytest.mark.parametrize("dtype", [bool, np.int8, ">u2", np.float16, np.uint64])
def test_every_type_of_number_is_summed_alike(counts, dtype):
    data = np.minimum(counts, 1).astype(dtype)
    np.testing.assert_array_equal(scan_statistics(Scan4D(data)).total, data.astype(float).sum((2, 3)))


@pytest.mark.parametrize(("center_px", "radius_px"), [((140, 11), 200), ((3, 65), 20), ((295, 2), 9), ((150, 36), 30)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int8, np.int16])
def test_whole_numbers_of_any_size_are_summed_as_their_real_values_are(dtype, center_px, radius_px):
    limits, random = np.iinfo(dtype), np.random.default_rng(2)
    data = random.integers(limits.min, limits.max, (9, 8, 300, 72), dtype, endpoint=True)
    data[2:4] = limits.max
    disk = Disk(center_px=center_px, radius_px=radius_px)
    counted, real = (scan_statistics(Scan4D(patterns), disk=disk) for patterns in (data, data.astype(np.float64)))
    for name in ("total", "bright", "com_px", "tile_patterns"):
        np.testing.assert_array_equal(getattr(counted, name), getattr(real, name))


def test_sums_of_so_many_counts_that_32_bits_might_not_hold_them_are_right():
    data = np.full((1280, 1024, 2, 2), 65535, np.uint16)
    np.testing.assert_array_equal(scan_statistics(Scan4D(data)).mean_pattern, np.full((2, 2), 65535))


def test_a_large_scan_is_sampled_all_over_and_no_more_than_asked(counts, monkeypatch):
    monkeypatch.setattr(survey, "_SAMPLE_BYTES", 100 * counts[0, 0].nbytes)
    seen = np.zeros(counts.shape[:2], int)
    read = Scan4D.read

    def counted(self, rows, columns, box=None):
        seen[rows, columns] += 1
        return read(self, rows, columns, box)

    monkeypatch.setattr(Scan4D, "read", counted)
    mean = sample_mean(Scan4D(counts))
    assert seen.max() == 1
    assert 16 <= seen.sum() <= 100
    np.testing.assert_allclose(mean, counts[seen > 0].mean(0))
