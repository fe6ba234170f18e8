"""A quick look at a scan: its bright-field image from as much as can be read at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.axes import AxisOrder
from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.preprocessing import find_disk, read_patterns

_BLOCK_BYTES = 32 * 2**20
_MOST_PLACES = 64


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


@dataclass(frozen=True, eq=False)
class AxisSample:
    """Part of a scan in its stored order, to see what another order of the axes would make of it.

    Attributes
    ----------
    data : ndarray of float32, four axes
        At most 64 places along the first two.
    shape : tuple of int
        Of the whole.
    """

    data: NDArray[np.float32]
    shape: tuple[int, ...]

    def views(self, order: AxisOrder) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the scan image in the light of the brighter half of the detector, and the mean pattern."""
        ordered = order.apply(self.data)
        pattern = ordered.mean(axis=(0, 1))
        bright = pattern >= 0.5 * np.quantile(pattern, 0.98)
        return ordered[..., bright].mean(axis=-1), pattern


def axis_sample(scan: Scan4D, max_bytes: int = 48 * 2**20) -> AxisSample:
    """Read places spread over the first two stored axes."""
    first, second, *rest = scan.shape
    places = np.sqrt(max_bytes / (4 * np.prod(rest)))
    rows, columns = (
        np.unique(np.linspace(0, n - 1, int(np.clip(places, 2, min(n, _MOST_PLACES)))).round().astype(int))
        if n > 1
        else np.zeros(1, int)
        for n in (first, second)
    )
    data = np.empty((len(rows), len(columns), *rest), np.float32)
    for i, row in enumerate(rows.tolist()):
        if len(columns) == second:
            data[i] = scan.read(slice(row, row + 1), slice(None))[0]
            continue
        for j, column in enumerate(columns.tolist()):
            data[i, j] = scan.pattern(row, column)
    return AxisSample(np.nan_to_num(data, posinf=0, neginf=0), scan.shape)
