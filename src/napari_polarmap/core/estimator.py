"""The physical estimator: polarization, tilt and thickness of pooled patterns, with standard errors.

The odd part of a pattern is taken as polarization, tilt and disk offset times templates
that depend on the thickness, plus the scatter between specimens (site disorder, phonons,
sampling, all with a covariance learnt from training specimens), plus counting noise. The
symmetric part tells thickness and convergence. At each thickness of a grid the parameters
are fitted by weighted least squares (Gauss-Newton, as tilt acts beyond first order), and
the thicknesses are weighed by their likelihood. The polarization stated is the mean over
all angles by their probability, where beforehand half of the probability lies on the eight
easy directions of the crystal, and an amplitude of 1 +- 0.25 is taken: it leans towards
these directions where the data leave room. The amplitude at each angle is that of the data.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.directions import ANGLES_DEG
from napari_polarmap.core.odd_part import TILT_SCALE_MRAD, polarization_axes
from napari_polarmap.core.template_fit import PRIOR_SD, PhysicalModel, fit_thicknesses, noise_variance

Array = NDArray[np.float64]

_COARSE_DEG: Final = np.arange(0.0, 360.0, 15.0)
_FINE_DEG: Final = np.arange(0.0, 360.0, 3.0)
_EASY: Final = 0.5
"""Probability beforehand that P lies along one of the eight easy directions rather than anywhere."""
_PRIOR: Final = (1 - _EASY) / len(_FINE_DEG) + _EASY / len(ANGLES_DEG) * np.isin(_FINE_DEG, ANGLES_DEG)
_AMPLITUDE: Final = {"amplitude": 1.0, "spread": 0.25}
"""Beforehand, mean and standard deviation, where directions are weighed; 0.6 to 1.4 in the training set."""
_FAR: Final = 30.0
_ANY_ANGLE_DEG: Final = 104.0
"""Standard deviation of an angle of which nothing is known."""


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
    along, stiffness = _project(fit.score, fit.information, polarization_axes(ANGLES_DEG))
    gain = _gain(along, stiffness, **_AMPLITUDE)
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
    score, stiffness = _project(fit.score, fit.information, polarization_axes(_COARSE_DEG))
    gain = np.maximum(_gain(score, stiffness, amplitude=0.0, spread=1.0), 0)
    likelihood = fit.base + even + gain.max(axis=-1)
    at = np.arange(len(likelihood)), likelihood.argmax(axis=1)
    gram, rhs = fit.gram[at], fit.rhs[at]
    inverse = np.linalg.inv(gram[:, :4, :4] + np.diag(PRIOR_SD[:4] ** -2.0))
    # Score of the polarization, freed of what tilt and offset explain.
    free = np.concatenate([-gram[:, 4:, :4] @ inverse, np.tile(np.eye(4), (len(rhs), 1, 1))], axis=2)
    counted = free @ fit.counted[at] @ free.transpose(0, 2, 1)
    polar, vector, vector_counted, vector_posterior = _polarization(fit.score[at], fit.information[at], counted)
    nuisance = (inverse @ (rhs[:, :4] - (gram[:, :4, 4:] @ polar[..., None])[..., 0])[..., None])[..., 0]
    nuisance_counted = inverse @ fit.counted[at][:, :4, :4] @ inverse

    thickness, thickness_error = _peak(likelihood, model.thickness_nm)
    amplitude = np.hypot(*vector.T)
    along = vector / np.maximum(amplitude, 1e-12)[:, None]
    across = np.stack([-along[:, 1], along[:, 0]], axis=-1)

    def width(covariance: Array, direction: Array) -> Array:
        square = (direction[:, None] @ covariance @ direction[..., None])[:, 0, 0]
        return np.asarray(np.sqrt(np.maximum(square, 0)), np.float64)

    def turn_deg(covariance: Array) -> Array:
        turn = np.rad2deg(width(covariance, across) / np.maximum(amplitude, 1e-12))
        return np.asarray(np.minimum(turn, _ANY_ANGLE_DEG), np.float64)

    def both(covariance: Array) -> Array:
        return np.asarray(np.sqrt(np.diagonal(covariance, axis1=1, axis2=2)[:, :2]), np.float64)

    rest = fit.square[at] - np.einsum("ni,ni->n", rhs, np.concatenate([nuisance, polar], axis=1))
    odd_misfit = rest / (2 * model.odd_modes.shape[0])
    values = {
        "vector": vector,
        "vector_error": both(vector_counted),
        "vector_spread": both(vector_posterior),
        "amplitude": amplitude,
        "amplitude_error": width(vector_counted, along),
        "amplitude_spread": width(vector_posterior, along),
        "angle_deg": np.rad2deg(np.arctan2(-vector[:, 0], vector[:, 1])) % 360,
        "angle_error_deg": turn_deg(vector_counted),
        "angle_spread_deg": turn_deg(vector_posterior),
        "tilt_mrad": TILT_SCALE_MRAD * nuisance[:, :2],
        "tilt_error_mrad": TILT_SCALE_MRAD * both(nuisance_counted),
        "tilt_spread_mrad": TILT_SCALE_MRAD * both(inverse),
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


def _polarization(score: Array, information: Array, counted: Array) -> tuple[Array, Array, Array, Array]:
    """Return the mean polarization over all angles, each weighed by its probability.

    Parameters
    ----------
    score, information : ndarray, shapes (n, 4) and (n, 4, 4)
        Of the four polarization parameters.
    counted : ndarray, shape (n, 4, 4)
        Covariance of `score` from counting.

    Returns
    -------
    polar : ndarray, shape (n, 4)
    vector : ndarray, shape (n, 2)
    counted, posterior : ndarray, shape (n, 2, 2)
        Covariance of `vector` from counting, to first order, and in all.
    """
    axes = polarization_axes(_FINE_DEG)
    unit = np.stack([-np.sin(np.deg2rad(_FINE_DEG)), np.cos(np.deg2rad(_FINE_DEG))], axis=-1)
    along, stiffness = _project(score, information, axes)
    amplitude = np.maximum(along, 0) / stiffness
    precision = _AMPLITUDE["spread"] ** -2
    expected = (along + precision * _AMPLITUDE["amplitude"]) / (stiffness + precision)
    gain = _gain(along, stiffness, **_AMPLITUDE) + np.log(_PRIOR)
    weight = np.exp(gain - gain.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    polar, vector = (weight * amplitude) @ axes, (weight * amplitude) @ unit
    off = amplitude[..., None] * unit - vector[:, None]
    # A change of the score changes the amplitude at every angle, and the weights.
    change = (weight * (amplitude > 0) / stiffness)[..., None] * unit + (weight * expected)[..., None] * off
    slope = change.transpose(0, 2, 1) @ axes
    posterior = (weight[..., None] * off).transpose(0, 2, 1) @ off
    posterior += ((weight / stiffness)[..., None] * unit).transpose(0, 2, 1) @ unit
    return polar, vector, slope @ counted @ slope.transpose(0, 2, 1), posterior


def _project(score: Array, information: Array, axes: Array) -> tuple[Array, Array]:
    """Return score and information of the amplitude along each axis, both of shape (..., axes)."""
    return score @ axes.T, ((axes @ information) * axes).sum(axis=-1)


def _gain(along: Array, stiffness: Array, *, amplitude: float, spread: float) -> Array:
    """Return how much each polarization adds to `Fit.base`, its amplitude integrated out; shape (..., axes)."""
    prior = spread**-2
    total = stiffness + prior
    h = along + prior * amplitude
    gain: Array = 0.5 * (h**2 / total - np.log(total / prior) - prior * amplitude**2)
    return gain


def _log_sum(values: Array, axis: int) -> Array:
    top = values.max(axis=axis, keepdims=True)
    total: Array = np.log(np.exp(values - top).sum(axis=axis)) + top.squeeze(axis)
    return total
