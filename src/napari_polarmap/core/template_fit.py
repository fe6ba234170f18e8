"""Templates and scatter of the physical estimator, and their fit to patterns at each thickness."""

from __future__ import annotations

from dataclasses import dataclass
from threading import local
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.odd_part import N_PARAMETERS, even_terms, fold, normalised, odd_terms

Array = NDArray[np.float64]

PRIOR_SD: Final = np.array([0.6, 0.6, 0.3, 0.3, 0.6, 0.6, 0.6, 0.6])
"""Of the parameters of `core.odd_part.odd_terms`, around 0."""
MOST_ELECTRONS: Final = 1e9
_STEPS: Final = 2
_PRUNE: Final = 15.0
"""Thicknesses whose symmetric part is this much less likely (log) than the best are not tried."""
_CONVERGENCE_SD: Final = 0.6
_TILT_SQUARE: Final = (0.35, 0.3)
_MORE_NOISE: Final = 3.0
_LOG_OF_ZERO: Final = -1e30
_REMEMBERED: Final = 128
"""Largest number of patterns whose fit a thread remembers."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PhysicalModel:
    """Templates and scatter over thickness, learnt from training specimens.

    Attributes
    ----------
    weight, mean : ndarray, shape (quadrant,)
        Pixel weights (one over the expected noise) and mean symmetric part.
    odd_modes : ndarray, shape (modes, quadrant)
    even_modes : ndarray, shape (even modes, quadrant)
    monitor_modes : ndarray, shape (monitors, quadrant)
        Odd modes that carry nearly no signal; they tell the counting noise.
    monitor_variance : ndarray, shape (monitors,)
        Their variance without counting noise.
    monitor_share : ndarray, shape (monitors,)
        How much of the counting noise of a pattern brought to the grid they keep, as
        interpolation takes some of it away.
    kept : ndarray, shape (1,)
        The same for `odd_modes`, in the mean.
    thickness_nm : ndarray, shape (t,)
    odd_terms : ndarray, shape (t, terms, modes)
        Coefficients of `core.odd_part.odd_terms`.
    odd_variance, odd_axes : ndarray, shapes (t, modes) and (t, modes, modes)
        Eigenvalues and eigenvectors (columns) of the scatter between specimens.
    even_terms, even_variance, even_axes : ndarray
        The same for the symmetric part.
    """

    weight: Array
    mean: Array
    odd_modes: Array
    even_modes: Array
    monitor_modes: Array
    monitor_variance: Array
    monitor_share: Array
    kept: Array
    thickness_nm: Array
    odd_terms: Array
    odd_variance: Array
    odd_axes: Array
    even_terms: Array
    even_variance: Array
    even_axes: Array


@dataclass(frozen=True, eq=False)
class Fit:
    """Sufficient statistics of the linearised odd part at every thickness.

    `base` is the log-likelihood with the nuisances integrated out and no polarization;
    ``information @ p = score`` would give the four polarization parameters.
    """

    base: Array  # (n, t)
    score: Array  # (n, t, 4)
    information: Array  # (n, t, 4, 4)
    gram: Array  # (n, t, 8, 8)
    counted: Array  # (n, t, 8, 8) the part of the scatter of `rhs` that is counting noise
    rhs: Array  # (n, t, 8)
    square: Array  # (n, t)


def noise_variance(model: PhysicalModel, patterns: NDArray[np.floating]) -> Array:
    """Tell the counting noise of patterns from modes that carry nearly no signal.

    Returns
    -------
    variance : ndarray, shape (n,)
        Of a mode's coefficient; about one over the electrons counted.
    """
    odd, _ = fold(normalised(patterns))
    monitor = (2 * odd * model.weight) @ model.monitor_modes.T
    excess, share = (monitor**2).mean(axis=1) - model.monitor_variance, model.monitor_share
    variance = np.full(len(patterns), 1 / MOST_ELECTRONS)
    for _ in range(8):
        precision = share / (model.monitor_variance + share * variance[:, None]) ** 2
        variance = np.maximum((precision * excess).sum(axis=1) / (precision @ share), 1 / MOST_ELECTRONS)
    return variance


def counting_variance(model: PhysicalModel, patterns: NDArray[np.floating], electrons: Array | None) -> Array:
    """Return one over the electrons counted, or `noise_variance` where these are not known or cannot be.

    Resampling halves or doubles the noise that a pattern seems to have; where it shows more than three
    times the noise of its counts, these are not electrons.
    """
    told = noise_variance(model, patterns)
    if electrons is None:
        return told
    return np.where(electrons * told < _MORE_NOISE, 1 / electrons, told)


class _Last(local):
    """What a thread fitted last: model, patterns, variance, and the fit."""

    asked: tuple[PhysicalModel, NDArray[np.floating], Array] | None = None
    fit: Any = None


_LAST: Final = _Last()


def fit_thicknesses(model: PhysicalModel, patterns: NDArray[np.floating], variance: Array) -> tuple[Fit, Array, Array]:
    """Fit the symmetric part, then the odd part at the thicknesses it allows.

    A map asks for the directions of some windows, then for their parameters. The fit is the same, and a thread that has
    just made it is given it again; it must not be changed.
    """
    last = _LAST.asked
    if last is not None and last[0] is model and all(map(np.array_equal, last[1:], (patterns, variance))):
        remembered: tuple[Fit, Array, Array] = _LAST.fit
        return remembered
    fit = _fit_thicknesses(model, patterns, variance)
    few = len(patterns) <= _REMEMBERED
    _LAST.asked, _LAST.fit = ((model, patterns.copy(), np.array(variance)), fit) if few else (None, None)
    return fit


def _fit_thicknesses(model: PhysicalModel, patterns: NDArray[np.floating], variance: Array) -> tuple[Fit, Array, Array]:
    odd, even = fold(normalised(patterns))
    variance = variance * model.kept
    z_even = (2 * (even - model.mean) * model.weight) @ model.even_modes.T
    likelihood, convergence, misfit = _fit_even(model, z_even, variance)
    z_odd = (2 * odd * model.weight) @ model.odd_modes.T
    n, t = likelihood.shape
    fit = Fit(
        np.full((n, t), _LOG_OF_ZERO),
        np.zeros((n, t, 4)),
        np.tile(np.eye(4), (n, t, 1, 1)),
        np.tile(np.eye(8), (n, t, 1, 1)),
        np.zeros((n, t, 8, 8)),
        np.zeros((n, t, 8)),
        np.zeros((n, t)),
    )
    allowed = likelihood > likelihood.max(axis=1, keepdims=True) - _PRUNE
    start = np.zeros((n, N_PARAMETERS))
    for j in range(t):
        rows = np.flatnonzero(allowed[:, j])
        if len(rows):
            start[rows] = _fit_odd(model, j, z_odd[rows], convergence[rows, j], variance[rows], start[rows], fit, rows)
    return fit, likelihood, misfit


def _fit_even(model: PhysicalModel, z: Array, variance: Array) -> tuple[Array, Array, Array]:
    """Return log-likelihood, convergence and misfit at every thickness, each of shape (n, t)."""
    shape = (len(z), len(model.thickness_nm))
    likelihood, convergence, misfit = np.empty(shape), np.empty(shape), np.empty(shape)
    prior = np.diag([_CONVERGENCE_SD**-2, _TILT_SQUARE[1] ** -2])
    middle = np.array([0.0, _TILT_SQUARE[0]])
    for j in range(shape[1]):
        table, turned = model.even_terms[j] @ model.even_axes[j], z @ model.even_axes[j]
        precision = 1 / (model.even_variance[j] + variance[:, None])
        at = np.tile(middle, (len(z), 1))
        for _ in range(4):
            c, r = at.T
            zero, one = np.zeros_like(c), np.ones_like(c)
            slopes = np.stack([[zero, one, 2 * c, zero, r, zero], [zero, zero, zero, one, c, 2 * r]]).transpose(2, 0, 1)
            slope = (slopes.reshape(-1, len(table)) @ table).reshape(len(z), 2, -1)
            rest = turned - even_terms(c, r) @ table
            weighted = slope * precision[:, None]
            gram = weighted @ slope.transpose(0, 2, 1) + prior
            step = (weighted @ rest[..., None])[..., 0] - (at - middle) @ prior
            at = np.clip(at + np.linalg.solve(gram, step[..., None])[..., 0], (-1.5, 0.0), (1.5, 1.5))
        rest = turned - even_terms(*at.T) @ table
        square = (precision * rest**2).sum(axis=1)
        penalty = np.einsum("ni,ij,nj->n", at - middle, prior, at - middle)
        likelihood[:, j] = -0.5 * (square + penalty - np.log(precision).sum(axis=1) + np.linalg.slogdet(gram)[1])
        convergence[:, j], misfit[:, j] = at[:, 0], square / z.shape[1]
    return likelihood, convergence, misfit


def _fit_odd(
    model: PhysicalModel,
    j: int,
    z: Array,
    convergence: Array,
    variance: Array,
    start: Array,
    fit: Fit,
    rows: NDArray[np.int64],
) -> Array:
    """Fit the odd part at thickness `j`, write the statistics into `fit`, return the parameters."""
    table, turned = model.odd_terms[j] @ model.odd_axes[j], z @ model.odd_axes[j]
    scatter = np.concatenate([model.odd_variance[j], model.odd_variance[j]])
    precision = 1 / (scatter + variance[:, None])
    prior = np.diag(PRIOR_SD**-2.0)
    at, step = start, 1e-3
    moves = step * np.eye(N_PARAMETERS)
    for _ in range(_STEPS):
        here = at[:, None] + np.concatenate([moves, -moves])
        terms = odd_terms(here, np.broadcast_to(convergence[:, None], here.shape[:2]))
        slope = (terms[:, :N_PARAMETERS] - terms[:, N_PARAMETERS:]).reshape(-1, len(table)) @ (table / (2 * step))
        slope = slope.reshape(len(z), N_PARAMETERS, -1)
        fitted = (odd_terms(at, convergence) @ table).reshape(len(z), -1)
        # What the data would be if the model were linear around `at`.
        data = turned.reshape(len(z), -1) - fitted + (at[:, None] @ slope)[:, 0]
        weighted = slope * precision[:, None]
        gram = weighted @ slope.transpose(0, 2, 1)
        rhs = (weighted @ data[..., None])[..., 0]
        at = np.linalg.solve(gram + prior, rhs[..., None])[..., 0]
        at = np.asarray(np.clip(at, -1.75, 1.75), np.float64)
    square = (precision * data**2).sum(axis=1)
    counted = (weighted * variance[:, None, None]) @ weighted.transpose(0, 2, 1)
    nuisance = gram[:, :4, :4] + prior[:4, :4]
    solved = np.linalg.solve(nuisance, np.concatenate([rhs[:, :4, None], gram[:, :4, 4:]], axis=2))
    reduced = (gram[:, 4:, :4] @ solved).transpose(0, 2, 1)
    base = (rhs[:, :4] * solved[:, :, 0]).sum(axis=1) - square + np.log(precision).sum(axis=1)
    fit.base[rows, j] = 0.5 * (base - np.linalg.slogdet(nuisance)[1])
    fit.score[rows, j] = rhs[:, 4:] - reduced[:, 0]
    fit.information[rows, j] = gram[:, 4:, 4:] - reduced[:, 1:]
    fit.gram[rows, j], fit.counted[rows, j], fit.rhs[rows, j], fit.square[rows, j] = gram, counted, rhs, square
    return at
