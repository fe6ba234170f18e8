"""Loops over patterns that read every count once; compiled when first used, then kept beside the package.

Everywhere here, negative and not finite readings count as 0, and blocks are C-contiguous and of any real type
that numba knows (see `core.sums.plain`).
"""

from __future__ import annotations

from typing import Any, Final

import numba
import numpy as np
from numpy.typing import NDArray

_FAST: Final = {"reassoc", "contract", "nsz"}


@numba.njit(inline="always", fastmath=_FAST)
def _clean(reading: Any) -> float:
    value = np.float64(reading)
    return value if 0 < value < np.inf else 0.0


@numba.njit(nogil=True, cache=True, fastmath=_FAST)
def add_patterns(
    block: NDArray[Any],
    columns: tuple[int, int],
    near: NDArray[np.int64],
    bright: NDArray[np.int64],
    moments: NDArray[np.float64],
    total: NDArray[np.float64],
) -> None:
    """Sum patterns and their moments in one pass.

    Parameters
    ----------
    block : ndarray, shape (rows, columns, det_y, det_x)
    columns : (int, int)
        First column of the block to use, and the one after the last.
    near, bright : ndarray of int64, shape (det_y, 2)
        On each detector row, the first pixel inside a disk and the one after the last.
    moments : ndarray of float64, shape (rows, columns, 5)
        Filled with counts near the disk, their moments along y and x from the middle of the
        detector, counts in the disk, and all counts.
    total : ndarray of float64, shape (det_y, det_x)
        The patterns are added to it. Where it is empty, only what lies near the disk is read.
    """
    height, width = block.shape[2:]
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    every = total.size > 0
    for i in range(block.shape[0]):
        for j in range(columns[0], columns[1]):
            counts = down = across = light = everything = 0.0
            for y in range(height):
                # Slices, as indices that might be negative would keep the loops from being vectorised.
                inside = block[i, j, y, near[y, 0] : near[y, 1]]
                here = lever = 0.0
                for x in range(inside.size):
                    value = _clean(inside[x])
                    here += value
                    lever += value * x
                counts += here
                down += here * (y - middle_y)
                across += lever + here * (near[y, 0] - middle_x)
                inside = block[i, j, y, bright[y, 0] : bright[y, 1]]
                for x in range(inside.size):
                    light += _clean(inside[x])
                if every:
                    row, sums = block[i, j, y], total[y]
                    for x in range(width):
                        value = _clean(row[x])
                        everything += value
                        sums[x] += value
            moments[i, j, 0] = counts
            moments[i, j, 1] = down
            moments[i, j, 2] = across
            moments[i, j, 3] = light
            moments[i, j, 4] = everything


def exact(block: NDArray[Any]) -> bool:
    """Tell whether `add_counts` can add up a block of patterns, shape (rows, columns, det_y, det_x)."""
    if block.dtype.kind not in "iu" or block.dtype.itemsize > 2:
        return False
    rows, columns, height, width = block.shape
    return bool(max(rows * columns, height, width) * np.iinfo(block.dtype).max < 2**32)


@numba.njit(nogil=True, cache=True)
def add_counts(
    block: NDArray[Any],
    columns: tuple[int, int],
    near: NDArray[np.int64],
    bright: NDArray[np.int64],
    moments: NDArray[np.float64],
    total: NDArray[np.float64],
) -> None:
    """Do what `add_patterns` does, in whole numbers of 32 bits, of which a processor adds twice as many at once.

    For a block that is `exact`; parameters as for `add_patterns`.
    """
    height, width = block.shape[2:]
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    every = total.size > 0
    sums, along_x = np.zeros(total.shape, np.uint32), np.empty(width, np.uint32)
    for i in range(block.shape[0]):
        for j in range(columns[0], columns[1]):
            counts = down = across = light = everything = 0.0
            along_x[:] = 0
            for y in range(height):
                inside, column = block[i, j, y, near[y, 0] : near[y, 1]], along_x[near[y, 0] : near[y, 1]]
                here = np.uint32(0)
                for x in range(inside.size):
                    value = np.uint32(max(inside[x], 0))
                    here = np.uint32(here + value)
                    column[x] += value
                counts += here
                down += here * (y - middle_y)
                inside = block[i, j, y, bright[y, 0] : bright[y, 1]]
                here = np.uint32(0)
                for x in range(inside.size):
                    here = np.uint32(here + np.uint32(max(inside[x], 0)))
                light += here
                if every:
                    row, column, here = block[i, j, y], sums[y], np.uint32(0)
                    for x in range(width):
                        value = np.uint32(max(row[x], 0))
                        here = np.uint32(here + value)
                        column[x] += value
                    everything += here
            for x in range(width):
                across += along_x[x] * (x - middle_x)
            moments[i, j, 0] = counts
            moments[i, j, 1] = down
            moments[i, j, 2] = across
            moments[i, j, 3] = light
            moments[i, j, 4] = everything
    if every:
        total += sums


