"""What a map would be at each scan position if it repeated with the lattice around it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, optimize

Maps = NDArray[np.float32]
"""Several maps, shape (k, scan_y, scan_x)."""

NEGLIGIBLE: Final = 0.01
"""Share of the variance of a map that is never worth noting."""

_MAX_FEATURES: Final = 16
_REFINED_WITHIN: Final = 0.4
_FIRST_STEP: Final = 0.125
_SCALES: Final = (0.87, 1.0, 1.13)
_SHEARS: Final = tuple(
    np.eye(2) + np.array(shear) / 2
    for shear in ([[0, 1], [0, 0]], [[0, -1], [0, 0]], [[0, 0], [1, 0]], [[0, 0], [-1, 0]])
)
"""A fault that shifts one half of a scan by half a cell makes the sheared lattice fit the whole."""
_LEAST_WEIGHT: Final = 0.02


def features(values: NDArray[np.floating], is_embedding: bool) -> tuple[Maps, NDArray[np.bool_]]:
    """Return at most sixteen maps, shape (k, scan_y, scan_x), 0 where undefined, and where they are defined."""
    defined = np.isfinite(values).all(axis=-1)
    filled = np.where(defined[..., None], values, 0).astype(np.float32)
    if not is_embedding:
        filled = np.sqrt(np.clip(filled, 0, None))
    if defined.any():
        filled = np.where(defined[..., None], filled - filled[defined].mean(axis=0), 0)
        if is_embedding:
            filled /= np.maximum(filled[defined].std(axis=0), 1e-12)
    if filled.shape[-1] > _MAX_FEATURES:
        filled = filled @ np.linalg.svd(filled[defined].T @ filled[defined])[0][:, :_MAX_FEATURES]
    return np.ascontiguousarray(np.moveaxis(filled, -1, 0)), defined


class Translations(NamedTuple):
    """The lattice translations around a position.

    Attributes
    ----------
    shifts_px : ndarray, shape (n, 2)
    strength : ndarray, shape (n,)
        What each counts in an expectation; falls with distance.
    even : ndarray of bool, shape (n,)
        An even number of steps along the lattice vectors. These and the others lie alike on all sides.
    """

    shifts_px: NDArray[np.float64]
    strength: NDArray[np.float64]
    even: NDArray[np.bool_]


def translations(vectors: NDArray[np.float64], reach_cells: int, shape: tuple[int, ...]) -> Translations:
    """Return the lattice translations within reach that a scan of this shape has room for."""
    index = np.stack(np.meshgrid(*2 * [np.arange(-reach_cells, reach_cells + 1)]), axis=-1).reshape(-1, 2)
    shifts = index @ vectors
    distance = np.linalg.norm(shifts, axis=1) / np.linalg.norm(vectors, axis=1).mean()
    used = (distance > 0) & (distance < reach_cells + 0.5) & (np.abs(shifts) < np.array(shape)).all(axis=1)
    return Translations(shifts[used], np.exp(-((distance[used] / reach_cells) ** 2)), index[used].sum(axis=1) % 2 == 0)


def refined(vectors: NDArray[np.float64], maps: Maps, defined: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the lattice vectors near `vectors` after which the maps repeat best over a few cells.

    The vectors that fit a scan as a whole are a compromise where a fault shifts half of it.
    """
    cells = np.array([(h, k) for h in range(-2, 3) for k in range(3) if (k > 0 or h > 0)], dtype=np.float64)
    reach = int(np.ceil(3 * np.abs(vectors).sum(axis=0).max())) + 2
    padded = tuple(fft.next_fast_len(n + reach, real=True) for n in defined.shape)
    power = (np.abs(fft.rfft2(maps * defined, s=padded)) ** 2).sum(axis=0)
    pairs = fft.irfft2(np.abs(fft.rfft2(defined.astype(np.float32), s=padded)) ** 2, s=padded)
    alike = fft.irfft2(power, s=padded) / np.maximum(pairs, 0.05 * pairs[0, 0])
    alike = ndimage.spline_filter(alike, mode="grid-wrap")
    used = (np.abs(cells @ vectors) < 0.6 * np.array(defined.shape)).all(axis=1)

    def loss(change: NDArray[np.float64]) -> float:
        places = cells[used] @ (vectors + change.reshape(2, 2))
        return -float(ndimage.map_coordinates(alike, places.T, prefilter=False, mode="grid-wrap").sum())

    edge = float(np.linalg.norm(vectors, axis=1).min())
    found, origin, best = vectors, vectors, np.inf
    for begin in (*(scale * vectors for scale in _SCALES), *(shear @ vectors for shear in _SHEARS)):
        start = (begin - vectors).ravel()
        simplex = start + np.vstack([np.zeros(4), _FIRST_STEP * edge * np.eye(4)])
        options = {"initial_simplex": simplex, "xatol": 0.01, "fatol": 0.0, "maxfev": 400}
        answer = optimize.minimize(loss, start, method="Nelder-Mead", options=options)
        if answer.fun < best:
            found, origin, best = vectors + answer.x.reshape(2, 2), begin, float(answer.fun)
    return found if np.linalg.norm(found - origin, axis=1).max() < _REFINED_WITHIN * edge else vectors


