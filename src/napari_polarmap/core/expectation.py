"""What a map would be at each scan position if it repeated with the lattice around it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_polarmap.core.cell_frame import Maps, cells_within, sums

NEGLIGIBLE: Final = 0.01
"""Share of the variance of a map that is never worth noting."""

_MOST_AXES: Final = 16
_LITTLE: Final = 0.1
_LEAST_WEIGHT: Final = 0.05


def features(values: NDArray[np.floating], is_embedding: bool) -> tuple[Maps, NDArray[np.bool_]]:
    """Return maps around zero, shape (k, scan_y, scan_x), 0 where undefined, and where they are defined."""
    defined = np.isfinite(values).all(axis=-1)
    filled = np.where(defined[..., None], values, 0).astype(np.float32)
    if not is_embedding:
        filled = np.sqrt(np.clip(filled, 0, None))
    if defined.any():
        filled = np.where(defined[..., None], filled - filled[defined].mean(axis=0), 0)
        if is_embedding:
            filled /= np.maximum(filled[defined].std(axis=0), 1e-12)
    return np.ascontiguousarray(np.moveaxis(filled, -1, 0)), defined


def prepared(
    maps: Maps, defined: NDArray[np.bool_], reach_cells: int, per_cell: int
) -> tuple[Maps, NDArray[np.float32]]:
    """Return what tells most of the repetition, in units of its noise, and how much each position counts.

    Parameters
    ----------
    maps : ndarray, shape (k, rows, columns)
        In a `CellFrame`.
    defined : ndarray of bool, shape (rows, columns)
    reach_cells : int
        Compare with what lies up to so many cells away.
    per_cell : int
        Positions along each edge of a cell.

    Returns
    -------
    maps : ndarray, shape (at most 16, rows, columns)
    weights : ndarray, shape (rows, columns)
        Near 1 where a position is like its equals, near 0 where it is not.
    """
    cells = cells_within(reach_cells + 0.5)
    strength = np.exp(-((np.linalg.norm(cells, axis=1) / reach_cells) ** 2))
    total, weight, _ = sums(maps, defined.astype(np.float32), cells, strength, per_cell)
    known = defined & (weight > _LEAST_WEIGHT * strength.sum())
    if not known.any():
        return maps[:_MOST_AXES], defined.astype(np.float32)
    residual = np.where(known, maps - total / np.maximum(weight, 1e-6), 0).astype(np.float32)
    floor = NEGLIGIBLE * float(maps[:, defined].var(axis=1).mean())
    maps, residual = whiten(maps, residual, known, floor), whiten(residual, residual, known, floor)
    telling = _telling((maps - residual)[:, known], (strength**2).sum() / strength.sum() ** 2)
    maps, residual = np.tensordot(telling, maps, axes=1), np.tensordot(telling, residual, axes=1)
    departure = (residual**2).sum(axis=0)
    typical = max(float(np.median(departure[known])), negligible(maps, defined))
    weights = np.where(defined, 0.02 + 1 / (1 + (departure / (4 * typical)) ** 2), 0)
    return maps.astype(np.float32), weights.astype(np.float32)


def negligible(maps: Maps, defined: NDArray[np.bool_]) -> float:
    """Return the squared departure that is never worth noting."""
    return NEGLIGIBLE * float(maps[:, defined].var(axis=1).sum()) + 1e-12


def _telling(expected: NDArray[np.float32], noise: float) -> NDArray[np.float32]:
    """Return the matrix that turns whitened maps to their own axes, weighted by what repeats in them, the best first.

    A defect departs where there is something to depart from; an axis that is all noise would only hide it. Axes
    count half whose repeating part has a tenth of the variance of their noise.
    """
    values, axes = np.linalg.eigh(np.atleast_2d(np.cov(expected.astype(np.float64))))
    repeating = np.maximum(values - noise, 0)
    weight = np.sqrt(repeating / (_LITTLE + repeating))
    weight /= max(float(weight.max()), 1e-6)
    matrix = np.maximum(weight, 1e-3)[:, None] * axes.T
    return np.asarray(matrix[::-1][:_MOST_AXES], dtype=np.float32)


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