@numba.njit(nogil=True, cache=True)
def weighted_sums(
    patterns: NDArray[Any],
    pointer: NDArray[np.int32],
    pixels: NDArray[np.int32],
    weights: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Fill `out`, shape (n, rows), with a sparse matrix (CSR: pointer, pixels, weights) times each of `patterns`."""
    for i in range(patterns.shape[0]):
        pattern = patterns[i].reshape(-1)
        for row in range(out.shape[1]):
            total = np.float32(0)
            for k in range(pointer[row], pointer[row + 1]):
                total += weights[k] * np.float32(_clean(pattern[pixels[k]]))
            out[i, row] = total


@numba.njit(nogil=True, cache=True)
def weighted_totals(
    patterns: NDArray[np.float32],
    pointer: NDArray[np.int32],
    columns: NDArray[np.int32],
    weights: NDArray[np.float32],
    out: NDArray[np.float64],
) -> None:
    """Add a sparse matrix (CSR: pointer, columns, weights) times `patterns`, shape (n, pixels), to `out`.

    In float64, so that sums hardly depend on which patterns come together.
    """
    for row in range(out.shape[0]):
        total = out[row]
        for k in range(pointer[row], pointer[row + 1]):
            weight, pattern = np.float64(weights[k]), patterns[columns[k]]
            for x in range(total.size):
                total[x] += weight * np.float64(pattern[x])


@numba.njit(nogil=True, cache=True)
def shifted(pattern: NDArray[Any], shift: NDArray[np.float64], out: NDArray[np.float32]) -> None:
    """Move what lies at ``p + shift`` in a pattern to p in `out`, bilinearly; 0 from outside."""
    height, width = pattern.shape
    low_y, low_x = int(np.floor(shift[0])), int(np.floor(shift[1]))
    up, right = np.float32(shift[0] - low_y), np.float32(shift[1] - low_x)
    rows = np.zeros(width + 1, np.float32)
    for y in range(height):
        rows[:] = 0
        for step in range(2):
            from_y = y + low_y + step
            if 0 <= from_y < height:
                weight = up if step else np.float32(1) - up
                for x in range(max(0, -low_x), min(width + 1, width - low_x)):
                    rows[x] += weight * np.float32(_clean(pattern[from_y, x + low_x]))
        for x in range(width):
            out[y, x] = rows[x] * (np.float32(1) - right) + rows[x + 1] * right


@numba.njit(nogil=True, cache=True)
def interpolated(pattern: NDArray[Any], points: NDArray[np.float64], out: NDArray[np.float32]) -> None:
    """Fill `out` with a pattern between its pixels at `points`, shape (n, 2); 0 from outside."""
    height, width = pattern.shape
    for k in range(len(points)):
        y, x = points[k]
        low_y, low_x = int(np.floor(y)), int(np.floor(x))
        up, right = np.float32(y - low_y), np.float32(x - low_x)
        total = np.float32(0)
        for step in range(2):
            from_y = low_y + step
            if 0 <= from_y < height:
                here = np.float32(0)
                if 0 <= low_x < width:
                    here += np.float32(_clean(pattern[from_y, low_x])) * (np.float32(1) - right)
                if 0 <= low_x + 1 < width:
                    here += np.float32(_clean(pattern[from_y, low_x + 1])) * right
                total += here * (up if step else np.float32(1) - up)
        out[k] = total
