"""Find defects where the predictions stop repeating with the lattice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal, special

from napari_polarmap.core.expectation import (
    NEGLIGIBLE,
    Maps,
    Translations,
    blurred,
    expectations,
    features,
    refined,
    sampled,
    translations,
    whiten,
)
from napari_polarmap.core.lattice import Lattice

_HALVES: Final = 8
_FREE_PERIOD_PX: Final = 3.0
_PATCH_CELLS: Final = 0.3
_JUMP_REACH_CELLS: Final = 1
_ACROSS_CELLS: Final = 0.3
_ALONG_CELLS: Final = 1.5
_FAR_CELLS: Final = 2.0
_NEAR_CELLS: Final = 0.8
_SUSPECT: Final = 3.0
_LITTLE: Final = 0.1
_UNEVEN: Final = 2.0
_WHOLE: Final = 0.999
_SHARP_CELLS: Final = 0.6
_SHARPNESS: Final = 0.5
_MIN_WIDTH: Final = 0.05


@dataclass(frozen=True, kw_only=True)
class Irregularity:
    """How far each scan position departs from the repetition around it.

    Attributes
    ----------
    score : ndarray of float32, shape (scan_y, scan_x)
        Departure in standard deviations of the regular part of the map, NaN where undefined.
    p_value : ndarray of float32
        Chance of such a departure in a regular crystal.
    irregular : ndarray of bool
        Above the false-discovery rate.
    """

    score: NDArray[np.float32]
    p_value: NDArray[np.float32]
    irregular: NDArray[np.bool_]


def irregularity(
    probability: NDArray[np.floating],
    lattice: Lattice | None,
    *,
    embedding: NDArray[np.floating] | None = None,
    neighbourhood_cells: int = 3,
    fdr: float = 0.05,
) -> Irregularity:
    """Return the departure of a prediction map from its lattice-periodic expectation.

    Parameters
    ----------
    probability : ndarray, shape (scan_y, scan_x, classes)
        Class probabilities; NaN where undefined.
    lattice : Lattice or None
        Of the scan. Without one, positions are compared with those a few pixels around them.
    embedding : ndarray, shape (scan_y, scan_x, k), optional
        Any other features that repeat with the lattice, used in place of the probabilities.
    neighbourhood_cells : int
        Compare with equivalent positions up to this many cells away.
    fdr : float
        Accepted share of false positions among those called irregular.

    Returns
    -------
    irregularity : Irregularity

    Raises
    ------
    ValueError
        If an array is not three-dimensional or a number is out of range.

    Notes
    -----
    Two questions are asked at every position, and the larger of the two answers counts.

    *Is it unlike its equals?* The expectation is the weighted mean over the equivalent positions around,
    never the position itself; positions that departed in a first pass hardly count in the second. It is
    taken over the whole neighbourhood (follows slow drift) and over eight halves of it (one of which lies
    wholly on this side of a wall); the smallest departure of a patch of a third of a cell counts.

    *Do its two sides differ?* Along four directions, the expectation from one half is compared with that
    from the other. This shows what has a perfect crystal on both sides: a fault, a wall, a step.

    Departures are relative to the noise of the map (robust covariance), and to what is usual at that place
    of the cell or in the surroundings, so that a bend is no defect. The tails around a peak, which come from
    patches that reach into it, are taken back.
    """
    _check(probability, embedding, neighbourhood_cells, fdr)
    maps, defined = features(probability if embedding is None else embedding, embedding is not None)
    nothing = np.full(defined.shape, np.nan, np.float32)
    nowhere = Irregularity(score=nothing, p_value=nothing, irregular=np.zeros(defined.shape, np.bool_))
    if not defined.any():
        return nowhere
    vectors = _FREE_PERIOD_PX * np.eye(2)[::-1]
    if lattice is not None and lattice.known:
        vectors = refined(lattice.vectors_px, maps, defined)
    period = float(np.linalg.norm(vectors, axis=1).mean())
    around = translations(vectors, neighbourhood_cells, defined.shape)
    if not len(around.shifts_px):
        return nowhere
    maps, weights = _prepared(maps, defined, around)
    unlike = _standardised(np.cbrt(_departure(maps, defined, weights, around, period)), defined)
    near = translations(vectors, min(_JUMP_REACH_CELLS, neighbourhood_cells), defined.shape)
    suspect = _highest(np.where(defined, unlike, 0), _PATCH_CELLS * period)
    trusted = weights / (1 + np.maximum(suspect / _SUSPECT, 0) ** 4)
    trusted[[0, -1]], trusted[:, [0, -1]] = 0, 0
    jump = _jump(maps, defined, trusted.astype(np.float32), near, period)
    score = np.fmax(_asked_often(unlike, 2), _asked_often(jump, _HALVES))
    score = _sharpened(score, defined, _SHARP_CELLS * period)
    score = np.where(defined, score, np.nan).astype(np.float32)
    p_value = _p_value(score)
    return Irregularity(score=score, p_value=p_value, irregular=benjamini_hochberg(p_value, fdr))


def irregular_at(score: NDArray[np.floating], fdr: float) -> NDArray[np.bool_]:
    """Return where a map of scores, made by `irregularity`, is irregular at another false-discovery rate.

    Raises
    ------
    ValueError
        If `fdr` does not lie between 0 and 1.
    """
    if not 0 < fdr < 1:
        raise ValueError(f"fdr is {fdr}; it must lie between 0 and 1")
    return benjamini_hochberg(_p_value(score), fdr)


def benjamini_hochberg(p_value: NDArray[np.floating], fdr: float) -> NDArray[np.bool_]:
    """Return where the hypothesis of chance is rejected at a false-discovery rate; NaN is never rejected.

    References
    ----------
    .. [1] Y. Benjamini, Y. Hochberg, J. R. Stat. Soc. B 57, 289 (1995).

    Examples
    --------
    >>> benjamini_hochberg(np.array([0.001, 0.02, 0.5, np.nan]), 0.05).tolist()
    [True, True, False, False]
    """
    ranked = np.sort(p_value[np.isfinite(p_value)])
    passed = np.nonzero(ranked <= fdr * np.arange(1, ranked.size + 1) / max(ranked.size, 1))[0]
    limit = ranked[passed[-1]] if passed.size else -1.0
    return np.asarray(np.nan_to_num(p_value, nan=np.inf) <= limit)


def _p_value(score: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.asarray(special.ndtr(-score.astype(np.float64)), dtype=np.float32)


def _check(
    probability: NDArray[np.floating], embedding: NDArray[np.floating] | None, neighbourhood_cells: int, fdr: float
) -> None:
    for name, array in (("probability", probability), ("embedding", embedding)):
        if array is not None and np.ndim(array) != 3:
            raise ValueError(f"{name} has shape {np.shape(array)}; it must be (scan_y, scan_x, features)")
    if neighbourhood_cells < 1:
        raise ValueError(f"neighbourhood_cells is {neighbourhood_cells}; it must be at least 1")
    if not 0 < fdr < 1:
        raise ValueError(f"fdr is {fdr}; it must lie between 0 and 1")


def _prepared(maps: Maps, defined: NDArray[np.bool_], around: Translations) -> tuple[Maps, NDArray[np.float32]]:
    """Return the maps in units of their noise, and how much each position counts in an expectation."""
    whole = [np.ones(len(around.shifts_px), np.bool_)]
    first, _ = next(expectations(maps, defined.astype(np.float32), around, whole))
    residual = np.where(np.isfinite(first), maps - first, 0)
    floor = NEGLIGIBLE * float(maps[:, defined].var(axis=1).mean())
    maps, residual = whiten(maps, residual, defined, floor), whiten(residual, residual, defined, floor)
    telling = _telling((maps - residual)[:, defined], (around.strength**2).sum() / around.strength.sum() ** 2)
    maps, residual = np.tensordot(telling, maps, axes=1), np.tensordot(telling, residual, axes=1)
    departure = (residual**2).sum(axis=0)
    typical = max(float(np.median(departure[defined])), _negligible(maps, defined))
    weights = np.where(defined, 0.02 + 1 / (1 + (departure / (4 * typical)) ** 2), 0)
    return maps, weights.astype(np.float32)


def _telling(expected: NDArray[np.float32], noise: float) -> NDArray[np.float32]:
    """Return the matrix that turns whitened maps to their own axes and weights each by what repeats in it.

    A defect departs where there is something to depart from; an axis that is all noise would only hide it. Axes
    count half whose repeating part has a tenth of the variance of their noise.
    """
    values, axes = np.linalg.eigh(np.cov(expected.astype(np.float64)))
    repeating = np.maximum(values - noise, 0)
    weight = np.sqrt(repeating / (_LITTLE + repeating))
    weight /= max(float(weight.max()), 1e-6)
    return np.asarray(np.maximum(weight, 1e-3)[:, None] * axes.T, dtype=np.float32)


def _negligible(maps: Maps, defined: NDArray[np.bool_]) -> float:
    return NEGLIGIBLE * float(maps[:, defined].var(axis=1).sum()) + 1e-12


def _halves(shifts: NDArray[np.float64]) -> list[NDArray[np.bool_]]:
    angle = np.arctan2(shifts[:, 0], shifts[:, 1])
    return [np.cos(angle - direction) > 0.2 for direction in 2 * np.pi * np.arange(_HALVES) / _HALVES]


def _departure(
    maps: Maps,
    defined: NDArray[np.bool_],
    weights: NDArray[np.float32],
    around: Translations,
    period: float,
) -> NDArray[np.float64]:
    """Return how far patches depart from the best of their expectations, over what is usual there."""
    whole = [np.ones(len(around.shifts_px), np.bool_)]
    sigma_px = _PATCH_CELLS * period
    known = np.maximum(blurred(defined, sigma_px), 1e-3)
    smallest = np.full(defined.shape, np.inf, np.float32)
    for expected, noise in expectations(maps, weights, around, whole + _halves(around.shifts_px)):
        seen = defined & np.isfinite(noise)
        departure = np.where(seen, ((maps - expected) ** 2).sum(axis=0) / noise, 0)
        share = blurred(seen, sigma_px)
        patch = blurred(departure, sigma_px) / np.maximum(share, 1e-3)
        np.fmin(smallest, np.where(share > 0.5 * known, patch, np.nan), out=smallest)
    smallest = np.where(np.isfinite(smallest), smallest, 0)
    mean = float(np.average(smallest, weights=weights))
    excess, _ = next(expectations((smallest - mean)[None], weights, around, whole, prior=0.1))
    usual = mean + np.nan_to_num(excess[0])
    offset = _negligible(maps, defined) + 0.1 * mean
    score = (smallest + offset) / (usual + offset)
    return np.asarray(1 + (score - 1) * np.sqrt(np.minimum(known, 1)), dtype=np.float64)


def _jump(
    maps: Maps,
    defined: NDArray[np.bool_],
    weights: NDArray[np.float32],
    around: Translations,
    period: float,
) -> NDArray[np.float64]:
    """Return z of how much more the expectations from two sides differ here than a cell further on.

    -inf where there are no two sides. What chance makes of it is seen where the expectations from the
    `even` and the odd translations are compared, which lie alike on all sides.
    """
    largest = np.full(defined.shape, -np.inf)
    weighted = np.concatenate([maps * weights, weights[None], (weights > 0)[None]])
    chance = _difference(weighted, around, around.even, ~around.even, defined)
    halves = _halves(around.shifts_px)
    offset = _negligible(maps, defined)
    for index in range(_HALVES // 2):
        angle = 2 * np.pi * index / _HALVES
        normal = period * np.array([np.sin(angle), np.cos(angle)])
        difference = _difference(weighted, around, halves[index], halves[index + _HALVES // 2], defined)
        ridge, null = (_ridge(each, normal, offset) for each in (difference, chance))
        if not np.isfinite(null).any():
            continue
        middle, high, top = np.nanquantile(null, [0.5, 0.84, 0.975])
        z = (ridge - middle) / max(high - middle, (top - middle) / 1.96, _MIN_WIDTH)
        np.fmax(largest, z, out=largest)
    seen = np.isfinite(largest)
    if not seen.any():
        return largest
    low, middle, high = np.quantile(largest[seen], [0.16, 0.5, 0.84])
    return np.asarray((largest - max(middle, 0.0)) / max(min(high - middle, middle - low), 1.0), dtype=np.float64)


def _difference(
    weighted: Maps,
    around: Translations,
    one: NDArray[np.bool_],
    other: NDArray[np.bool_],
    defined: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return the squared difference of two expectations over its noise; NaN where either rests on few positions."""
    mean, noise = [], np.zeros(defined.shape)
    for part in (one, other):
        total, square = np.zeros_like(weighted[:-1]), np.zeros_like(weighted[0])
        for shift, strength in zip(around.shifts_px[part], around.strength[part], strict=True):
            values = sampled(weighted, shift)
            seen = np.where(values[-1] > _WHOLE, values[:-1], 0)
            total += strength * seen
            square += strength**2 * seen[-1]
        weight = np.where(total[-1] > 1e-6, total[-1], np.nan)
        mean.append(total[:-1] / weight)
        noise += square / weight**2
    known = defined & (noise < _UNEVEN * np.nanmin(noise, initial=np.inf))
    squared = ((mean[0] - mean[1]) ** 2).sum(axis=0)
    return np.asarray(np.where(known, squared / np.where(known, noise, 1), np.nan), dtype=np.float64)


