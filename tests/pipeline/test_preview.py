"""The quick look at a scan."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap.core.data import Scan4D
from napari_polarmap.pipeline.preview import quick_look


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


def test_a_scan_without_counts_gives_a_dark_image():
    preview = quick_look(Scan4D(np.zeros((3, 4, 16, 16), np.uint8)))
    assert not preview.image.any()


@pytest.mark.parametrize("shape", [(1, 1, 16, 16), (1, 7, 16, 12), (5, 1, 9, 16)])
def test_small_scans_have_a_preview_of_their_shape(shape):
    preview = quick_look(Scan4D(np.random.default_rng(0).random(shape)), max_bytes=1)
    assert preview.image.shape == shape[:2]
