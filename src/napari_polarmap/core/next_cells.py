"""How far a place differs from that in the next cells, which strain may have moved a little."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.cell_frame import Maps, shifted
from napari_polarmap.core.expectation import blurred

_NEXT: Final = ((0, 1), (1, 0), (0, -1), (-1, 0))
_MOVES: Final = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
_MOVED_CELLS: Final = 1 / 8
_LEAST_SHARE: Final = 0.1


def departure_from_next_cells(
    maps: Maps, known: NDArray[np.bool_], weights: NDArray[np.float32], sigma: float, per_cell: int
) -> NDArray[np.float32]:
    """Return the squared difference from the next cells over its noise, averaged over a patch.

    Parameters
    ----------
    maps : ndarray, shape (k, rows, columns)
        In a `CellFrame`, in units of their noise.
    known : ndarray of bool, shape (rows, columns)
    weights : ndarray, shape (rows, columns)
        How much each position counts.
    sigma : float
        Of the patch, in positions.
    per_cell : int
        Positions along each edge of a cell.

    Returns
    -------
    departure : ndarray, shape (rows, columns)
        Infinite where fewer than two of the next cells are known.

    Notes
    -----
    Each patch is compared with that in each of the four next cells, where it lies and an eighth of a cell further in
    each direction; the least difference counts, which allows for an eighth of strain. Of the mean over all four
    cells and over each pair of neighbours among them (one of which lies on this side of a wall) the smallest counts.
    """
    around = blurred(known, sigma)
    step = max(1, round(_MOVED_CELLS * per_cell))
    counted = weights * known
    least = []
    for cell in _NEXT:
        best = np.full(known.shape, np.inf, np.float32)
        for move in _MOVES:
            by = (cell[0] * per_cell + move[0] * step, cell[1] * per_cell + move[1] * step)
            weight = np.where(known, np.nan_to_num(shifted(counted, by)), 0)
            squared = np.zeros(known.shape, np.float32)
            for each in maps:
                squared += np.nan_to_num(shifted(each, by) - each) ** 2
            share = blurred(weight, sigma)
            patch = blurred(weight * squared / 2, sigma) / np.maximum(share, 1e-3)
            np.fmin(best, np.where(share > _LEAST_SHARE * around, patch, np.inf), out=best)
        least.append(best)
    smallest = np.full(known.shape, np.inf, np.float32)
    for group in (range(4), *((first, (first + 1) % 4) for first in range(4))):
        some = np.stack([least[index] for index in group])
        seen = np.isfinite(some)
        mean = np.where(seen, some, 0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
        np.fmin(smallest, np.where(seen.sum(axis=0) > 1, mean, np.inf), out=smallest)
    return smallest
