"""A quick look at a scan: its bright-field image from as much as can be read at once."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_polarmap.core.axes import AxisOrder
from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.preprocessing import find_disk, read_patterns

IN_SIGHT_S: Final = 0.25
"""Time for a look while the window waits [s]."""
_BLOCK_BYTES: Final = 32 * 2**20
_MOST_PLACES: Final = 64
_FIRST: Final = 8
"""Positions of the first read where time counts; one that takes less than `_SOON_S` [s] is followed by a larger one."""
_SOON_S: Final = 0.02


@dataclass(frozen=True)
class Preview:
    """Bright-field image of a scan.

    Attributes
    ----------
    image : ndarray of float32, shape (scan_y, scan_x)
        Counts inside the direct disk; over the whole detector where no disk is found.
    complete : bool
        Every position was read; else those in between repeat their nearest neighbour.
    """

    image: NDArray[np.float32]
    complete: bool


def quick_look(scan: Scan4D, max_bytes: int = 128 * 2**20, seconds: float = np.inf) -> Preview:
    """Return a bright-field image, reading only every n-th row of a scan larger than `max_bytes`.

    Rows come from coarse to fine, and reading ends when the time is over: after that, at most one read goes on.

    Raises
    ------
    OSError
        If the file cannot be read at all.
    """
    end = perf_counter() + seconds
    scan_y, scan_x = scan.scan_shape
    stride = max(1, -(-scan.nbytes // max_bytes))
    rows = np.arange(min(stride // 2, scan_y - 1), scan_y, stride)
    most = int(np.clip(_BLOCK_BYTES // (4 * int(np.prod(scan.detector_shape))), 1, scan_x))

    mask, step = _disk_mask(scan, int(rows[len(rows) // 2]), most, most if seconds == np.inf else _FIRST)
    image, known = np.zeros(scan.scan_shape, np.float32), np.zeros(scan.scan_shape, np.bool_)
    for row in _coarse_to_fine(rows.tolist()):
        column = 0
        while column < scan_x and (perf_counter() < end or not known.any()):
            began, block = perf_counter(), slice(column, min(column + step, scan_x))
            patterns, _, _ = read_patterns(scan, slice(row, row + 1), block)
            image[row, block], known[row, block] = patterns[0][:, mask].sum(axis=1), True
            column = block.stop
            step = min(2 * step, most) if perf_counter() - began < _SOON_S else step
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    return Preview(image[tuple(nearest)], complete=bool(known.all()))


def _coarse_to_fine(rows: list[int]) -> list[int]:
    """Return the middle row, then those in the middles of what is left, and so on."""
    ordered, parts = [], [rows]
    while parts:
        part, parts = parts[0], parts[1:]
        middle = len(part) // 2
        if part:
            ordered.append(part[middle])
            parts += [part[:middle], part[middle + 1 :]]
    return ordered


def _disk_mask(scan: Scan4D, row: int, most: int, first: int) -> tuple[NDArray[np.bool_], int]:
    """Return the detector pixels of the direct disk, found in the mean over part of a row, and how long that part is.

    It begins with `first` positions, and grows up to `most` while reading is quick.
    """
    step, began = min(most, first), perf_counter()
    patterns, _, _ = read_patterns(scan, slice(row, row + 1), slice(0, step))
    while step < most and perf_counter() - began < _SOON_S:
        step, began = min(8 * step, most), perf_counter()
        patterns, _, _ = read_patterns(scan, slice(row, row + 1), slice(0, step))
    try:
        return find_disk(patterns.mean(axis=(0, 1))).mask(scan.detector_shape), step
    except ValueError:
        return np.ones(scan.detector_shape, np.bool_), step


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
