"""The eight in-plane polarization directions: index, label, angle, vector, colour.

This table is the only place where classes, labels, angles and colours meet.
Angles are counter-clockwise as seen on the screen; vectors are ``(y, x)`` with
``y`` growing downwards, so that ``MU`` (up) is ``(-1, 0)``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Direction(IntEnum):
    """One of eight in-plane directions; the value is the class index."""

    RM = 0
    RU = 1
    MU = 2
    LU = 3
    LM = 4
    LD = 5
    MD = 6
    RD = 7

    @property
    def angle_deg(self) -> float:
        """Angle in degrees, counter-clockwise on the screen."""
        return 45.0 * self.value

    @property
    def color(self) -> str:
        """Colour of this direction as ``#rrggbb``."""
        return COLORS[self.value]


UNDEFINED: Final = 255
"""Class of a position where no direction can be told."""

N_DIRECTIONS: Final = len(Direction)
LABELS: Final = tuple(direction.name for direction in Direction)
ANGLES_DEG: Final[NDArray[np.float64]] = np.arange(0, 360, 45, dtype=np.float64)
VECTORS_YX: Final[NDArray[np.float64]] = np.asarray(
    np.stack([-np.sin(np.deg2rad(ANGLES_DEG)), np.cos(np.deg2rad(ANGLES_DEG))], axis=1), dtype=np.float64
)
"""Unit vectors ``(y, x)`` of the eight directions, shape (8, 2)."""

COLORS: Final = (
    "#c91808",  # RM  red
    "#db8e03",  # RU  ochre
    "#edee74",  # MU  pale yellow
    "#1a865c",  # LU  green
    "#55faeb",  # LM  aqua
    "#5ba9df",  # LD  sky blue
    "#3750f9",  # MD  blue
    "#a53e7b",  # RD  plum
)


def parse_direction(text: str) -> Direction:
    """Return the direction with the label `text` (any case).

    Raises
    ------
    ValueError
        If `text` is no label; the message lists the eight.
    """
    try:
        return Direction[text.strip().upper()]
    except KeyError:
        raise ValueError(f"{text!r} is not a direction; choose one of {', '.join(LABELS)}") from None


def nearest_direction(angle_deg: ArrayLike) -> NDArray[np.uint8]:
    """Return the class nearest to each angle; 255 where the angle is not finite.

    Parameters
    ----------
    angle_deg : array_like of float
        Angles in degrees, counter-clockwise on the screen.

    Returns
    -------
    direction : ndarray of uint8, shape of `angle_deg`

    Examples
    --------
    >>> nearest_direction([0, 50, -44, float("nan")]).tolist()
    [0, 1, 7, 255]
    """
    angle = np.asarray(angle_deg, dtype=np.float64)
    finite = np.isfinite(angle)
    index = np.round(np.where(finite, angle, 0) / 45.0).astype(np.int64) % N_DIRECTIONS
    return np.where(finite, index, UNDEFINED).astype(np.uint8)


def angle_between_deg(first_deg: ArrayLike, second_deg: ArrayLike) -> NDArray[np.float64]:
    """Return the unsigned angle between directions, 0 to 180 degrees.

    Examples
    --------
    >>> float(angle_between_deg(350, 10))
    20.0
    """
    difference = np.asarray(first_deg, dtype=np.float64) - np.asarray(second_deg, dtype=np.float64)
    return np.abs((difference + 180.0) % 360.0 - 180.0)
