"""Scan positions without a pattern, and which others could stand for them."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_COUNTS: Final = 10.0
"""Electrons per pattern from which one without any is missing, not merely dark."""
_CELLS: Final = 2
_FAR: Final = 0.15
"""How much farther from an exact lattice vector, in positions, a pattern one cell nearer may lie."""


def missing_positions(total: NDArray[np.float64], *, counted: bool) -> NDArray[np.bool_]:
    """Return the positions that could not be read or hold nothing.

    Parameters
    ----------
    total : ndarray, shape (scan_y, scan_x)
        Counts of each pattern.
    counted : bool
        They are electrons: at very low doses patterns without any belong to the scan.
    """
    empty = ~(total > 0)
    if not empty.any() or empty.all() or (counted and np.median(total[~empty]) < _COUNTS):
        return np.zeros_like(empty)
    return empty


def donors(missing: NDArray[np.bool_], vectors_px: NDArray[np.float64] | None) -> NDArray[np.intp]:
    """Return the position whose pattern stands for each missing one, shape (scan_y, scan_x, 2); -1 where there is none.

    Parameters
    ----------
    missing : ndarray of bool, shape (scan_y, scan_x)
    vectors_px : ndarray, shape (2, 2), optional
        Lattice of the scan, rows ``(y, x)``; without it there is no such position.
    """
    found = np.full((*missing.shape, 2), -1, np.intp)
    rows, columns = np.nonzero(missing)
    if vectors_px is None or not len(rows):
        return found
    steps = [(i, j) for i in range(-_CELLS, _CELLS + 1) for j in range(-_CELLS, _CELLS + 1) if (i, j) != (0, 0)]
    exact = np.array(steps) @ vectors_px
    whole = np.rint(exact).astype(np.intp)
    order = np.argsort(np.linalg.norm(exact - whole, axis=1) + _FAR * np.abs(steps).sum(axis=1), kind="stable")
    for down, right in whole[order]:
        y, x = rows + down, columns + right
        inside = (y >= 0) & (y < missing.shape[0]) & (x >= 0) & (x < missing.shape[1])
        fits = np.flatnonzero(inside & (found[rows, columns, 0] < 0))
        fits = fits[~missing[y[fits], x[fits]]]
        found[rows[fits], columns[fits]] = np.stack([y[fits], x[fits]], axis=-1)
    return found