def _ridge(difference: NDArray[np.float64], normal_px: NDArray[np.float64], offset: float) -> NDArray[np.float64]:
    """Return by what factor (logarithm) the mean over an oblong exceeds that on either side of it."""
    seen = np.isfinite(difference)
    kernel = _oblong(normal_px, _ACROSS_CELLS, _ALONG_CELLS)
    share = signal.fftconvolve(seen.astype(np.float64), kernel, mode="same")
    mean = signal.fftconvolve(np.where(seen, difference, 0), kernel, mode="same") / np.maximum(share, 1e-3)
    level = np.where(seen & (share > 0.3), np.log(np.maximum(mean, 0) + offset), np.nan)
    far, near = (_beside(level, distance * normal_px) for distance in (_FAR_CELLS, _NEAR_CELLS))
    return np.asarray(level - far - 2 * np.fmax(near - level, 0), dtype=np.float64)


def _beside(level: NDArray[np.float64], shift_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the higher of the levels on both sides."""
    sides = [ndimage.shift(level, sign * shift_px, order=0, mode="constant", cval=np.nan) for sign in (1, -1)]
    return np.asarray(np.fmax(*sides), dtype=np.float64)


def _oblong(normal_px: NDArray[np.float64], across: float, along: float) -> NDArray[np.float64]:
    """Return a Gaussian that is narrow along `normal_px` and long across it, widths in units of its length."""
    length = float(np.linalg.norm(normal_px))
    reach = int(np.ceil(2.5 * along * length))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    first, second = (normal_px @ [y.ravel(), x.ravel()], (normal_px[::-1] * [1, -1]) @ [y.ravel(), x.ravel()])
    kernel = np.exp(-0.5 * ((first / across) ** 2 + (second / along) ** 2) / length**4).reshape(y.shape)
    return np.asarray(kernel / kernel.sum(), dtype=np.float64)


def _asked_often(z: NDArray[np.float64], times: int) -> NDArray[np.float64]:
    """Return the z that is as rare, for the largest of several, as `z` is for one (Šidák)."""
    p_value = special.ndtr(-z)
    often = np.where(p_value > 1e-6, -np.expm1(times * np.log1p(-np.minimum(p_value, 1 - 1e-9))), 1)
    log_often = np.where(p_value > 1e-6, np.log(often), special.log_ndtr(-z) + np.log(times))
    return np.asarray(-special.ndtri_exp(log_often), dtype=np.float64)


def _highest(z: NDArray[np.float64], radius_px: float) -> NDArray[np.float64]:
    """Return the largest value within a radius."""
    reach = int(np.ceil(radius_px))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return np.asarray(ndimage.maximum_filter(z, footprint=np.hypot(y, x) <= radius_px), dtype=np.float64)


def _sharpened(z: NDArray[np.float64], defined: NDArray[np.bool_], radius_px: float) -> NDArray[np.float64]:
    """Take back the tails around a peak."""
    highest = _highest(np.where(defined, z, -np.inf), radius_px)
    return np.where(z > 0, z * (np.maximum(z, 0) / np.maximum(highest, 1e-6)) ** _SHARPNESS, z)


def _standardised(value: NDArray[np.float64], defined: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return z of a nearly normal quantity; defects are left out step by step."""
    regular = value[defined]
    middle, width = float(np.median(regular)), 1.0
    for _ in range(10):
        low, middle, high = (float(each) for each in np.quantile(regular, [0.16, 0.5, 0.84]))
        width = max(middle - low, min(high - middle, 2 * (middle - low)), _MIN_WIDTH)
        kept = regular[regular < middle + 3.5 * width]
        if kept.size == regular.size:
            break
        regular = kept
    return np.asarray((value - middle) / width)
