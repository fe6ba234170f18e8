"""Find defects where the predictions stop repeating with the lattice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from napari_polarmap.core.cell_frame import Cells, Maps, cell_frame, cells_within, sums
from napari_polarmap.core.empirical_null import standardised
from napari_polarmap.core.expectation import blurred, features, negligible, prepared
from napari_polarmap.core.lattice import Lattice
from napari_polarmap.core.next_cells import departure_from_next_cells
from napari_polarmap.core.repetition import refined
from napari_polarmap.core.two_sides import DIRECTIONS, difference_of_sides

_FREE_PERIOD_PX: Final = 3.0
_HALVES: Final = 8
_NEXT_CELLS: Final = 1.5
_SMOOTH_PX: Final = 0.7
_RIM_CELLS: Final = 0.25
_PATCH_CELLS: Final = 0.3
_LEAST_WEIGHT: Final = 0.1
_BOUND: Final = 2.0
_SUSPECT: Final = 3.0
_SHARP_CELLS: Final = 1.0
_SHARPNESS: Final = 2.0
_PEAK_SHARE: Final = 0.8
_BEYOND: Final = 2.0
"""Differing sides count by what exceeds this many standard deviations: few lines cross a scan to know chance from."""
_PEAK_RATE: Final = 0.05
_QUESTIONS: Final = 1 + DIRECTIONS


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
    The maps are smoothed a little and sampled along the lattice vectors, so that equivalent positions lie whole
    numbers of positions apart. A quarter of a cell at the rim is left out; it has the score next to it. Two
    questions are asked at every position, and the larger of the two answers counts.

    *Is it unlike its equals?* The expectation is the weighted mean over the equivalent positions around,
    never the position itself; positions that depart from it hardly count. It is taken over the whole
    neighbourhood (follows slow drift), over the next cells (follows strain) and over eight halves (one of which
    lies wholly on this side of a wall), and cell by cell with the next ones, moved by up to an eighth of a cell
    to follow strong strain (see `next_cells`). The smallest departure of a patch of a third of a cell counts,
    over what is usual at that place of the cell.

    *Do its two sides differ?* See `two_sides.difference_of_sides`. This shows what has a perfect crystal on
    both sides: a fault, a wall, a step.

    Both are in standard deviations of the regular part of the map (see `empirical_null`). As these are estimated
    from no more than so many cells, tails are those of Student's distribution with one degree of freedom less than
    there are cells; of differing sides only what exceeds two standard deviations counts.
    The tails around a peak, which come from patches that reach into it, are taken back.
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
    frame = cell_frame(vectors, defined.shape)
    per_cell = frame.per_cell
    maps, known = frame.sample(*_smooth(maps, defined, float(np.linalg.norm(vectors, axis=1).mean())))
    if not known.any():
        return nowhere
    maps, weights = prepared(maps, known, neighbourhood_cells, per_cell)
    unlike = standardised(np.cbrt(_departure(maps, known, weights, neighbourhood_cells, per_cell)), known)
    suspect = _highest(np.where(known, unlike, 0), _PATCH_CELLS * per_cell)
    trusted = (weights / (1 + np.maximum(suspect / _SUSPECT, 0) ** 4)).astype(np.float32)
    differ = difference_of_sides(maps, known, trusted, per_cell)
    cells = defined.sum() / abs(np.linalg.det(vectors))
    radius = _SHARP_CELLS * per_cell
    z = np.fmax(unlike, differ - _BEYOND)
    z = _asked_often(_as_normal(z, max(cells - 1, 1.0)), _QUESTIONS)
    score = frame.to_scan(_sharpened(z, known, radius), known)
    score = np.where(defined, score, np.nan).astype(np.float32)
    p_value = _p_value(score)
    return Irregularity(score=score, p_value=p_value, irregular=_marked(p_value, fdr))


def irregular_at(score: NDArray[np.floating], fdr: float) -> NDArray[np.bool_]:
    """Return where a map of scores, made by `irregularity`, is irregular at another false-discovery rate.

    Raises
    ------
    ValueError
        If `fdr` does not lie between 0 and 1.
    """
    if not 0 < fdr < 1:
        raise ValueError(f"fdr is {fdr}; it must lie between 0 and 1")
    return _marked(_p_value(score), fdr)


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


def _marked(p_value: NDArray[np.floating], fdr: float) -> NDArray[np.bool_]:
    """Return what passes the rate, without the groups of which nothing passes a twentieth of it.

    Neighbours depend on each other, so that chance comes in groups, and these are low.
    """
    marked = benjamini_hochberg(p_value, fdr)
    groups, _ = ndimage.label(marked, np.ones((3, 3)))
    high = np.unique(groups[benjamini_hochberg(p_value, _PEAK_RATE * fdr)])
    return marked & np.isin(groups, high)


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


def _smooth(maps: Maps, defined: NDArray[np.bool_], period: float) -> tuple[Maps, NDArray[np.bool_]]:
    """Return the maps without their finest noise, and where they are known: not at the rim of the scan."""
    sigma_px = _SMOOTH_PX
    share = np.maximum(blurred(defined, sigma_px), 1e-3)
    smooth = np.stack([np.where(defined, blurred(each, sigma_px) / share, 0) for each in maps])
    rim = max(1, round(_RIM_CELLS * period))
    inner = ndimage.binary_erosion(defined, np.ones((3, 3)), iterations=rim)
    return smooth.astype(np.float32), inner if inner.any() else defined


def _groups(cells: Cells) -> list[NDArray[np.bool_]]:
    """Return which translations make each expectation: all, the next cells, and eight halves."""
    angle = np.arctan2(cells[:, 0], cells[:, 1])
    halves = [np.cos(angle - direction) > 0.2 for direction in 2 * np.pi * np.arange(_HALVES) / _HALVES]
    return [np.ones(len(cells), np.bool_), np.linalg.norm(cells, axis=1) < _NEXT_CELLS, *halves]


def _departure(
    maps: Maps, known: NDArray[np.bool_], weights: NDArray[np.float32], reach_cells: int, per_cell: int
) -> NDArray[np.float64]:
    """Return how far patches depart from the best of their expectations, over what is usual there."""
    cells = cells_within(reach_cells + 0.5)
    strength = np.exp(-((np.linalg.norm(cells, axis=1) / reach_cells) ** 2))
    sigma = _PATCH_CELLS * per_cell
    around = blurred(known, sigma)
    smallest = np.full(known.shape, np.inf, np.float32)
    for group in _groups(cells):
        total, weight, square = sums(maps, weights, cells[group], strength[group], per_cell)
        seen = known & (weight > _LEAST_WEIGHT * strength[group].sum())
        safe = np.maximum(weight, 1e-6)
        squared = np.where(seen, ((maps - total / safe) ** 2).sum(axis=0) / (1 + square / safe**2), 0)
        share = blurred(seen, sigma)
        patch = blurred(squared, sigma) / np.maximum(share, 1e-3)
        np.fmin(smallest, np.where(share > 0.5 * around, patch, np.nan), out=smallest)
    np.fmin(smallest, departure_from_next_cells(maps, known, weights, sigma, per_cell), out=smallest)
    smallest = np.where(known & np.isfinite(smallest), smallest, 0)
    mean = float(np.average(smallest, weights=weights))
    low, middle = np.quantile(smallest[known], [0.16, 0.5])
    bounded = np.minimum(smallest, middle + _BOUND * (middle - low))
    total, weight, _ = sums((bounded - mean)[None], weights, cells, strength, per_cell)
    usual = np.maximum(mean + total[0] / (weight + 0.1 * strength.sum()), 0.2 * mean)
    offset = negligible(maps, known) + 0.1 * mean
    score = (smallest + offset) / (usual + offset)
    return np.asarray(1 + (score - 1) * np.sqrt(np.minimum(around, 1)), dtype=np.float64)


def _as_normal(z: NDArray[np.float64], freedom: float) -> NDArray[np.float64]:
    """Return the normal deviate that is as rare as Student's `z`."""
    p_value = np.maximum(special.stdtr(freedom, -np.where(np.isfinite(z), z, 0)), 1e-280)
    return np.where(np.isfinite(z), -special.ndtri_exp(np.log(p_value)), z)


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


def _sharpened(z: NDArray[np.float64], known: NDArray[np.bool_], radius: float) -> NDArray[np.float64]:
    """Take back the tails around a peak."""
    z = np.where(known, z, -np.inf)
    share = np.maximum(z, 0) / np.maximum(_highest(z, radius), 1e-6)
    return np.where(known, z * np.where(z > 0, np.minimum(share / _PEAK_SHARE, 1), 1) ** _SHARPNESS, 0)
