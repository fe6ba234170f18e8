"""Find defects where the predictions stop repeating with the lattice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, stats

from napari_polarmap.core.lattice import Lattice

_MAX_FEATURES: Final = 8
_HALVES: Final = 8
_FREE_PERIOD_PX: Final = 3.0
_PATCH_CELLS: Final = 0.3
_NEGLIGIBLE: Final = 0.01
_MIN_WIDTH: Final = 0.05

Maps = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Irregularity:
    """How far each scan position departs from the repetition around it.

    Attributes
    ----------
    score : ndarray of float32, shape (scan_y, scan_x)
        Squared departure over what is usual at that place of the cell; about 1 where the crystal is
        regular, NaN where undefined.
    z : ndarray of float32
        The same in standard deviations of the regular part of the map.
    p_value : ndarray of float32
        Chance of such a departure in a regular crystal.
    irregular : ndarray of bool
        Above the false-discovery rate.
    """

    score: NDArray[np.float32]
    z: NDArray[np.float32]
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
    The expectation at a position is the weighted mean over the equivalent positions around it, never
    itself; positions that departed in a first pass hardly count in the second. It is taken over
    the whole neighbourhood (follows slow drift) and over eight halves of it (one of which lies wholly
    on this side of a domain wall); the smallest departure of a patch of a
    third of a cell counts, so that a wall, whose two sides no half explains together, is a narrow line.
    Departures are relative to the noise of the map (robust covariance) and of the place in the cell.
    """
    _check(probability, embedding, neighbourhood_cells, fdr)
    features, defined = _features(probability if embedding is None else embedding, embedding is not None)
    vectors = lattice.vectors_px if lattice is not None and lattice.known else _FREE_PERIOD_PX * np.eye(2)[::-1]
    shifts, strength = _translations(vectors, neighbourhood_cells, defined.shape)
    if not defined.any() or not len(shifts):
        nothing = np.full(defined.shape, np.nan, np.float32)
        return Irregularity(score=nothing, z=nothing, p_value=nothing, irregular=np.zeros(defined.shape, np.bool_))
    score = _score(features, defined, shifts, strength, float(np.linalg.norm(vectors, axis=1).mean()))
    z = np.where(defined, _standardised(score, defined), np.nan)
    p_value = stats.norm.sf(z)
    return Irregularity(
        score=np.where(defined, score, np.nan).astype(np.float32),
        z=z.astype(np.float32),
        p_value=p_value.astype(np.float32),
        irregular=benjamini_hochberg(p_value, fdr),
    )


def irregular_at(score: NDArray[np.floating], fdr: float) -> NDArray[np.bool_]:
    """Return where a map of scores, made by `irregularity`, is irregular at another false-discovery rate.

    Raises
    ------
    ValueError
        If `fdr` does not lie between 0 and 1.
    """
    if not 0 < fdr < 1:
        raise ValueError(f"fdr is {fdr}; it must lie between 0 and 1")
    defined = np.isfinite(score)
    if not defined.any():
        return np.zeros(score.shape, np.bool_)
    z = np.where(defined, _standardised(np.where(defined, score, 0).astype(np.float64), defined), np.nan)
    return benjamini_hochberg(stats.norm.sf(z), fdr)


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


def _features(values: NDArray[np.floating], is_embedding: bool) -> tuple[Maps, NDArray[np.bool_]]:
    """Return at most eight maps, shape (k, scan_y, scan_x), 0 where undefined, and where they are defined."""
    defined = np.isfinite(values).all(axis=-1)
    filled = np.where(defined[..., None], values, 0).astype(np.float32)
    if not is_embedding:
        filled = np.sqrt(np.clip(filled, 0, None))
    if defined.any():
        filled = np.where(defined[..., None], filled - filled[defined].mean(axis=0), 0)
    if filled.shape[-1] > _MAX_FEATURES:
        filled = filled @ np.linalg.svd(filled[defined].T @ filled[defined])[0][:, :_MAX_FEATURES]
    return np.ascontiguousarray(np.moveaxis(filled, -1, 0)), defined


