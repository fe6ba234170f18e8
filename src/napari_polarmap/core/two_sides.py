"""Where two sides of a line differ: walls, faults and steps between two perfect crystals."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from napari_polarmap.core.cell_frame import Maps, shifted, sums

_ACROSS_CELLS: Final = 0.45
_ALONG_CELLS: Final = 0.8
_ALONG_DECAY: Final = 1.2
_FAR_CELLS: Final = (2, 3)
_CURVED: Final = 0.3
_LEAST_SEEN: Final = 0.3
_LEAST_WEIGHT: Final = 0.4
_MIN_WIDTH: Final = 0.02
_ENOUGH: Final = 20

DIRECTIONS: Final = 2
"""Lines are sought along either lattice vector."""


class _Side(NamedTuple):
    """Sums over the translations to one side, of which the index in cells is even or odd along the line."""

    total: Maps
    weight: NDArray[np.float32]
    square: NDArray[np.float32]

    def __add__(self, other: object) -> _Side:
        if not isinstance(other, _Side):
            return NotImplemented
        return _Side(*(one + two for one, two in zip(self, other, strict=True)))


def difference_of_sides(
    maps: Maps, defined: NDArray[np.bool_], weights: NDArray[np.float32], per_cell: int
) -> NDArray[np.float64]:
    """Return by how many standard deviations the two sides of a position differ more than those two cells away.

    Parameters
    ----------
    maps : ndarray, shape (k, rows, columns)
        In a `CellFrame`, in units of their noise.
    defined : ndarray of bool, shape (rows, columns)
    weights : ndarray, shape (rows, columns)
        How much each position counts.
    per_cell : int
        Positions along each edge of a cell.

    Returns
    -------
    z : ndarray, shape (rows, columns)
        -inf where there are no two sides.

    Notes
    -----
    Along both lattice vectors, the mean of the equivalent positions in the next cells of one side is compared with
    that of the other. The squared difference over its noise is averaged over a patch along the line and over those
    two or three cells away on each side is taken off, so that a slow bend is none; three tenths of what differs
    there beyond noise is allowed for as its curvature. What chance makes of it is seen where half of each side is
    exchanged with half of the other.
    """
    best = np.full(defined.shape, -np.inf)
    enough = _LEAST_WEIGHT * float(np.median(weights[defined])) if defined.any() else 0.0
    for across in range(DIRECTIONS):
        parts = {
            (side, even): _side(maps, weights, across, side, even, per_cell) for side in (1, -1) for even in (0, 1)
        }
        sides = parts[1, 0] + parts[1, 1], parts[-1, 0] + parts[-1, 1]
        mixed = parts[1, 0] + parts[-1, 1], parts[1, 1] + parts[-1, 0]
        level, chance = (_level(*pair, defined, enough, across, per_cell) for pair in (sides, mixed))
        (ridge, far), (null, _) = (_ridge(each, across, per_cell) for each in (level, chance))
        seen = np.isfinite(null)
        if seen.sum() < _ENOUGH:
            continue
        usual = float(np.nanmedian(chance))
        low, middle, high = np.quantile(null[seen], [0.16, 0.5, 0.84])
        width = max(high - middle, middle - low, _MIN_WIDTH * usual, 1e-9)
        z = (ridge - max(middle, 0.0)) / np.hypot(width, _CURVED * np.maximum(far - usual, 0))
        np.fmax(best, z, out=best)
    return best


def _side(maps: Maps, weights: NDArray[np.float32], across: int, side: int, even: int, per_cell: int) -> _Side:
    along = np.array([0]) if even else np.array([-1, 1])
    cells = np.empty((len(along), 2), np.int64)
    cells[:, across], cells[:, 1 - across] = side, along
    return _Side(*sums(maps, weights, cells, np.exp(-0.5 * (along / _ALONG_DECAY) ** 2), per_cell))


def _level(
    one: _Side, other: _Side, defined: NDArray[np.bool_], enough: float, across: int, per_cell: int
) -> NDArray[np.float64]:
    """Return the cube root of the squared difference over its noise, averaged along the line; NaN if not known."""
    full = 1 + 2 * np.exp(-0.5 / _ALONG_DECAY**2)
    seen = defined & (one.weight > enough * full) & (other.weight > enough * full)
    safe = [np.maximum(side.weight, 1e-6) for side in (one, other)]
    difference = one.total / safe[0] - other.total / safe[1]
    noise = one.square / safe[0] ** 2 + other.square / safe[1] ** 2
    squared = np.where(seen, (difference**2).sum(axis=0) / np.maximum(noise, 1e-9), 0)
    kernel = _oblong(across, per_cell)
    share = signal.fftconvolve(seen.astype(np.float32), kernel, mode="same")
    mean = signal.fftconvolve(squared, kernel, mode="same") / np.maximum(share, 1e-3)
    return np.where(defined & (share > _LEAST_SEEN), np.cbrt(np.maximum(mean, 0)), np.nan)


def _ridge(level: NDArray[np.float64], across: int, per_cell: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return by how much a level exceeds that on either side of it, two or three cells away, and the latter."""
    beside = []
    for side in (1, -1):
        steps = [_step(across, side * far * per_cell) for far in _FAR_CELLS]
        beside.append(np.fmin(*(shifted(level, step) for step in steps)))
    far = np.fmax(*beside)
    return level - far, far


def _step(across: int, by: int) -> tuple[int, int]:
    return (0, by) if across else (by, 0)


def _oblong(across: int, per_cell: int) -> NDArray[np.float64]:
    """Return a Gaussian that is narrow across a line and long along it."""
    widths = _ACROSS_CELLS * per_cell, _ALONG_CELLS * per_cell
    ends = [np.arange(-np.ceil(2.5 * width), np.ceil(2.5 * width) + 1) / width for width in widths]
    kernel = np.outer(*(np.exp(-0.5 * end**2) for end in ends))
    return np.asarray((kernel.T if across else kernel) / kernel.sum(), dtype=np.float64)
