"""Loops over patterns that read every count once; compiled when first used, then kept beside the package.

Everywhere here, negative and not finite readings count as 0, and blocks are C-contiguous and of any real type
that numba knows (see `core.sums.plain`).
"""

from __future__ import annotations

from typing import Any, Final

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

_FAST: Final = {"reassoc", "contract", "nsz"}
_STEP: Final = 32
"""Counts that a processor adds in one turn of an unrolled loop."""
_AHEAD: Final = 6
"""Detector rows that are asked of the memory before they are needed: a processor does not foresee gaps between rows."""
_LINE_BYTES: Final = 64


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


@intrinsic
def _prefetch(typing: Any, address: Any) -> Any:
    """Ask for the cache line at an address, which need not exist."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        ask = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")  # type: ignore[no-untyped-call]
        builder.call(ask, [builder.inttoptr(args[0], byte), number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(types.uintp), generate


@numba.njit(nogil=True)
def _box(spans: NDArray[np.int64], width: int) -> tuple[int, int, NDArray[np.uint16]]:
    """Return where a box around spans begins, and its mask; its width is whole steps of a vector where they fit."""
    top = bottom = 0
    left, right = width, 0
    for y in range(len(spans)):
        if spans[y, 0] < spans[y, 1]:
            top, bottom = (y if bottom == 0 else top), y + 1
            left, right = min(left, spans[y, 0]), max(right, spans[y, 1])
    left = min(left, right)
    right = min(left + -(-(right - left) // _STEP) * _STEP, width)
    left = max(0, min(left, right - -(-(right - left) // _STEP) * _STEP))
    mask = np.zeros((bottom - top, right - left), np.uint16)
    for y in range(bottom - top):
        mask[y, spans[top + y, 0] - left : spans[top + y, 1] - left] = 0xFFFF
    return top, left, mask


@numba.njit(inline="always")
def _add_row(row: NDArray[Any], mask: NDArray[np.uint16], column: NDArray[np.uint32]) -> np.uint32:
    """Add counts to those of their columns, where there are columns, and return how many they are."""
    here = np.uint32(0)
    for x in range(mask.size):
        value = np.uint32(max(row[x], 0)) & np.uint32(mask[x])
        here = np.uint32(here + value)
        column[x] += value
    return here


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
    soon = _AHEAD * width * block.itemsize
    near_y, near_x, near_mask = _box(near, width)
    bright_y, bright_x, bright_mask = _box(bright, width)
    sums, every = np.zeros(total.shape, np.uint32), np.full(width, 0xFFFF, np.uint16)
    along_x, unused = np.empty(near_mask.shape[1], np.uint32), np.empty(bright_mask.shape[1], np.uint32)
    for i in range(block.shape[0]):
        for j in range(columns[0], columns[1]):
            counts = down = across = light = everything = 0.0
            along_x[:] = 0
            for y in range(near_mask.shape[0]):
                row = block[i, j, near_y + y, near_x:]
                for ahead in range(soon, soon + along_x.size * block.itemsize, _LINE_BYTES):
                    _prefetch(np.uintp(row.ctypes.data + ahead))  # type: ignore[call-arg]
                here = _add_row(row, near_mask[y], along_x)
                counts += here
                down += here * (near_y + y - middle_y)
            for x in range(along_x.size):
                across += along_x[x] * (near_x + x - middle_x)
            for y in range(bright_mask.shape[0]):
                light += _add_row(block[i, j, bright_y + y, bright_x:], bright_mask[y], unused)
            for y in range(len(sums)):
                everything += _add_row(block[i, j, y], every, sums[y])
            moments[i, j] = counts, down, across, light, everything
    if total.size:
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


@numba.njit(nogil=True)
def _spline(coefficients: NDArray[np.float64], y: float, x: float, wrap: bool) -> float:
    """Return a cubic spline at a point; see `spline_values`."""
    value = 0.0
    first_y, first_x = int(np.floor(y)), int(np.floor(x))
    for i in range(4):
        row = 0.0
        for j in range(4):
            place = _place(first_x - 1 + j, coefficients.shape[1], wrap)
            row += _weight(x - first_x, j) * coefficients[_place(first_y - 1 + i, coefficients.shape[0], wrap), place]
        value += _weight(y - first_y, i) * row
    return value


@numba.njit(nogil=True)
def _weight(after: float, step: int) -> float:
    """Return the share of the first to fourth of the pixels around a point so far after the second of them."""
    before = 1 - after
    if step == 0:
        return before**3 / 6
    if step == 1:
        return (3 * after**2 * (after - 2) + 4) / 6
    if step == 2:
        return (3 * before**2 * (before - 2) + 4) / 6
    return after**3 / 6


@numba.njit(nogil=True)
def _place(number: int, size: int, wrap: bool) -> int:
    """Return the pixel that stands for one outside the image: beyond the other end, or in a mirror on its rim."""
    if 0 <= number < size:
        return number
    if wrap:
        return number % size
    number %= 2 * size
    return min(number, 2 * size - 1 - number)


@numba.njit(nogil=True, cache=True)
def spline_values(
    coefficients: NDArray[np.float64], points: NDArray[np.float64], wrap: bool, out: NDArray[np.float64]
) -> None:
    """Fill `out` with a cubic spline at `points`, shape (2, n), anywhere or, without `wrap`, inside the image.

    As `scipy.ndimage.map_coordinates` does with ``prefilter=False`` and the mode ``grid-wrap`` or ``nearest``, but
    without its cost of a call, which for few points is most of it.
    """
    for k in range(points.shape[1]):
        out[k] = _spline(coefficients, points[0, k], points[1, k], wrap)


@numba.njit(nogil=True, cache=True)
def outward_fall(
    down: NDArray[np.float64], across: NDArray[np.float64], circle: NDArray[np.float64], out: NDArray[np.float64]
) -> None:
    """Fill `out` with minus the outward part of a gradient along an ellipse; see `core.disk.Rim.fall`.

    Parameters
    ----------
    down, across : ndarray of float64, shape (det_y, det_x)
        Splines of its parts.
    circle : ndarray of float64, shape (5,)
    out : ndarray of float64, shape (n,)
        At even angles; NaN outside the detector.
    """
    for k in range(out.size):
        angle = 2 * np.pi * k / out.size
        sine, cosine = np.sin(angle), np.cos(angle)
        radius = circle[2] * (1 + circle[3] * np.cos(2 * angle) + circle[4] * np.sin(2 * angle))
        y, x = circle[0] + radius * sine, circle[1] + radius * cosine
        if 0 <= y <= down.shape[0] - 1 and 0 <= x <= down.shape[1] - 1:
            out[k] = -(_spline(down, y, x, False) * sine + _spline(across, y, x, False) * cosine)
        else:
            out[k] = np.nan
