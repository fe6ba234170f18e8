"""How good a map is: scores against a truth or a reference."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage, stats

from napari_polarmap.core.directions import N_DIRECTIONS, UNDEFINED, VECTORS_YX

Classes = NDArray[np.integer[Any]]


def accuracy(predicted: Classes, truth: Classes, mask: NDArray[np.bool_] | None = None) -> float:
    """Return the share of positions whose direction is right; NaN where there is no truth.

    Parameters
    ----------
    predicted : ndarray of int
        Classes; 255 counts as wrong.
    truth : ndarray of int, same shape
        Classes; 255 is left out.
    mask : ndarray of bool, same shape, optional
        Positions to use.

    Raises
    ------
    ValueError
        If shapes differ or a class is neither 0 to 7 nor 255.

    Examples
    --------
    >>> accuracy(np.array([0, 1, 255, 4]), np.array([0, 2, 3, 255])) * 3
    1.0
    """
    guess, right = _paired(predicted, truth, mask)
    return float(np.mean(guess == right)) if right.size else float("nan")


def opposite_fraction(predicted: Classes, truth: Classes, mask: NDArray[np.bool_] | None = None) -> float:
    """Return the share of the positions given a direction that point against the truth, the worst error.

    Arguments as in `accuracy`; NaN where no direction is given.

    Examples
    --------
    >>> opposite_fraction(np.array([0, 4, 255]), np.array([4, 4, 0]))
    0.5
    """
    guess, right = _paired(predicted, truth, mask)
    told = guess != UNDEFINED
    opposite = (guess - right)[told] % N_DIRECTIONS == N_DIRECTIONS // 2
    return float(np.mean(opposite)) if told.any() else float("nan")


def confusion(predicted: Classes, truth: Classes, mask: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """Return the counts of truth (rows, 8) against prediction (columns, 8 and last undefined).

    Arguments as in `accuracy`.
    """
    guess, right = _paired(predicted, truth, mask)
    column = np.where(guess == UNDEFINED, N_DIRECTIONS, guess)
    size = N_DIRECTIONS * (N_DIRECTIONS + 1)
    counts = np.bincount(right * (N_DIRECTIONS + 1) + column, minlength=size)
    return counts.reshape(N_DIRECTIONS, N_DIRECTIONS + 1).astype(np.int64)


def expected_calibration_error(
    probability: NDArray[np.floating], truth: Classes, mask: NDArray[np.bool_] | None = None, *, bins: int = 15
) -> float:
    """Return the mean gap between the probability of the winning class and how often it is right.

    Parameters
    ----------
    probability : ndarray, shape (..., 8)
        Positions with NaN are left out.
    truth : ndarray of int, shape (...)
        Classes; 255 is left out.
    mask : ndarray of bool, shape (...), optional
    bins : int
        Of equal width from 0 to 1, weighted by what they hold (Guo et al., ICML 2017).
    """
    if probability.shape != (*truth.shape, N_DIRECTIONS):
        raise ValueError(f"probability has shape {probability.shape}; it must be {(*truth.shape, N_DIRECTIONS)}")
    known = np.isfinite(probability).all(axis=-1)
    winner = np.where(known, np.where(known[..., None], probability, 0).argmax(axis=-1), UNDEFINED)
    used = known if mask is None else known & mask
    guess, right = _paired(winner, truth, used)
    if not right.size:
        return float("nan")
    confidence = probability.max(axis=-1)[used & (truth != UNDEFINED)]
    index = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gap = np.bincount(index, (guess == right) - confidence, minlength=bins)
    return float(np.abs(gap).sum() / right.size)


def calibration_error_by_chance(
    probability: NDArray[np.floating], group: NDArray[np.integer[Any]], *, draws: int = 200, seed: int = 0
) -> tuple[float, float]:
    """Return what `expected_calibration_error` finds of a classifier that is exactly as often right as it says.

    It is not 0, as few cases scatter. A measured error below the second number says nothing against a classifier.

    Parameters
    ----------
    probability : ndarray, shape (n, 8)
    group : ndarray of int, shape (n,)
        Cases of one group, such as recordings of the same pattern, are right and wrong together: surer ones first.
    draws : int
    seed : int

    Returns
    -------
    median, upper : float
        Half and 95 % of the draws are below.
    """
    rng = np.random.default_rng(seed)
    _, member = np.unique(group, return_inverse=True)
    winner, sure = probability.argmax(axis=1), probability.max(axis=1)
    errors = []
    for _ in range(draws):
        right = rng.random(member.max() + 1)[member] < sure
        errors.append(expected_calibration_error(probability, np.where(right, winner, (winner + 1) % N_DIRECTIONS)))
    median, upper = np.percentile(errors, [50, 95])
    return float(median), float(upper)


def mean_direction(probability: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the angle of the mean of the eight unit vectors under their probabilities, shape (...) [deg].

    Counter-clockwise on the screen, 0 to 360. NaN where a probability is.

    Parameters
    ----------
    probability : ndarray, shape (..., 8)

    Examples
    --------
    >>> float(mean_direction(np.array([0.5, 0.5, 0, 0, 0, 0, 0, 0])))
    22.5
    """
    mean = np.asarray(probability, np.float64) @ VECTORS_YX
    return np.asarray(np.round(np.rad2deg(np.arctan2(-mean[..., 0], mean[..., 1])), 9) % 360, dtype=np.float64)


