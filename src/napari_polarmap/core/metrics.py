"""How right a map is: shares, confusion, calibration, ranking."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

from napari_polarmap.core.directions import N_DIRECTIONS, UNDEFINED

_BINS: Final = 15


def accuracy(
    predicted: NDArray[np.integer], truth: NDArray[np.integer], mask: NDArray[np.bool_] | None = None
) -> float:
    """Return the share of positions whose class is right.

    Parameters
    ----------
    predicted, truth : ndarray of int, same shape
        Classes; where `truth` is 255 nothing is counted, where `predicted` is 255 it is wrong.
    mask : ndarray of bool, same shape, optional
        Positions to count.

    Returns
    -------
    share : float
        NaN where there is nothing to count.

    Examples
    --------
    >>> accuracy(np.array([0, 1, 255, 3]), np.array([0, 2, 2, 255]))
    0.3333333333333333
    """
    counted = _counted(predicted, truth) if mask is None else _counted(predicted, truth) & mask
    return float((predicted == truth)[counted].mean()) if counted.any() else float("nan")


def opposite_fraction(predicted: NDArray[np.integer], truth: NDArray[np.integer]) -> float:
    """Return the share of defined positions where the opposite direction was told, the worst error.

    Examples
    --------
    >>> opposite_fraction(np.array([0, 4]), np.array([4, 4]))
    0.5
    """
    counted = _counted(predicted, truth) & (predicted != UNDEFINED)
    turned = (predicted.astype(np.int64) - truth.astype(np.int64)) % N_DIRECTIONS
    return float((turned[counted] == N_DIRECTIONS // 2).mean()) if counted.any() else float("nan")


def confusion(predicted: NDArray[np.integer], truth: NDArray[np.integer]) -> NDArray[np.int64]:
    """Count predictions per true class.

    Returns
    -------
    counts : ndarray of int, shape (8, 9)
        Rows: true class; columns: predicted class, the last one undefined.
    """
    counted = _counted(predicted, truth)
    column = np.minimum(predicted[counted].astype(np.int64), N_DIRECTIONS)
    cell = truth[counted].astype(np.int64) * (N_DIRECTIONS + 1) + column
    counts = np.bincount(cell, minlength=N_DIRECTIONS * (N_DIRECTIONS + 1))
    return counts.reshape(N_DIRECTIONS, N_DIRECTIONS + 1).astype(np.int64)


def expected_calibration_error(probability: NDArray[np.floating], truth: NDArray[np.integer]) -> float:
    """Return the mean gap between the probability of the winner and how often it is right.

    Parameters
    ----------
    probability : ndarray, shape (..., 8)
        NaN rows are left out.
    truth : ndarray of int, shape (...)
        255 is left out.

    Notes
    -----
    Fifteen bins of equal width, weighted by their counts (Guo et al., ICML 2017).
    """
    flat, true = probability.reshape(-1, probability.shape[-1]), truth.ravel()
    counted = np.isfinite(flat).all(axis=1) & (true != UNDEFINED)
    if not counted.any():
        return float("nan")
    sure, right = flat[counted].max(axis=1), flat[counted].argmax(axis=1) == true[counted]
    which = np.minimum((sure * _BINS).astype(np.int64), _BINS - 1)
    n = np.bincount(which, minlength=_BINS)
    gap = np.bincount(which, weights=sure, minlength=_BINS) - np.bincount(which, weights=right, minlength=_BINS)
    return float(np.abs(gap).sum() / n.sum())


def roc_auc(score: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    """Return the chance that a true position scores higher than another; NaN scores are left out.

    Examples
    --------
    >>> roc_auc(np.array([0.1, 0.9, 0.4]), np.array([False, True, False]))
    1.0
    """
    finite = np.isfinite(score)
    values, positive = score[finite], truth[finite]
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not (n_positive and n_negative):
        return float("nan")
    ranks = stats.rankdata(values)
    return float((ranks[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def wall_distance(label: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the distance of every position to the nearest of another class, in positions; inf without walls.

    Examples
    --------
    >>> wall_distance(np.array([[1, 1, 7]])).tolist()
    [[2.0, 1.0, 1.0]]
    """
    out = np.full(label.shape, np.inf)
    for value in np.unique(label):
        own = label == value
        if own.all():
            break
        out[own] = ndimage.distance_transform_edt(own)[own]
    return out


def _counted(predicted: NDArray[np.integer], truth: NDArray[np.integer]) -> NDArray[np.bool_]:
    if predicted.shape != truth.shape:
        raise ValueError(f"predictions have shape {predicted.shape}; the truth has {truth.shape}")
    return np.asarray(truth != UNDEFINED)
