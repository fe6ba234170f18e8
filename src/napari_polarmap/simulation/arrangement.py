"""Where which polarization is: domains, walls, closure structures and vortices.

Everything here is in the frame of the crystal: ``(row, column)`` in angstrom from
the middle of the scan, angles counter-clockwise as seen along the beam.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.directions import N_DIRECTIONS, parse_direction
from napari_polarmap.simulation.crystal import Crystal


@dataclass(frozen=True)
class Arrangement:
    """Polarization as a function of place.

    Attributes
    ----------
    polarization : callable
        Places of shape (..., 2) to P ``(row, column, depth)``, shape (..., 3), in units
        of the nominal amplitude.
    angle_deg : callable
        Places of shape (..., 2) to the in-plane angle of the domain they lie in.
    """

    polarization: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    angle_deg: Callable[[NDArray[np.float64]], NDArray[np.float64]]


def arrange(
    kind: str,
    *,
    crystal: Crystal,
    first: str,
    second: str = "",
    wall_deg: float = 90.0,
    wall_width_A: float = 4.0,
    depth_sign: int = 1,
) -> Arrangement:
    """Return one of the arrangements of a scene.

    Parameters
    ----------
    kind : str
        ``wall``: domains `first` and `second` on the two sides of a straight wall, or
        `first` everywhere; ``closure``: four domains around the middle, each the one
        before turned by 90 degrees, P running counter-clockwise from head to tail;
        ``vortex``: P turns continuously around the middle.
    crystal : Crystal
        Says along which axis of the cell each direction lies.
    first, second : str
        Labels of directions; `second` may be empty.
    wall_deg : float
        Angle of the wall against the rows' direction, counter-clockwise.
    wall_width_A : float
        Width over which P changes linearly, or radius of the vortex core.
    depth_sign : int
        Sign of the invisible component of P.

    Raises
    ------
    ValueError
        If the crystal is not polarized in one of the directions.
    """
    width = max(wall_width_A, 1e-6)
    if kind == "vortex":
        return Arrangement(lambda place: _vortex(place, width, crystal, depth_sign), _circulation_deg)
    if kind == "closure":
        start = parse_direction(first)
        axes = np.stack([crystal.axis((start + 2 * turn) % 8, depth_sign=depth_sign) for turn in range(4)])
        return Arrangement(
            lambda place: _closure(place, axes, start.angle_deg, width),
            lambda place: start.angle_deg + 90.0 * _quadrant(place, start.angle_deg)[0].astype(np.float64),
        )
    named = [parse_direction(name) for name in (first, second or first)]
    ends = [crystal.axis(direction, depth_sign=depth_sign) for direction in named]
    # Along the normal of the wall, to the right of a wall that runs up the screen.
    normal = np.array([-np.sin(np.deg2rad(wall_deg - 90)), np.cos(np.deg2rad(wall_deg - 90))])

    def polarization(place: NDArray[np.float64]) -> NDArray[np.float64]:
        share = np.clip(place @ normal / width + 0.5, 0, 1)[..., None]
        return np.asarray((1 - share) * ends[0] + share * ends[1], dtype=np.float64)

    def angle_deg(place: NDArray[np.float64]) -> NDArray[np.float64]:
        angle = np.where(place @ normal >= 0, named[1].angle_deg, named[0].angle_deg)
        return np.asarray(angle, dtype=np.float64)

    return Arrangement(polarization, angle_deg)


def _azimuth_deg(place: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.rad2deg(np.arctan2(-place[..., 0], place[..., 1])), dtype=np.float64)


def _circulation_deg(place: NDArray[np.float64]) -> NDArray[np.float64]:
    return (_azimuth_deg(place) + 90) % 360


def _quadrant(place: NDArray[np.float64], start_deg: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return which of the four domains each place lies in, and how far past its middle [degree]."""
    # P along `start_deg` runs counter-clockwise where the azimuth is a quarter turn less.
    turned = _azimuth_deg(place) - (start_deg - 90)
    which = np.round(turned / 90).astype(np.int64)
    return which % 4, turned - 90 * which


def _closure(
    place: NDArray[np.float64], axes: NDArray[np.float64], start_deg: float, width_A: float
) -> NDArray[np.float64]:
    which, past = _quadrant(place, start_deg)
    to_wall = np.hypot(*np.moveaxis(place, -1, 0)) * np.sin(np.deg2rad(45 - np.abs(past)))
    share = np.clip(0.5 - to_wall / width_A, 0, 0.5)[..., None]
    return np.asarray((1 - share) * axes[which] + share * axes[(which + np.sign(past).astype(np.int64)) % 4])


def _vortex(place: NDArray[np.float64], core_A: float, crystal: Crystal, depth_sign: int) -> NDArray[np.float64]:
    """P along the crystal's own axes where it points in one of its directions, between them mixed of two."""
    classes = np.array(
        [k for k in range(N_DIRECTIONS) if len(crystal.families) > 1 or k % 2 == crystal.families[0] % 2]
    )
    axes = np.stack([crystal.axis(int(k), depth_sign=depth_sign) for k in classes])
    angle = np.deg2rad(_circulation_deg(place))
    wanted = np.stack([-np.sin(angle), np.cos(angle)], axis=-1)
    past = (np.rad2deg(angle) - 45 * classes[0]) % 360
    before = np.minimum((past / 360 * len(classes)).astype(np.int64), len(classes) - 1)
    after = (before + 1) % len(classes)

    def across(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        turned = vector[..., 0] * wanted[..., 1] - vector[..., 1] * wanted[..., 0]
        return np.asarray(turned, dtype=np.float64)

    share = (across(axes[before]) / (across(axes[before]) - across(axes[after])))[..., None]
    vector = (1 - share) * axes[before] + share * axes[after]
    vector /= np.linalg.norm(vector, axis=-1, keepdims=True)
    return np.asarray(vector * np.tanh(np.hypot(*np.moveaxis(place, -1, 0)) / core_A)[..., None])