def angular_error(angle_deg: ArrayLike, truth_deg: ArrayLike) -> NDArray[np.float64]:
    """Return the smaller angle between directions, 0 to 180 [deg].

    Examples
    --------
    >>> angular_error([350, 90], [10, 315]).tolist()
    [20.0, 135.0]
    """
    turn = np.asarray(angle_deg, np.float64) - np.asarray(truth_deg, np.float64)
    return np.asarray(np.abs((turn + 180) % 360 - 180), dtype=np.float64)


def set_coverage(sets: NDArray[np.integer[Any]], truth: Classes) -> float:
    """Return the share of prediction sets that hold the truth; NaN where there is none.

    Parameters
    ----------
    sets : ndarray of int
        Bit 0 to 7 for the classes, bit 8 for "none".
    truth : ndarray of int, same shape
        Class, 8 for "none".

    Examples
    --------
    >>> set_coverage(np.array([0b11, 0b100]), np.array([1, 0]))
    0.5
    """
    inside = (sets.astype(np.int64) >> truth.astype(np.int64)) & 1
    return float(inside.mean()) if inside.size else float("nan")


def roc_auc(score: ArrayLike, truth: ArrayLike, mask: NDArray[np.bool_] | None = None) -> float:
    """Return the chance that a true position scores higher than another; NaN scores are left out.

    Parameters
    ----------
    score : array_like of float
    truth : array_like of bool, same shape
    mask : ndarray of bool, optional

    Returns
    -------
    auc : float
        0.5 for chance; NaN where all positions are of one kind.

    Examples
    --------
    >>> roc_auc([0.1, 0.4, 0.35, 0.8], [False, False, True, True])
    0.75
    """
    values, positive = np.asarray(score, dtype=np.float64), np.asarray(truth, dtype=np.bool_)
    if values.shape != positive.shape:
        raise ValueError(f"score has shape {values.shape} and truth {positive.shape}; they must agree")
    used = np.isfinite(values) if mask is None else np.isfinite(values) & mask
    values, positive = values[used], positive[used]
    n_true = int(positive.sum())
    n_false = positive.size - n_true
    if n_true == 0 or n_false == 0:
        return float("nan")
    ranks = stats.rankdata(values)
    return float((ranks[positive].sum() - n_true * (n_true + 1) / 2) / (n_true * n_false))


def wall_distance(truth: Classes) -> NDArray[np.float64]:
    """Return the distance of each position to the nearest domain wall in scan positions.

    A wall lies half-way between two positions of different direction. Undefined positions
    are NaN and make no wall; infinite where there is one domain only.

    Examples
    --------
    >>> wall_distance(np.array([[0, 0, 4, 4]])).tolist()
    [[1.5, 0.5, 0.5, 1.5]]
    """
    truth = np.asarray(truth)
    out = np.full(truth.shape, np.nan)
    for direction in np.unique(truth[truth != UNDEFINED]):
        here = truth == direction
        other = (truth != UNDEFINED) & ~here
        out[here] = ndimage.distance_transform_edt(~other)[here] - 0.5 if other.any() else np.inf
    return out


def _paired(
    predicted: Classes, truth: Classes, mask: NDArray[np.bool_] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the predictions and truths of the positions that have a truth, flat."""
    guess, right = np.asarray(predicted), np.asarray(truth)
    if guess.shape != right.shape or (mask is not None and mask.shape != right.shape):
        found = f"{guess.shape}, truth {right.shape}" + ("" if mask is None else f", mask {mask.shape}")
        raise ValueError(f"the prediction has shape {found}; they must agree")
    for name, classes in (("prediction", guess), ("truth", right)):
        if ((classes < 0) | ((classes >= N_DIRECTIONS) & (classes != UNDEFINED))).any():
            raise ValueError(f"the {name} holds a class that is neither 0 to {N_DIRECTIONS - 1} nor {UNDEFINED}")
    used = right != UNDEFINED if mask is None else (right != UNDEFINED) & mask
    return guess[used].astype(np.int64), right[used].astype(np.int64)