def expectations(
    maps: Maps,
    weights: NDArray[np.float32],
    around: Translations,
    parts: list[NDArray[np.bool_]],
    prior: float = 0.0,
) -> Iterator[tuple[Maps, Maps]]:
    """Yield for each part of the translations the weighted mean over them, and what its noise adds to a departure.

    Both are NaN where too few positions are known. `prior` is the weight of the value 0, as a share
    of all translations together.
    """
    shape, (shifts, strength, _) = weights.shape, around
    reach = int(np.ceil(np.abs(shifts).max())) + 2 if len(shifts) else 2
    padded = tuple(fft.next_fast_len(n + reach, real=True) for n in shape)
    spectra = fft.rfft2(np.concatenate([maps * weights, weights[None]]), s=padded)
    for part in parts:
        kernel = np.conj(fft.rfft2(_comb(shifts[part], strength[part], padded)))
        sums = fft.irfft2(spectra * kernel, s=padded)[:, : shape[0], : shape[1]]
        weight = np.where(sums[-1] > _LEAST_WEIGHT * strength.sum(), sums[-1], np.nan)
        noise = 1 + (strength[part] ** 2).sum() / max(strength[part].sum(), 1e-12) / weight
        yield (sums[:-1] / (weight + prior * strength.sum())).astype(np.float32), noise.astype(np.float32)


def sampled(maps: Maps, shift_px: NDArray[np.float64]) -> Maps:
    """Return what the maps are at each position plus a shift, bilinear; 0 where that lies outside."""
    low = np.floor(shift_px).astype(np.int64)
    part = shift_px - low
    out = np.zeros_like(maps)
    ends = [n - 1 for n in maps.shape[1:]]
    here = tuple(slice(max(0, -s), max(0, min(n, n - s))) for n, s in zip(ends, low, strict=True))
    if any(span.start >= span.stop for span in here):
        return out
    for step in ((0, 0), (0, 1), (1, 0), (1, 1)):
        share = float(np.abs(1 - np.array(step) - part).prod())
        there = tuple(slice(span.start + s + d, span.stop + s + d) for span, s, d in zip(here, low, step, strict=True))
        out[(slice(None), *here)] += np.float32(share) * maps[(slice(None), *there)]
    return out


def _comb(shifts: NDArray[np.float64], strength: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return a kernel with a point at each shift, spread over the four pixels around it."""
    kernel = np.zeros(shape, np.float32)
    low = np.floor(shifts).astype(np.int64)
    up = shifts - low
    for step in ((0, 0), (0, 1), (1, 0), (1, 1)):
        share = np.abs(1 - np.array(step) - up).prod(axis=1)
        np.add.at(kernel, tuple(((low + step) % shape).T), strength * share)
    return kernel


def whiten(maps: Maps, residual: Maps, defined: NDArray[np.bool_], floor: float) -> Maps:
    """Scale `maps` so that the quieter 80 % of `residual` have about unit covariance, or less where it is tiny."""
    columns = residual[:, defined]
    length = (columns**2).sum(axis=0)
    columns = columns[:, length <= np.quantile(length, 0.8)].astype(np.float64)
    values, axes = np.linalg.eigh(columns @ columns.T / max(columns.shape[1], 1))
    values = 0.8 * values + 0.2 * values.mean() + floor + 1e-12
    matrix = (axes / np.sqrt(values)) @ axes.T
    return np.asarray(np.tensordot(matrix.astype(np.float32), maps, axes=1), dtype=np.float32)


def blurred(array: NDArray[Any], sigma_px: float) -> NDArray[np.float32]:
    """Return a Gaussian average with nothing beyond the edges."""
    return np.asarray(ndimage.gaussian_filter(array.astype(np.float32), sigma_px, mode="constant", truncate=3))
