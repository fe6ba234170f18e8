"""Where two maps of directions differ, and by how much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.directions import N_DIRECTIONS, UNDEFINED

ONE_UNDEFINED: Final = 5
"""Value of a position that is undefined in one of the maps only."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """How two maps differ.

    Attributes
    ----------
    steps : ndarray of uint8, shape (scan_y, scan_x)
        0 where both tell the same direction, 1 to 4 where they lie so many times 45 degrees apart, 5 where one
        of them is undefined, 255 where both are.
    pairs : ndarray of int64, shape (9, 9)
        Positions with each direction in the first map (rows) and the second (columns); the last is undefined.
    """

    steps: NDArray[np.uint8]
    pairs: NDArray[np.int64]

    def share(self, step: int) -> float:
        """Return the share of a value of `steps` among the positions where at least one map is defined."""
        told = int((self.steps != UNDEFINED).sum())
        return float((self.steps == step).sum() / told) if told else float("nan")

    @property
    def differs(self) -> NDArray[np.bool_]:
        """Where both tell a direction, and not the same."""
        return np.asarray((self.steps > 0) & (self.steps < ONE_UNDEFINED))


def compare(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Comparison:
    """Compare two maps of directions.

    Raises
    ------
    ValueError
        If their shapes differ.

    Examples
    --------
    >>> compare(np.array([[0, 7, 2, 255]], np.uint8), np.array([[0, 1, 6, 3]], np.uint8)).steps.tolist()
    [[0, 2, 4, 5]]
    """
    if first.shape != second.shape:
        raise ValueError(f"the maps have {first.shape} and {second.shape} positions; maps of the same scan fit")
    turn = np.abs(first.astype(np.int64) - second)
    steps = np.minimum(turn, N_DIRECTIONS - turn)
    undefined = (first == UNDEFINED).astype(int) + (second == UNDEFINED)
    steps = np.select([undefined == 2, undefined == 1], [UNDEFINED, ONE_UNDEFINED], steps)
    rows, columns = (np.minimum(classes, N_DIRECTIONS).astype(np.int64).ravel() for classes in (first, second))
    pairs = np.bincount(rows * (N_DIRECTIONS + 1) + columns, minlength=(N_DIRECTIONS + 1) ** 2)
    return Comparison(steps=steps.astype(np.uint8), pairs=pairs.reshape(N_DIRECTIONS + 1, -1))
