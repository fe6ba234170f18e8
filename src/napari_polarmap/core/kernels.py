"""Loops over patterns that read every count once; compiled when first used, then kept beside the package."""

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
    """Sum patterns and their moments in one pass; negative and not finite readings count as 0.

    Parameters
    ----------
    block : ndarray, shape (rows, columns, det_y, det_x)
        C-contiguous, of any real type that numba knows.
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
