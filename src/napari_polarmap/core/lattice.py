"""The scan's crystal lattice: two vectors, and how they are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Lattice:
    """Two shortest vectors by which a scan repeats.

    Attributes
    ----------
    vectors_px : ndarray of float64, shape (2, 2)
        Rows ``(y, x)`` in scan positions. The first points to increasing columns, the second to
        increasing rows, each as near as there is one.
    strength : float
        Power of the weaker of the two lattice peaks over the noise around it; 0 for a nominal lattice.
    resolved : bool
        Seen in the images; otherwise nominal or not known.
    reason : str
        One sentence why a lattice is not resolved.
    source : {"found", "given", "nominal", "unknown"}
        Seen in the images, given by the user, from the scan step, or none.
    """

    vectors_px: NDArray[np.float64]
    strength: float = 0.0
    resolved: bool = True
    reason: str = ""
    source: Literal["found", "given", "nominal", "unknown"] = "found"

    @property
    def known(self) -> bool:
        """Whether there are vectors, seen or nominal."""
        return bool(np.isfinite(self.vectors_px).all())

    @property
    def period_px(self) -> float:
        """Mean length of the two vectors in scan positions."""
        return float(np.linalg.norm(self.vectors_px, axis=1).mean())

    @property
    def angle_deg(self) -> float:
        """Angle of the first vector against increasing columns, counter-clockwise on the screen."""
        y, x = self.vectors_px[0]
        return float(np.rad2deg(np.arctan2(-y, x)))

    @property
    def cell_area_px(self) -> float:
        """Scan positions in a cell."""
        return float(abs(np.linalg.det(self.vectors_px)))

    @property
    def told(self) -> str:
        """The vectors in words."""
        first, second = (f"({y:.2f}, {x:.2f})" for y, x in self.vectors_px)
        return f"vectors (y, x) of {first} and {second} scan positions"

    def coordinates(self, shape: tuple[int, int]) -> NDArray[np.float64]:
        """Return the position in cells, shape (scan_y, scan_x, 2), counted from scan position (0, 0)."""
        position = np.moveaxis(np.indices(shape), 0, -1)
        return np.asarray(position @ np.linalg.inv(self.vectors_px), dtype=np.float64)

    def phase(self, shape: tuple[int, int]) -> NDArray[np.float64]:
        """Return the place inside the cell, 0 to 1, shape (scan_y, scan_x, 2); equivalent positions share it."""
        return self.coordinates(shape) % 1.0


def lattice_from_step(scan_step_A: float, lattice_A: float = 3.98, angle_deg: float = 0.0) -> Lattice:
    """Return the nominal square lattice of a crystal under a scan.

    Parameters
    ----------
    scan_step_A : float
        Distance between neighbouring scan positions.
    lattice_A : float
        Edge of the cell.
    angle_deg : float
        First axis against increasing columns, counter-clockwise on the screen.

    Examples
    --------
    >>> lattice_from_step(0.5, 4.0).vectors_px.tolist()
    [[0.0, 8.0], [8.0, 0.0]]
    """
    for name, value in (("scan_step_A", scan_step_A), ("lattice_A", lattice_A)):
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name} is {value}; it must be a positive number of angstroms")
    vectors = np.reshape(square_vectors(lattice_A / scan_step_A, angle_deg), (2, 2))
    reason = "the lattice is nominal, from the scan step; it was not measured"
    return Lattice(vectors_px=vectors, resolved=False, reason=reason, source="nominal")


def lattice_from_vectors(values: Sequence[float]) -> Lattice:
    """Return the lattice of two given vectors ``(y1, x1, y2, x2)`` in scan positions.

    Kept as given, so that a user may also choose a larger cell than the smallest.

    Raises
    ------
    ValueError
        If they are not four finite numbers, or do not span a cell.
    """
    vectors = np.asarray(values, dtype=np.float64)
    if vectors.shape != (4,) or not np.isfinite(vectors).all() or abs(np.linalg.det(vectors.reshape(2, 2))) < 1e-9:
        raise ValueError(f"lattice vectors {list(values)} px: four numbers y1 x1 y2 x2 that span a cell are needed")
    return Lattice(vectors_px=vectors.reshape(2, 2), source="given")


def square_vectors(period_px: float, angle_deg: float = 0.0) -> tuple[float, float, float, float]:
    """Return the vectors ``(y1, x1, y2, x2)`` of a square lattice.

    Parameters
    ----------
    period_px : float
        Edge of the cell in scan positions.
    angle_deg : float
        First vector against increasing columns, counter-clockwise on the screen.
    """
    angle = np.deg2rad(angle_deg)
    cos, sin = float(period_px * np.cos(angle)), float(period_px * np.sin(angle))
    return 0.0 - sin, cos, cos, sin


def reduced(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the two shortest vectors of the same lattice (Lagrange-Gauss)."""
    short, long = sorted(np.array(vectors, dtype=np.float64), key=lambda v: float(v @ v))
    while short @ short > 0:
        long = long - np.round(long @ short / (short @ short)) * short
        if long @ long >= short @ short * (1 - 1e-12):
            break
        short, long = long, short
    return np.stack([short, long])


def ordered(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Put the vector nearest to the columns' direction first, and point them right and down."""
    slope = np.abs(vectors[:, 0]) - np.abs(vectors[:, 1])
    first, second = vectors[np.argsort(slope, kind="stable")]
    first = first if first[1] > 0 or (first[1] == 0 and first[0] > 0) else -first
    second = second if second[0] > 0 or (second[0] == 0 and second[1] > 0) else -second
    return np.stack([first, second])