def _translations(
    vectors: NDArray[np.float64], reach_cells: int, shape: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lattice translations in reach (n, 2) and their weights, which fall with distance."""
    index = np.stack(np.meshgrid(*2 * [np.arange(-reach_cells, reach_cells + 1)]), axis=-1).reshape(-1, 2)
    shifts = index @ vectors
    distance = np.linalg.norm(shifts, axis=1) / np.linalg.norm(vectors, axis=1).mean()
    used = (distance > 0) & (distance < reach_cells + 0.5) & (np.abs(shifts) < np.array(shape)).all(axis=1)
    return shifts[used], np.exp(-((distance[used] / reach_cells) ** 2))


def _score(
    features: Maps,
    defined: NDArray[np.bool_],
    shifts: NDArray[np.float64],
    strength: NDArray[np.float64],
    period: float,
) -> NDArray[np.float64]:
    whole = [np.ones(len(shifts), np.bool_)]
    first, _ = next(_expectations(features, defined.astype(np.float32), shifts, strength, whole))
    residual = np.where(np.isfinite(first), features - first, 0)
    floor = _NEGLIGIBLE * float(features[:, defined].var(axis=1).mean())
    features, residual = _whiten(features, residual, defined, floor), _whiten(residual, residual, defined, floor)
    departure = (residual**2).sum(axis=0)
    negligible = _NEGLIGIBLE * float(features[:, defined].var(axis=1).sum()) + 1e-12
    typical = max(float(np.median(departure[defined])), negligible)
    weights = np.where(defined, 0.02 + 1 / (1 + (departure / (4 * typical)) ** 2), 0).astype(np.float32)

    angle = np.arctan2(shifts[:, 0], shifts[:, 1])
    halves = [np.cos(angle - direction) > 0.2 for direction in 2 * np.pi * np.arange(_HALVES) / _HALVES]
    sigma_px = _PATCH_CELLS * period
    known = np.maximum(_blurred(defined, sigma_px), 1e-3)
    smallest = np.full(defined.shape, np.inf, np.float32)
    for expected, noise in _expectations(features, weights, shifts, strength, whole + halves):
        seen = defined & np.isfinite(noise)
        departure = np.where(seen, ((features - expected) ** 2).sum(axis=0) / noise, 0)
        share = _blurred(seen, sigma_px)
        patch = _blurred(departure, sigma_px) / np.maximum(share, 1e-3)
        np.fmin(smallest, np.where(share > 0.5 * known, patch, np.nan), out=smallest)
    smallest = np.where(np.isfinite(smallest), smallest, 0)
    mean = float(np.average(smallest, weights=weights))
    excess, _ = next(_expectations((smallest - mean)[None], weights, shifts, strength, whole, prior=0.1))
    usual = mean + np.nan_to_num(excess[0])
    offset = negligible + 0.1 * mean
    score = (smallest + offset) / (usual + offset)
    return np.asarray(1 + (score - 1) * np.sqrt(np.minimum(known, 1)), dtype=np.float64)


def _blurred(array: NDArray[Any], sigma_px: float) -> NDArray[np.float32]:
    return np.asarray(ndimage.gaussian_filter(array.astype(np.float32), sigma_px, mode="constant", truncate=3))


def _expectations(
    maps: Maps,
    weights: NDArray[np.float32],
    shifts: NDArray[np.float64],
    strength: NDArray[np.float64],
    parts: list[NDArray[np.bool_]],
    prior: float = 0.0,
) -> Iterator[tuple[Maps, Maps]]:
    """Yield for each part of the translations the weighted mean over them, and what its noise adds to a departure.

    Both are NaN where too few positions are known. `prior` is the weight of the value 0, as a share
    of all translations together.
    """
    shape = weights.shape
    reach = int(np.ceil(np.abs(shifts).max())) + 2 if len(shifts) else 2
    padded = tuple(fft.next_fast_len(n + reach, real=True) for n in shape)
    spectra = fft.rfft2(np.concatenate([maps * weights, weights[None]]), s=padded)
    for part in parts:
        kernel = np.conj(fft.rfft2(_comb(shifts[part], strength[part], padded)))
        sums = fft.irfft2(spectra * kernel, s=padded)[:, : shape[0], : shape[1]]
        weight = np.where(sums[-1] > 0.02 * strength.sum(), sums[-1], np.nan)
        noise = 1 + (strength[part] ** 2).sum() / max(strength[part].sum(), 1e-12) / weight
        yield (sums[:-1] / (weight + prior * strength.sum())).astype(np.float32), noise.astype(np.float32)


def _comb(shifts: NDArray[np.float64], strength: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return a kernel with a point at each shift, spread over the four pixels around it."""
    kernel = np.zeros(shape, np.float32)
    low = np.floor(shifts).astype(np.int64)
    up = shifts - low
    for step in ((0, 0), (0, 1), (1, 0), (1, 1)):
        share = np.abs(1 - np.array(step) - up).prod(axis=1)
        np.add.at(kernel, tuple(((low + step) % shape).T), strength * share)
    return kernel


def _whiten(maps: Maps, residual: Maps, defined: NDArray[np.bool_], floor: float) -> Maps:
    """Scale `maps` so that the quieter 80 % of `residual` have about unit covariance, or less where it is tiny."""
    columns = residual[:, defined]
    length = (columns**2).sum(axis=0)
    columns = columns[:, length <= np.quantile(length, 0.8)].astype(np.float64)
    values, axes = np.linalg.eigh(columns @ columns.T / max(columns.shape[1], 1))
    values = 0.8 * values + 0.2 * values.mean() + floor + 1e-12
    matrix = (axes / np.sqrt(values)) @ axes.T
    return np.asarray(np.tensordot(matrix.astype(np.float32), maps, axes=1), dtype=np.float32)


def _standardised(score: NDArray[np.float64], defined: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return z; the cube root of a mean of squares is nearly normal, and defects are left out step by step."""
    root = np.cbrt(score)
    regular = root[defined]
    middle, width = float(np.median(regular)), 1.0
    for _ in range(10):
        low, middle, high = (float(value) for value in np.quantile(regular, [0.16, 0.5, 0.84]))
        width = max(middle - low, min(high - middle, 2 * (middle - low)), _MIN_WIDTH)
        kept = regular[regular < middle + 3.5 * width]
        if kept.size == regular.size:
            break
        regular = kept
    return np.asarray((root - middle) / width)
