"""A quick look at a scan: its bright-field image from as much as can be read at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.preprocessing import find_disk, read_patterns

_BLOCK_BYTES = 32 * 2**20


@dataclass(frozen=True)
class Preview:
    """Bright-field image of a scan.

    Attributes
    ----------
    image : ndarray of float32, shape (scan_y, scan_x)
        Counts inside the direct disk; over the whole detector where no disk is found.
    complete : bool
        Every row was read; else rows in between repeat their nearest neighbour.
    """

    image: NDArray[np.float32]
    complete: bool


def quick_look(scan: Scan4D, max_bytes: int = 128 * 2**20) -> Preview:
    """Return a bright-field image, reading only every n-th row of a scan larger than `max_bytes`.

    Raises
    ------
    OSError
        If the file cannot be read at all.
    """
    scan_y, scan_x = scan.scan_shape
    stride = max(1, -(-scan.nbytes // max_bytes))
    rows = np.arange(min(stride // 2, scan_y - 1), scan_y, stride)
    pattern_bytes = 4 * int(np.prod(scan.detector_shape))
    step = int(np.clip(_BLOCK_BYTES // pattern_bytes, 1, scan_x))

    mask = _disk_mask(scan, int(rows[len(rows) // 2]), step)
    lines = np.empty((len(rows), scan_x), np.float32)
    for line, row in zip(lines, rows.tolist(), strict=True):
        for column in range(0, scan_x, step):
            block = slice(column, min(column + step, scan_x))
            patterns, _, _ = read_patterns(scan, slice(row, row + 1), block)
            line[block] = patterns[0][:, mask].sum(axis=1)
    nearest = np.clip(np.arange(scan_y) // stride, 0, len(rows) - 1)
    return Preview(lines[nearest], complete=stride == 1)


def _disk_mask(scan: Scan4D, row: int, n_columns: int) -> NDArray[np.bool_]:
    """Return the detector pixels of the direct disk, found in the mean over one row."""
    patterns, _, _ = read_patterns(scan, slice(row, row + 1), slice(0, n_columns))
    try:
        return find_disk(patterns.mean(axis=(0, 1))).mask(scan.detector_shape)
    except ValueError:
        return np.ones(scan.detector_shape, np.bool_)
