"""The quick look at a scan."""

from __future__ import annotations

import time

import numpy as np
import pytest

from napari_polarmap.core.data import Scan4D
from napari_polarmap.pipeline.preview import _coarse_to_fine, quick_look


def disk_scan(scan_y=6, scan_x=9, size=32):
    """Disks whose brightness is the number of the position, on a background that is brighter in total."""
    y, x = np.mgrid[:size, :size]
    disk = np.hypot(y - 15, x - 17) <= 8
    number = np.arange(scan_y * scan_x).reshape(scan_y, scan_x)
    data = np.where(disk, 100 + number[..., None, None], 3).astype(np.uint16)
    return Scan4D(data), number


def test_the_image_counts_inside_the_disk():
    scan, number = disk_scan()
    preview = quick_look(scan)
    assert preview.complete
    assert np.corrcoef(preview.image.ravel(), number.ravel())[0, 1] > 0.9999


def test_of_a_large_scan_only_some_rows_are_read():
    scan, _ = disk_scan(scan_y=12)
    preview = quick_look(scan, max_bytes=scan.nbytes // 3)
    assert not preview.complete
    assert preview.image.shape == scan.scan_shape
    assert len(np.unique(preview.image[:, 0])) == 4


class SlowArray:
    """Patterns of a disk that take their time, each read as long as the others."""

    shape, dtype = (64, 256, 16, 16), np.dtype(np.uint16)

    def __init__(self, seconds: float) -> None:
        self.seconds, self.reads = seconds, 0

    def __getitem__(self, index):
        self.reads += 1
        time.sleep(self.seconds)
        block = np.broadcast_to(np.arange(64)[:, None, None, None], self.shape)[index]
        y, x = np.mgrid[:16, :16]
        return np.where(np.hypot(y - 7, x - 8) < 5, 100 + block, 0).astype(np.uint16)


def test_a_slow_file_is_looked_at_as_long_as_there_is_time():
    slow = SlowArray(0.15)
    begin = time.perf_counter()
    preview = quick_look(Scan4D(slow), seconds=0.5)
    assert slow.reads <= 4
    assert time.perf_counter() - begin < 0.5 + 2 * 0.15 + 1.0, "one read may go on; a second for a busy machine"
    assert not preview.complete
    assert np.unique(preview.image).size == 1, "one row was begun; all others repeat it"


def test_rows_are_read_from_coarse_to_fine():
    quick = SlowArray(0)
    preview = quick_look(Scan4D(quick))
    assert preview.complete
    np.testing.assert_allclose(np.diff(preview.image[:, 0] / preview.image[0, 0]) > 0, True)
    assert _coarse_to_fine(list(range(7))) == [3, 1, 5, 0, 2, 4, 6]


def test_a_scan_without_counts_gives_a_dark_image():
    preview = quick_look(Scan4D(np.zeros((3, 4, 16, 16), np.uint8)))
    assert not preview.image.any()


@pytest.mark.parametrize("shape", [(1, 1, 16, 16), (1, 7, 16, 12), (5, 1, 9, 16)])
def test_small_scans_have_a_preview_of_their_shape(shape):
    preview = quick_look(Scan4D(np.random.default_rng(0).random(shape)), max_bytes=1)
    assert preview.image.shape == shape[:2]
