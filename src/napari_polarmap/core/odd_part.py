"""Split a pattern into the parts that the eight operations of the square tell apart, and what each can depend on.

The part that changes sign under a half turn falls into an ``x`` part, odd left-right
and even up-down, and a ``y`` part, which is the same turned by a quarter. Described by
one set of modes, the two coefficients of a mode turn and mirror like a vector, so
whatever is fitted to them commutes with the square exactly.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

TILT_SCALE_MRAD: Final = 4.0
CONVERGENCE_MRAD: Final = 24.0
CONVERGENCE_SCALE_MRAD: Final = 2.0

N_PARAMETERS: Final = 8
"""Tilt, disk offset, axis-like and diagonal polarization, each ``(y, x)``."""


def fold(patterns: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the odd and the fully symmetric part of patterns, each on one quadrant.

    Parameters
    ----------
    patterns : ndarray, shape (n, edge, edge)
        Direct beam in the middle; `edge` even.

    Returns
    -------
    odd : ndarray, shape (n, 2, edge**2 / 4)
        The ``y`` and the ``x`` part on the lower right quadrant, the ``y`` part turned
        onto ``x``.
    even : ndarray, shape (n, edge**2 / 4)
        Mean over the eight operations.

    Raises
    ------
    ValueError
        If the patterns are not square with an even edge.
    """
    edge = patterns.shape[-1]
    if patterns.ndim != 3 or patterns.shape[1] != edge or edge % 2:
        raise ValueError(f"patterns have shape {patterns.shape}; (n, edge, edge) with an even edge fits")
    half = edge // 2
    lower, upper = patterns[:, half:], patterns[:, half - 1 :: -1]
    quadrants = [part[:, :, half:] for part in (lower, upper)] + [part[:, :, half - 1 :: -1] for part in (lower, upper)]
    right_down, right_up, left_down, left_up = (part.astype(np.float64) for part in quadrants)
    x = (right_down + right_up - left_down - left_up) / 4
    y = (right_down + left_down - right_up - left_up) / 4
    even = (right_down + right_up + left_down + left_up) / 4
    even = (even + even.transpose(0, 2, 1)) / 2
    odd = np.stack([y.transpose(0, 2, 1), x], axis=1)
    return odd.reshape(len(patterns), 2, half**2), even.reshape(len(patterns), half**2)


def normalised(patterns: NDArray[np.floating]) -> NDArray[np.float64]:
    """Scale every pattern to a sum of 1; ones without counts become zero."""
    total = patterns.sum(axis=(1, 2), dtype=np.float64)[:, None, None]
    out: NDArray[np.float64] = np.divide(patterns, total, out=np.zeros(patterns.shape), where=total > 0)
    return out


def odd_terms(parameters: NDArray[np.float64], convergence: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return everything that the odd part may be a linear combination of.

    All terms are of odd order in tilt, offset and polarization together, and turn like a
    vector: the term of one component is that of the other with the axes exchanged.

    Parameters
    ----------
    parameters : ndarray, shape (..., 8)
        Tilt over `TILT_SCALE_MRAD`, disk offset [px], polarization of axis-like and of
        diagonal specimens relative to the nominal one (a diagonal one of amplitude 1 is
        ``(+-1, +-1)``), each ``(y, x)``.
    convergence : ndarray, shape (...)
        Half angle minus `CONVERGENCE_MRAD` over `CONVERGENCE_SCALE_MRAD`.

    Returns
    -------
    ndarray, shape (..., 2, terms)
    """
    tilt, offset, axis, diagonal = (parameters[..., 2 * i : 2 * i + 2] for i in range(4))
    across, c = tilt[..., ::-1], convergence[..., None]
    square = (tilt**2).sum(axis=-1, keepdims=True)
    terms = [tilt, tilt * c, tilt * c**2, tilt * square, tilt * square * c, tilt * across**2, tilt * across**2 * c]
    terms += [offset, offset * c, offset * square, offset * tilt**2, offset[..., ::-1] * tilt * across]
    for polar in (axis, diagonal):
        terms += [polar, polar * c, polar * tilt**2, polar * across**2, polar[..., ::-1] * tilt * across]
    return np.stack(np.broadcast_arrays(*terms), axis=-1)


def even_terms(convergence: NDArray[np.float64], tilt_square: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what the symmetric part may be a linear combination of, shape (..., 6); arguments scaled as above."""
    c, r = convergence, tilt_square
    return np.stack([np.ones_like(c), c, c**2, r, r * c, r**2], axis=-1)


def polarization_axes(angle_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the last four `odd_terms` parameters of a polarization of amplitude 1 at any angle, shape (..., 4).

    Axis-like at multiples of 90 degrees, diagonal half-way; between them the smooth path
    of one and three turns, the only one with no faster change that passes through all
    eight.

    Examples
    --------
    >>> polarization_axes(np.array([0.0, 45.0])).round(6).tolist()
    [[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, -1.0, 1.0]]
    """
    angle = np.deg2rad(angle_deg)
    once = np.stack([-np.sin(angle), np.cos(angle)], axis=-1)
    thrice = np.stack([np.sin(3 * angle), np.cos(3 * angle)], axis=-1)
    return np.concatenate([(once + thrice) / 2, (once - thrice) / np.sqrt(2)], axis=-1) + 0.0
