"""Profiles along a line over a scan."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage


def line_profile(
    maps: NDArray[np.floating], start: ArrayLike, end: ArrayLike, *, width: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean of maps across a line, position by position along it.

    Parameters
    ----------
    maps : ndarray, shape (..., y, x)
        NaN where nothing is known; such places do not count.
    start, end : array_like, shape (2,)
        ``(y, x)`` in scan positions.
    width : float
        Over how many scan positions across the line is averaged.

    Returns
    -------
    distance : ndarray of float64, shape (n,)
        From the start, in scan positions.
    values : ndarray of float64, shape (..., n)
        NaN where nothing is known, and outside the maps.

    Raises
    ------
    ValueError
        If the line has no length.

    Examples
    --------
    >>> line_profile(np.eye(3), (1, 0), (1, 2))[1].tolist()
    [0.0, 1.0, 0.0]
    """
    first, last = (np.asarray(point, dtype=np.float64) for point in (start, end))
    length = float(np.linalg.norm(last - first))
    if not length > 0:
        raise ValueError("the line of a profile has no length; draw it from one position to another")
    maps = np.asarray(maps, dtype=np.float64)
    distance = np.linspace(0, length, max(2, round(length) + 1))
    along = (last - first) / length
    across = np.linspace(-(width - 1) / 2, (width - 1) / 2, max(1, round(width)))
    points = first[:, None, None] + along[:, None, None] * distance[:, None]
    points = points + np.array([along[1], -along[0]])[:, None, None] * across
    flat = maps.reshape(-1, *maps.shape[-2:])
    sums = [_sample(np.nan_to_num(values), points).sum(axis=-1) for values in flat]
    known = [_sample(np.isfinite(values).astype(np.float64), points).sum(axis=-1) for values in flat]
    counts = np.stack(known)
    values = np.where(counts > 1e-6, np.stack(sums) / np.where(counts > 1e-6, counts, 1), np.nan)
    return distance, values.reshape(*maps.shape[:-2], -1)


def _sample(values: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(ndimage.map_coordinates(values, points, order=1, cval=0.0))


def along_and_across(
    vectors: NDArray[np.floating], start: ArrayLike, end: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the components of vectors ``(y, x)``, shape (..., 2), along a line and to the left of it on the screen.

    Examples
    --------
    >>> [float(part) for part in along_and_across(np.array([-1.0, 0.0]), (0, 0), (0, 5))]
    [0.0, 1.0]
    """
    y, x = np.asarray(end, np.float64) - np.asarray(start, np.float64)
    y, x = (y, x) / np.hypot(y, x)
    along = vectors[..., 0] * y + vectors[..., 1] * x
    left = -vectors[..., 0] * x + vectors[..., 1] * y
    return along, left
