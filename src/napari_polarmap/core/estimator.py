"""The physical estimator: polarization, tilt and thickness of pooled patterns, with standard errors.

The odd part of a pattern is taken as polarization, tilt and disk offset times templates
that depend on the thickness, plus the scatter between specimens (site disorder, phonons,
sampling, all with a covariance learnt from training specimens), plus counting noise. The
symmetric part tells thickness and convergence. At each thickness of a grid the parameters
are fitted by weighted least squares (Gauss-Newton, as tilt acts beyond first order), and
the thicknesses are weighed by their likelihood.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.directions import ANGLES_DEG
from napari_polarmap.core.odd_part import N_PARAMETERS, TILT_SCALE_MRAD, polarization_axes
from napari_polarmap.core.template_fit import PRIOR_SD, Fit, PhysicalModel, fit_thicknesses, noise_variance

Array = NDArray[np.float64]

_COARSE_DEG: Final = np.arange(0.0, 360.0, 15.0)
_FINE_DEG: Final = np.arange(0.0, 360.0, 1.0)
_FAR: Final = 30.0


@dataclass(frozen=True, eq=False, kw_only=True)
class Estimate:
    """What the physical estimator says of `n` pooled patterns.

    Vectors are ``(y, x)`` in the frame of the patterns (crystal axes along the array
    axes), `y` down; angles are counter-clockwise on the screen. Errors are standard
    errors (one sigma). ``*_error`` counts electrons only: what repeating the measurement
    at the same place would scatter by. ``*_spread`` adds the scatter between specimens of
    the same polarization. Everything is NaN for a pattern without counts.

    Attributes
    ----------
    vector : ndarray, shape (n, 2)
        Polarization; length 1 is the nominal displacement of the training set.
    vector_error, vector_spread : ndarray, shape (n, 2)
    amplitude, amplitude_error, amplitude_spread : ndarray, shape (n,)
        Length of `vector`.
    angle_deg, angle_error_deg, angle_spread_deg : ndarray, shape (n,)
    tilt_mrad, tilt_error_mrad, tilt_spread_mrad : ndarray, shape (n, 2)
    thickness_nm, thickness_error_nm : ndarray, shape (n,)
        The error is the width of the likelihood; it holds counting and scatter.
    misfit : ndarray, shape (n,)
        Mean square of what is left, over what counting and scatter allow: about 1 for a
        pattern like those of the training set, larger where the model does not hold.
    electrons : ndarray, shape (n,)
        Counted electrons that the errors assume.
    """

    vector: Array
    vector_error: Array
    vector_spread: Array
    amplitude: Array
    amplitude_error: Array
    amplitude_spread: Array
    angle_deg: Array
    angle_error_deg: Array
    angle_spread_deg: Array
    tilt_mrad: Array
    tilt_error_mrad: Array
    tilt_spread_mrad: Array
    thickness_nm: Array
    thickness_error_nm: Array
    misfit: Array
    electrons: Array


def class_evidence(model: PhysicalModel, patterns: NDArray[np.floating], variance: Array | None = None) -> Array:
    """Return log-evidence of the eight directions and of no polarization, shape (n, 9).

    Thickness, tilt, offset, convergence and amplitude (1 +- 0.25) are integrated out.
    """
    variance = noise_variance(model, patterns) if variance is None else variance
    fit, even, _ = fit_thicknesses(model, patterns, variance)
    gain = _gain(fit, polarization_axes(ANGLES_DEG), amplitude=1.0, spread=0.25)
    none = np.zeros((*fit.base.shape, 1))
    every = (fit.base + even)[..., None] + np.concatenate([gain, none], axis=-1)
    return _log_sum(every, axis=1)


def estimate_parameters(
    model: PhysicalModel, patterns: NDArray[np.floating], variance: Array | None = None, *, batch: int = 128
) -> Estimate:
    """Fit polarization, tilt and thickness of pooled patterns.

    Parameters
    ----------
    model : PhysicalModel
    patterns : ndarray, shape (n, edge, edge)
        Averages over whole unit cells; direct beam in the middle, crystal axes along the
        array axes. Any positive scale.
    variance : ndarray, shape (n,), optional
        Counting noise as one over the electrons counted; told from the patterns if
        absent.

    Returns
    -------
    Estimate
    """
    variance = noise_variance(model, patterns) if variance is None else np.asarray(variance, np.float64)
    parts = [
        _estimate_batch(model, patterns[i : i + batch], variance[i : i + batch]) for i in range(0, len(patterns), batch)
    ]
    if not parts:
        parts = [_estimate_batch(model, np.zeros((1, *patterns.shape[1:])), np.ones(1))]
        return Estimate(**{f.name: getattr(parts[0], f.name)[:0] for f in fields(Estimate)})
    return Estimate(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Estimate)})


def _estimate_batch(model: PhysicalModel, patterns: NDArray[np.floating], variance: Array) -> Estimate:
    fit, even, even_misfit = fit_thicknesses(model, patterns, variance)
    gain = np.maximum(_gain(fit, polarization_axes(_COARSE_DEG), amplitude=0.0, spread=1.0), 0)
    likelihood = fit.base + even + gain.max(axis=-1)
    best = likelihood.argmax(axis=1)
    at = np.arange(len(best)), best

    # The angle of the largest gain without any prior on the amplitude, then all six together.
    score, information = fit.score[at], fit.information[at]
    ahead = polarization_axes(_FINE_DEG)
    along = ((ahead @ information) * ahead).sum(axis=-1)
    gain = np.maximum(score @ ahead.T, 0) ** 2 / along
    angle = np.deg2rad(_FINE_DEG[gain.argmax(axis=1)] + _vertex(gain))
    axes = polarization_axes(np.rad2deg(angle))
    turning = (polarization_axes(np.rad2deg(angle) + 0.5) - polarization_axes(np.rad2deg(angle) - 0.5)) * 180 / np.pi
    amplitude = np.maximum(np.einsum("ni,ni->n", score, axes), 0) / np.einsum("ni,nij,nj->n", axes, information, axes)
    # Where nothing points anywhere the angle has no error of its own: at least a tenth of the nominal amplitude.
    lever = np.maximum(amplitude, 0.1)[:, None]
    basis = np.zeros((len(best), 6, N_PARAMETERS))
    basis[:, range(4), range(4)] = 1
    basis[:, 4, 4:], basis[:, 5, 4:] = axes, lever * turning
    prior = np.diag(np.concatenate([PRIOR_SD[:4] ** -2.0, [0, 0]]))
    gram = basis @ fit.gram[at] @ basis.transpose(0, 2, 1)
    covariance = np.linalg.inv(gram + prior)
    counted = covariance @ (basis @ fit.counted[at] @ basis.transpose(0, 2, 1)) @ covariance
    polar = np.einsum("n,ni->ni", amplitude, axes)
    nuisance_rhs = fit.rhs[at][:, :4] - np.einsum("nij,nj->ni", fit.gram[at][:, :4, 4:], polar)
    nuisance = np.linalg.solve(fit.gram[at][:, :4, :4] + prior[:4, :4], nuisance_rhs[..., None])[..., 0]

    thickness, thickness_error = _peak(likelihood, model.thickness_nm)
    unit = np.stack([-np.sin(angle), np.cos(angle)], axis=-1)
    across = np.stack([-np.cos(angle), -np.sin(angle)], axis=-1)
    turn = np.stack([unit, lever[..., None].squeeze(-1) * across], axis=1)

    def vector_sd(cov: Array) -> Array:
        return np.asarray(np.sqrt(np.einsum("nki,nkl,nli->ni", turn, cov[:, 4:, 4:], turn)), np.float64)

    rest = fit.square[at] - np.einsum("ni,ni->n", fit.rhs[at], np.concatenate([nuisance, polar], axis=1))
    odd_misfit = rest / (2 * model.odd_modes.shape[0])
    values = {
        "vector": amplitude[:, None] * unit,
        "vector_error": vector_sd(counted),
        "vector_spread": vector_sd(covariance),
        "amplitude": amplitude,
        "amplitude_error": np.sqrt(counted[:, 4, 4]),
        "amplitude_spread": np.sqrt(covariance[:, 4, 4]),
        "angle_deg": np.rad2deg(angle) % 360,
        "angle_error_deg": np.rad2deg(np.sqrt(counted[:, 5, 5])),
        "angle_spread_deg": np.rad2deg(np.sqrt(covariance[:, 5, 5])),
        "tilt_mrad": TILT_SCALE_MRAD * nuisance[:, :2],
        "tilt_error_mrad": TILT_SCALE_MRAD * np.sqrt(np.diagonal(counted, axis1=1, axis2=2)[:, :2]),
        "tilt_spread_mrad": TILT_SCALE_MRAD * np.sqrt(np.diagonal(covariance, axis1=1, axis2=2)[:, :2]),
        "thickness_nm": thickness,
        "thickness_error_nm": thickness_error,
        "misfit": np.maximum(odd_misfit, even_misfit[at]),
        "electrons": 1 / variance,
    }
    dark = ~(patterns.sum(axis=(1, 2)) > 0)
    for value in values.values():
        value[dark] = np.nan
    return Estimate(**values)


def _peak(likelihood: Array, thickness_nm: Array) -> tuple[Array, Array]:
    """Return place and width of the highest peak, by a parabola through three thicknesses."""
    step = np.diff(thickness_nm).mean()
    rows, top = np.arange(len(likelihood)), np.clip(likelihood.argmax(axis=1), 1, len(thickness_nm) - 2)
    # A neighbour that was not tried counts as very unlikely.
    close = np.maximum(likelihood, likelihood.max(axis=1, keepdims=True) - _FAR)
    left, middle, right = (close[rows, top + shift] for shift in (-1, 0, 1))
    bend = np.maximum(2 * middle - left - right, 2 / _FAR)
    shift = np.clip((right - left) / (2 * bend), -1, 1)
    return thickness_nm[top] + step * shift, step / np.sqrt(bend)


def _vertex(gain: Array) -> Array:
    """Return how far the vertex of a parabola lies from the largest of its periodic samples, in samples."""
    rows, top = np.arange(len(gain)), gain.argmax(axis=1)
    left, middle, right = (gain[rows, (top + step) % gain.shape[1]] for step in (-1, 0, 1))
    bend = left - 2 * middle + right
    vertex: Array = np.divide(left - right, 2 * bend, out=np.zeros(len(gain)), where=bend < 0)
    return vertex


def _gain(fit: Fit, axes: Array, *, amplitude: float, spread: float) -> Array:
    """Return how much each polarization adds to `base`, its amplitude integrated out; shape (n, t, axes)."""
    prior = spread**-2
    along = ((axes @ fit.information) * axes).sum(axis=-1) + prior
    h = fit.score @ axes.T + prior * amplitude
    gain: Array = 0.5 * (h**2 / along - np.log(along / prior) - prior * amplitude**2)
    return gain


def _log_sum(values: Array, axis: int) -> Array:
    top = values.max(axis=axis, keepdims=True)
    total: Array = np.log(np.exp(values - top).sum(axis=axis)) + top.squeeze(axis)
    return total
