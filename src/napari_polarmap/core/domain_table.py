"""The domains of a map: connected positions of one direction, with their size, place and outline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_polarmap.core.directions import N_DIRECTIONS


@dataclass(frozen=True, kw_only=True)
class Domain:
    """Connected positions of one direction; places are ``(y, x)`` in scan positions.

    Attributes
    ----------
    number : int
        From 1, the largest first.
    direction : int
        Class.
    positions : int
    centre_px : (float, float)
        Mean place of its positions.
    box_px : (int, int, int, int)
        First row and column, last row and column.
    boundary_px : int
        Length of its edge against other directions, in edges of scan positions; the rim of the scan is not counted.
    whole : bool
        It does not touch the rim of the scan.
    """

    number: int
    direction: int
    positions: int
    centre_px: tuple[float, float]
    box_px: tuple[int, int, int, int]
    boundary_px: int
    whole: bool


def find_domains(classes: NDArray[np.uint8]) -> tuple[list[Domain], NDArray[np.int32]]:
    """Return the domains of a map of classes and the number of the one each position belongs to.

    Positions belong together where they share an edge. What is undefined belongs to none and has the number 0.

    Examples
    --------
    >>> found, number = find_domains(np.array([[2, 2, 0], [2, 255, 0]], np.uint8))
    >>> [(domain.number, domain.direction, domain.positions, domain.boundary_px) for domain in found]
    [(1, 2, 3, 3), (2, 0, 2, 2)]
    >>> number.tolist()
    [[1, 1, 2], [1, 0, 2]]
    """
    raw = np.zeros(classes.shape, np.int32)
    directions: list[int] = []
    for direction in range(N_DIRECTIONS):
        parts, n = ndimage.label(classes == direction)
        raw += np.where(parts > 0, parts + len(directions), 0).astype(np.int32)
        directions += n * [direction]
    sizes = np.bincount(raw.ravel(), minlength=len(directions) + 1)[1:]
    order = np.argsort(-sizes, kind="stable")
    rank = np.zeros(len(directions) + 1, np.int32)
    rank[order + 1] = np.arange(1, len(directions) + 1)
    number = rank[raw]
    boundary = _boundaries(number, len(directions))
    found = []
    for place, box in enumerate(ndimage.find_objects(number), start=1):
        inside = np.argwhere(number[box] == place)
        top, left = box[0].start, box[1].start
        bottom, right = box[0].stop - 1, box[1].stop - 1
        centre = inside.mean(axis=0) + np.array([top, left])
        found.append(
            Domain(
                number=place,
                direction=directions[order[place - 1]],
                positions=len(inside),
                centre_px=(float(centre[0]), float(centre[1])),
                box_px=(top, left, bottom, right),
                boundary_px=int(boundary[place]),
                whole=top > 0 and left > 0 and bottom < classes.shape[0] - 1 and right < classes.shape[1] - 1,
            )
        )
    return found, number


def _boundaries(number: NDArray[np.int32], n: int) -> NDArray[np.int64]:
    """Return how many edges each domain shares with anything else inside the scan, shape (n + 1,)."""
    counts = np.zeros(n + 1, np.int64)
    for one, other in ((number[1:], number[:-1]), (number[:, 1:], number[:, :-1])):
        differs = one != other
        for side in (one, other):
            counts += np.bincount(side[differs], minlength=n + 1)
    return counts


def boundaries(classes: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the edges between unlike neighbours as lines, as long as each runs straight.

    Returns
    -------
    lines : ndarray, shape (n, 2, 2)
        Start and extent, ``(y, x)`` each, in scan positions.

    Examples
    --------
    >>> boundaries(np.array([[0, 1], [0, 1]], np.uint8)).tolist()
    [[[-0.5, 0.5], [2.0, 0.0]]]
    """
    upright = [(row, column, run, 0.0) for column, row, run in _runs((classes[:, 1:] != classes[:, :-1]).T)]
    level = [(row, column, 0.0, run) for row, column, run in _runs(classes[1:] != classes[:-1])]
    upright = [(row - 0.5, column + 0.5, run, none) for row, column, run, none in upright]
    level = [(row + 0.5, column - 0.5, none, run) for row, column, none, run in level]
    return np.array([*upright, *level], np.float64).reshape(-1, 2, 2)


def _runs(mask: NDArray[np.bool_]) -> list[tuple[float, float, float]]:
    """Return line, start and length of each run of true along the second axis."""
    change = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    line, start = np.nonzero(change == 1)
    end = np.nonzero(change == -1)[1]
    return list(zip(line.astype(float), start.astype(float), (end - start).astype(float), strict=True))
