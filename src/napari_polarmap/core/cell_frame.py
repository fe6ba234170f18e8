"""A scan seen in the frame of its lattice, where every unit cell has the same whole number of positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Maps = NDArray[np.float32]
"""Several maps, shape (k, rows, columns)."""

Cells = NDArray[np.int64]
"""Lattice translations in cells, shape (n, 2): along the second vector (rows) and the first (columns)."""

_FINEST: Final = 12
_COARSEST: Final = 3
_WHOLE: Final = 0.999


@dataclass(frozen=True)
class CellFrame:
    """Axes along the two lattice vectors; the first vector runs along the columns.

    Attributes
    ----------
    per_cell : int
        Positions along each edge of the cell.
    place_px : ndarray, shape (rows, columns, 2)
        Scan position ``(y, x)`` of each position of the frame; some lie outside the scan.
    back : ndarray, shape (2, scan_y, scan_x)
        Row and column in the frame of each scan position.
    """

    per_cell: int
    place_px: NDArray[np.float64]
    back: NDArray[np.float64]

    def sample(self, maps: Maps, defined: NDArray[np.bool_]) -> tuple[Maps, NDArray[np.bool_]]:
        """Return maps of the scan in the frame, bilinear, 0 where they are not defined, and where they are."""
        place = np.moveaxis(self.place_px, -1, 0)
        ends = np.array(defined.shape).reshape(2, 1, 1) - 1
        inside = ((place > -1e-6) & (place < ends + 1e-6)).all(axis=0)
        low = np.clip(np.floor(place + 1e-6).astype(np.int64), 0, np.maximum(ends - 1, 0))
        part = np.clip(place - low, 0, 1).astype(np.float32)
        out = np.zeros((len(maps), *inside.shape), np.float32)
        share = np.zeros(inside.shape, np.float32)
        for step in ((0, 0), (0, 1), (1, 0), (1, 1)):
            weight = np.prod([up if one else 1 - up for up, one in zip(part, step, strict=True)], axis=0)
            rows, columns = (np.minimum(at + one, end) for at, one, end in zip(low, step, ends, strict=True))
            out += weight * maps[:, rows, columns]
            share += weight * defined[rows, columns]
        known = inside & (share > _WHOLE)
        return out * known, known

    def to_scan(self, values: NDArray[np.floating], known: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return a map of the frame at every scan position; what is not known has the value next to it."""
        nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
        filled = values[tuple(nearest)].astype(np.float32)
        return np.asarray(ndimage.map_coordinates(filled, self.back, order=1, mode="nearest"), np.float32)


def cell_frame(vectors_px: NDArray[np.float64], shape: tuple[int, ...]) -> CellFrame:
    """Return the frame of a lattice that covers a scan.

    Parameters
    ----------
    vectors_px : ndarray, shape (2, 2)
        Lattice vectors ``(y, x)`` in scan positions, the one along the columns first.
    shape : (int, int)
        Of the scan.
    """
    period = float(np.linalg.norm(vectors_px, axis=1).mean())
    per_cell = int(np.clip(round(period), _COARSEST, _FINEST))
    steps = vectors_px[::-1] / per_cell
    inverse = np.linalg.inv(steps)
    corners = np.array([(y, x) for y in (0, shape[0] - 1) for x in (0, shape[1] - 1)]) @ inverse
    low = np.floor(corners.min(axis=0) + 1e-6)
    size = (np.ceil(corners.max(axis=0) - 1e-6) - low + 1).astype(int)
    place = (np.moveaxis(np.indices(size), 0, -1) + low) @ steps
    back = np.moveaxis(np.moveaxis(np.indices(shape), 0, -1) @ inverse - low, -1, 0)
    return CellFrame(per_cell, place, back)


def cells_within(reach: float) -> Cells:
    """Return the translations up to so many cells away, without the one that moves nothing."""
    n = int(reach)
    index = np.stack(np.meshgrid(*2 * [np.arange(-n, n + 1)], indexing="ij"), axis=-1).reshape(-1, 2)
    distance = np.linalg.norm(index, axis=1)
    return np.asarray(index[(distance > 0) & (distance <= reach)], dtype=np.int64)


def shifted(level: NDArray[np.floating], by: tuple[int, int]) -> NDArray[np.floating]:
    """Return what lies `by` positions further on; NaN where that is outside."""
    out = np.full_like(level, np.nan)
    spans = [_span(n, int(step)) for n, step in zip(level.shape, by, strict=True)]
    if all(here.stop > here.start for here, _ in spans):
        out[spans[0][0], spans[1][0]] = level[spans[0][1], spans[1][1]]
    return out


def _span(n: int, step: int) -> tuple[slice, slice]:
    return slice(max(0, -step), max(0, n - max(0, step))), slice(max(0, step), max(0, n + min(0, step)))


def sums(
    maps: Maps, weights: NDArray[np.float32], cells: Cells, strength: NDArray[np.float64], per_cell: int
) -> tuple[Maps, NDArray[np.float32], NDArray[np.float32]]:
    """Return weighted sums over lattice translations, the sum of weights and the sum of their squares.

    Parameters
    ----------
    maps : ndarray, shape (k, rows, columns)
    weights : ndarray, shape (rows, columns)
        Of each position.
    cells : ndarray of int, shape (n, 2)
    strength : ndarray, shape (n,)
        Of each translation.
    per_cell : int
    """
    weighted = np.concatenate([maps * weights, weights[None]])
    total, square = np.zeros_like(weighted), np.zeros_like(weights)
    for step, factor in zip(cells * per_cell, strength, strict=True):
        (to_y, from_y), (to_x, from_x) = (_span(n, int(by)) for n, by in zip(weights.shape, step, strict=True))
        if to_y.stop <= to_y.start or to_x.stop <= to_x.start:
            continue
        part = weighted[:, from_y, from_x] * np.float32(factor)
        total[:, to_y, to_x] += part
        square[to_y, to_x] += part[-1] ** 2
    return total[:-1], total[-1], square
