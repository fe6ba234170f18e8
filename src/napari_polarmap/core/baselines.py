"""Simpler scores of irregularity that `irregularity` is measured against; higher = more irregular."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_CROSS: Final = ((-1, 0), (1, 0), (0, -1), (0, 1))


def lack_of_confidence(probability: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return one minus the probability of the winning class.

    Parameters
    ----------
    probability : ndarray, shape (scan_y, scan_x, classes)
        NaN where undefined, as is the score.
    """
    _check(probability, 3, "probability")
    return np.asarray(1 - probability.max(axis=-1), dtype=np.float64)


def neighbour_disagreement(direction: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the share of the four neighbours whose class is another one.

    Parameters
    ----------
    direction : ndarray of int, shape (scan_y, scan_x)

    Examples
    --------
    >>> neighbour_disagreement(np.array([[1, 1, 2]])).tolist()
    [[0.0, 0.5, 1.0]]
    """
    _check(direction, 2, "direction")
    rows, columns = direction.shape
    differs, count = np.zeros(direction.shape), np.zeros(direction.shape)
    for dy, dx in _CROSS:
        here = (slice(max(0, -dy), rows - max(0, dy)), slice(max(0, -dx), columns - max(0, dx)))
        there = (slice(max(0, dy), rows - max(0, -dy)), slice(max(0, dx), columns - max(0, -dx)))
        differs[here] += direction[here] != direction[there]
        count[here] += 1
    return differs / np.maximum(count, 1)


def dark_field_anomaly(dark: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return by how many robust standard deviations a virtual dark-field image departs from its median.

    Parameters
    ----------
    dark : ndarray, shape (scan_y, scan_x)
        Counts outside the direct disk.
    """
    _check(dark, 2, "dark-field image")
    middle = np.nanmedian(dark)
    width = 1.4826 * np.nanmedian(np.abs(dark - middle))
    return np.asarray(np.abs(dark - middle) / max(float(width), 1e-12), dtype=np.float64)


def distance_to_mean(patterns: NDArray[np.floating], scan_shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return the Euclidean distance of each pattern, scaled to a sum of 1, to the mean of all.

    Parameters
    ----------
    patterns : ndarray, shape (scan_y * scan_x, qy, qx)
    scan_shape : (int, int)
    """
    _check(patterns, 3, "patterns")
    flat = patterns.reshape(len(patterns), -1)
    total = flat.sum(axis=1, keepdims=True)
    scaled = np.where(total > 0, flat / np.where(total > 0, total, 1), np.nan)
    return np.asarray(np.linalg.norm(scaled - np.nanmean(scaled, axis=0), axis=1).reshape(scan_shape), dtype=np.float64)


def over_a_patch(score: NDArray[np.floating], sigma_px: float) -> NDArray[np.float64]:
    """Return the Gaussian average of a score, so that every score looks at patches of the same size."""
    seen = np.isfinite(score)
    share = ndimage.gaussian_filter(seen.astype(np.float64), sigma_px, mode="constant")
    mean = ndimage.gaussian_filter(np.where(seen, score, 0.0), sigma_px, mode="constant") / np.maximum(share, 1e-6)
    return np.where(seen, mean, np.nan)


def _check(array: NDArray[np.generic], ndim: int, name: str) -> None:
    if array.ndim != ndim:
        raise ValueError(f"the {name} has shape {array.shape}; it must have {ndim} axes")
