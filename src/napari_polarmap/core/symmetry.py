"""The eight operations of the square, on patterns, scan positions and classes together.

An operation first mirrors left-right (or not), then turns counter-clockwise on the
screen by quarter turns. Arrays turn about the middle of their axes, ``(n - 1) / 2``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.directions import N_DIRECTIONS, UNDEFINED

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True)
class SquareOperation:
    """One of the eight operations.

    Attributes
    ----------
    mirror : bool
        Mirror left-right first.
    quarter_turns : int
        Then turn counter-clockwise by this many times 90 degrees.
    """

    mirror: bool
    quarter_turns: int

    @property
    def inverse(self) -> SquareOperation:
        """The operation that undoes this one."""
        if self.mirror:
            return self
        return SquareOperation(False, -self.quarter_turns % 4)

    def images(self, array: NDArray[Scalar], axes: tuple[int, int] = (-2, -1)) -> NDArray[Scalar]:
        """Apply to the two image axes ``(y, x)`` of an array; a view where numpy can make one.

        Examples
        --------
        >>> SquareOperation(False, 1).images(np.array([[0, 1], [2, 3]])).tolist()
        [[1, 3], [0, 2]]
        """
        out = np.flip(array, axes[1]) if self.mirror else array
        return np.rot90(out, self.quarter_turns, axes=axes)

    def scan(self, data: NDArray[Scalar]) -> NDArray[Scalar]:
        """Apply to a 4D scan: positions and patterns turn together."""
        return self.images(self.images(data, axes=(0, 1)), axes=(2, 3))

    def classes(self, direction: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
        """Return where each class goes; 255 stays."""
        index = direction.astype(np.int64)
        turned = (4 - index if self.mirror else index) + 2 * self.quarter_turns
        return np.where(direction == UNDEFINED, UNDEFINED, turned % N_DIRECTIONS).astype(np.uint8)

    def vectors(self, vector: NDArray[np.floating]) -> NDArray[np.float64]:
        """Apply to ``(y, x)`` vectors on the last axis."""
        y, x = vector[..., 0], -vector[..., 1] if self.mirror else vector[..., 1]
        for _ in range(self.quarter_turns):
            y, x = -x, y
        return np.stack([y, x], axis=-1).astype(np.float64)

    def probabilities(self, probability: NDArray[Scalar]) -> NDArray[Scalar]:
        """Apply to the last axis of class probabilities, shape (..., 8)."""
        out = np.empty_like(probability)
        out[..., self.classes(np.arange(N_DIRECTIONS))] = probability
        return out


OPERATIONS: Final = tuple(SquareOperation(mirror, turns) for mirror in (False, True) for turns in range(4))
"""All eight, the identity first."""
