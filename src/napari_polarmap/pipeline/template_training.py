"""Learn the templates and the scatter of the physical estimator from training specimens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline

from napari_polarmap.core.directions import VECTORS_YX
from napari_polarmap.core.odd_part import (
    CONVERGENCE_MRAD,
    CONVERGENCE_SCALE_MRAD,
    N_PARAMETERS,
    TILT_SCALE_MRAD,
    even_terms,
    fold,
    normalised,
    odd_terms,
)
from napari_polarmap.pipeline.augmentation import Augmentation, blur, to_grid
from napari_polarmap.pipeline.training_data import NONE, TrainingData

Array = NDArray[np.float64]

_SPLINES: Final = 12
_DEGREE: Final = 3
_FLOOR: Final = 0.05
_CHUNK: Final = 512


@dataclass(frozen=True, kw_only=True)
class TemplateOptions:
    """Sizes of the model; chosen on validation specimens.

    Attributes
    ----------
    odd_modes, even_modes, monitors : int
        Modes kept of each part, and odd modes beyond them that tell the noise.
    copies : int
        Times each training pattern is used, each with other errors of the calibration.
    step_nm, width_nm : float
        Distance of the thicknesses, and width over which the scatter is averaged.
    ridge : float
    odd_widening, even_widening : float
        Factors on the covariance of the scatter, as it is not quite Gaussian and was
        learnt from the specimens that the templates were fitted to.
    """

    odd_modes: int = 96
    even_modes: int = 24
    monitors: int = 128
    copies: int = 2
    step_nm: float = 1.25
    width_nm: float = 4.0
    ridge: float = 2e-5
    odd_widening: float = 1.7
    even_widening: float = 2.0


def fit_templates(
    data: TrainingData,
    rows: NDArray[np.int64],
    augmentation: Augmentation,
    options: TemplateOptions,
    *,
    grid_mrad: float,
    seed: int,
) -> dict[str, NDArray[Any]]:
    """Return the arrays of `core.estimator.PhysicalModel`.

    Parameters
    ----------
    data : TrainingData
    rows : ndarray of int
        Training rows only.
    augmentation : Augmentation
        Ranges of blur and of what is left of shift, scale and rotation; no counting noise.
    options : TemplateOptions
    grid_mrad : float
    seed : int
    """
    rng = np.random.default_rng(seed)
    row = np.tile(rows, options.copies)
    odd, even, offset = _parts(data, row, augmentation, grid_mrad, rng)
    mean = even.mean(axis=0)
    weight = 1 / np.sqrt(mean + _FLOOR * mean.max())
    odd, even = 2 * odd * weight, 2 * (even - mean) * weight
    modes = _principal(odd.reshape(-1, odd.shape[-1]), options.odd_modes + options.monitors)
    even_modes = _principal(even, options.even_modes)
    z_odd, z_even = odd @ modes.T, even @ even_modes.T

    thickness = data.thickness_nm[row]
    convergence = (data.convergence_mrad[row] - CONVERGENCE_MRAD) / CONVERGENCE_SCALE_MRAD
    parameters = _parameters(data, row, offset)
    terms = odd_terms(parameters, convergence)
    low, high = float(thickness.min()), float(thickness.max())
    nodes = np.linspace(low, high, max(8, round((high - low) / options.step_nm) + 1))
    splines = _splines(thickness, low, high)
    at_nodes = _splines(nodes, low, high)
    count = options.odd_modes
    table, odd_rest = _regress(
        np.concatenate([terms[:, 0], terms[:, 1]]),
        np.concatenate([splines, splines]),
        np.concatenate([z_odd[:, 0], z_odd[:, 1]]),
        at_nodes,
        options.ridge,
    )
    tilt_square = (parameters[:, :2] ** 2).sum(axis=1)
    even_table, even_rest = _regress(even_terms(convergence, tilt_square), splines, z_even, at_nodes, options.ridge)
    both = np.concatenate([thickness, thickness])
    variance, axes = _scatter(odd_rest[:, :count], both, nodes, options.width_nm)
    even_variance, even_axes = _scatter(even_rest, thickness, nodes, options.width_nm)
    arrays = {
        "weight": weight,
        "mean": mean,
        "odd_modes": modes[:count],
        "even_modes": even_modes,
        "monitor_modes": modes[count:],
        "monitor_variance": (odd_rest[:, count:] ** 2).mean(axis=0),
        "monitor_share": _kept_noise(modes[count:], mean, weight),
        "kept": _kept_noise(modes[:count], mean, weight).mean(keepdims=True),
        "thickness_nm": nodes,
        "odd_terms": table[..., :count],
        "odd_variance": options.odd_widening * variance,
        "odd_axes": axes,
        "even_terms": even_table,
        "even_variance": options.even_widening * even_variance,
        "even_axes": even_axes,
    }
    return {key: _stored(key, value) for key, value in arrays.items()}


def _stored(key: str, array: Array) -> NDArray[Any]:
    return array.astype(np.float16 if key.endswith(("modes", "axes")) else np.float32)


def _parts(
    data: TrainingData, row: NDArray[np.int64], augmentation: Augmentation, grid_mrad: float, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    """Return odd and symmetric parts with drawn errors of the calibration, and the offsets drawn."""
    odd, even, offsets = [], [], []
    for first in range(0, len(row), _CHUNK):
        part = row[first : first + _CHUNK]
        n = len(part)
        exact = np.maximum(data.pooled[part].astype(np.float32), 0)
        offset = rng.uniform(augmentation.shift_px.low, augmentation.shift_px.high, (n, 2))
        grid = to_grid(
            blur(exact, rng.uniform(augmentation.blur_px.low, augmentation.blur_px.high, n)),
            data.mrad_per_px[part] * rng.uniform(augmentation.scale.low, augmentation.scale.high, n),
            grid_mrad=grid_mrad,
            shift_px=offset,
            rotation_deg=rng.uniform(augmentation.rotation_deg.low, augmentation.rotation_deg.high, n),
        ).numpy()
        parts = fold(normalised(grid))
        odd.append(parts[0])
        even.append(parts[1])
        offsets.append(offset)
    return np.concatenate(odd), np.concatenate(even), np.concatenate(offsets)


def _parameters(data: TrainingData, row: NDArray[np.int64], offset: Array) -> Array:
    """Return tilt, offset, axis-like and diagonal polarization, shape (n, 8)."""
    label = data.label[row]
    polar = np.where(label < NONE, data.amplitude[row], 0.0)[:, None] * VECTORS_YX[np.minimum(label, NONE - 1)]
    diagonal = (label % 2 == 1)[:, None]
    out = np.empty((len(row), N_PARAMETERS))
    out[:, :2] = data.tilt_mrad[row] / TILT_SCALE_MRAD
    out[:, 2:4] = offset
    out[:, 4:6] = np.where(diagonal, 0, polar)
    out[:, 6:] = np.where(diagonal, np.sqrt(2) * polar, 0)
    return out


def _kept_noise(modes: Array, mean: Array, weight: Array) -> Array:
    """Return the variance of each mode's coefficient per counting noise 1 / electrons.

    Half-way between none and all of what bilinear interpolation takes away at most,
    where every pixel is the mean of four.
    """
    half = round(np.sqrt(modes.shape[1]))
    scaled = (modes * weight).reshape(-1, half, half)
    # Odd across columns, even across rows, so that the mean of four knows what lies beyond the axes.
    full = np.concatenate([-scaled[:, :, ::-1], scaled], axis=2)
    full = np.concatenate([full[:, ::-1], full], axis=1)
    smooth = (full + np.roll(full, 1, axis=1)) / 2
    smooth = (smooth + np.roll(smooth, 1, axis=2)) / 2
    expected = np.concatenate([mean.reshape(half, half)[:, ::-1], mean.reshape(half, half)], axis=1)
    expected = np.concatenate([expected[::-1], expected])
    kept: Array = ((full**2 + smooth**2) / 2 * expected).sum(axis=(1, 2)) / 4
    return kept


def _principal(samples: Array, count: int) -> Array:
    """Return the strongest principal axes as rows."""
    _, vectors = np.linalg.eigh(samples.T @ samples)
    return vectors[:, ::-1][:, :count].T


def _splines(thickness: Array, low: float, high: float) -> Array:
    inner = np.linspace(low, high, _SPLINES - _DEGREE + 1)
    knots = np.concatenate([[low] * _DEGREE, inner, [high] * _DEGREE])
    return np.asarray(BSpline.design_matrix(np.clip(thickness, low, high), knots, _DEGREE).toarray())


def _regress(terms: Array, splines: Array, values: Array, at_nodes: Array, ridge: float) -> tuple[Array, Array]:
    """Fit ``values = terms x splines`` by ridge regression; return coefficients at the nodes and what is left."""
    design = (terms[:, :, None] * splines[:, None]).reshape(len(terms), -1)
    scale = design.std(axis=0) + 1e-9
    scaled = design / scale
    gram = scaled.T @ scaled + ridge * len(scaled) * np.eye(scaled.shape[1])
    coefficients = np.linalg.solve(gram, scaled.T @ values) / scale[:, None]
    table = coefficients.reshape(terms.shape[1], splines.shape[1], -1)
    return np.einsum("js,fsk->jfk", at_nodes, table), values - design @ coefficients


def _scatter(rest: Array, thickness: Array, nodes: Array, width_nm: float) -> tuple[Array, Array]:
    """Return eigenvalues and eigenvectors of the covariance of residuals around each thickness."""
    variance, axes = [], []
    for node in nodes:
        weight = np.exp(-0.5 * ((thickness - node) / width_nm) ** 2)
        covariance = (rest * (weight / weight.sum())[:, None]).T @ rest
        values, vectors = np.linalg.eigh(covariance)
        variance.append(np.maximum(values, 1e-9))
        axes.append(vectors)
    return np.stack(variance), np.stack(axes)
