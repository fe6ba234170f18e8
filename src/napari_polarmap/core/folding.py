"""A map seen as a repetition: its mean unit cell, its lattice peaks, and how much of it repeats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.lattice import Lattice
from napari_polarmap.core.waves import half_orders, wave_sums

_ORDERS: Final = 3
_NYQUIST: Final = 0.5
_TURNS: Final = 12


@dataclass(frozen=True, kw_only=True)
class Spectrum:
    """Where in Fourier space a map has its power.

    Attributes
    ----------
    power : ndarray of float64, shape (y, x)
        Share of the total power in each point of the windowed spectrum; zero frequency in the middle.
    frequency : (ndarray, ndarray)
        Of its rows and columns, in periods per scan position.
    peaks : ndarray of float64, shape (n, 2)
        Lattice frequencies ``(y, x)`` that the scan resolves, without zero; up to three orders.
    periodic : float
        Share of the variance that repeats with the lattice, 0 to 1.
    by_chance : float
        The same for a lattice turned by any angle against the map: what a pattern with the same
        spectrum, but no relation to the lattice, shows.
    by_chance_std : float
        Standard deviation over the angles.
    uncorrelated : float
        What errors at random places would show: waves fitted over positions minus one.
    """

    power: NDArray[np.float64]
    frequency: tuple[NDArray[np.float64], NDArray[np.float64]]
    peaks: NDArray[np.float64]
    periodic: float
    by_chance: float
    by_chance_std: float
    uncorrelated: float


def fold(
    values: NDArray[np.floating], lattice: Lattice, bins: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the mean of a map at each place inside the unit cell.

    Parameters
    ----------
    values : ndarray, shape (scan_y, scan_x)
        NaN is left out.
    lattice : Lattice
    bins : int, optional
        Along each edge of the cell; as many as scan positions in a period, at most 32, when not given.

    Returns
    -------
    mean : ndarray of float64, shape (bins, bins)
        Rows along the second lattice vector (downwards), columns along the first; NaN where nothing falls.
    count : ndarray of int64, same shape

    Raises
    ------
    ValueError
        If there is no lattice, or the map is not two-dimensional.

    Examples
    --------
    >>> lattice = Lattice(vectors_px=np.array([[0.0, 2.0], [2.0, 0.0]]))
    >>> fold(np.array([[1.0, 2.0, 1.0, 4.0], [5.0, 6.0, 5.0, 6.0]]), lattice)[0].tolist()
    [[1.0, 3.0], [5.0, 6.0]]
    """
    if not lattice.known:
        raise ValueError("the lattice is not known; nothing can be folded into its cell")
    if values.ndim != 2:
        raise ValueError(f"the map has shape {values.shape}; it must be (scan_y, scan_x)")
    n = bins or int(np.clip(np.floor(lattice.period_px + 1e-6), 2, 32))
    phase = lattice.phase(values.shape)
    column, row = (np.floor(phase[..., axis] * n + 1e-9).astype(np.int64) % n for axis in (0, 1))
    seen = np.isfinite(values)
    place = (row * n + column)[seen]
    count = np.bincount(place, minlength=n * n)
    total = np.bincount(place, values[seen], minlength=n * n)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean.reshape(n, n), count.reshape(n, n).astype(np.int64)


def spectrum(values: NDArray[np.floating], lattice: Lattice | None) -> Spectrum:
    """Return the Fourier spectrum of a map and the share of its variance that repeats with the lattice.

    Parameters
    ----------
    values : ndarray, shape (scan_y, scan_x)
        NaN is left out.
    lattice : Lattice or None

    Notes
    -----
    The periodic share is the coefficient of determination of a least-squares fit of the waves of the lattice
    (up to the third order, as far as the scan resolves them) to the map without its mean. Errors at random
    places give ``waves / (positions - 1)``. Errors that come in patches, as pooled predictions make them, give
    more; what they give is seen in fits of the same lattice turned by other angles.
    """
    seen = np.isfinite(values)
    centred = np.where(seen, values - (values[seen].mean() if seen.any() else 0.0), 0.0).astype(np.float64)
    window = np.outer(*(np.hanning(n + 2)[1:-1] for n in values.shape))
    power = np.abs(np.fft.fftshift(np.fft.fft2(centred * window))) ** 2
    frequency = tuple(np.fft.fftshift(np.fft.fftfreq(n)) for n in values.shape)
    known = lattice is not None and lattice.known
    inverse = np.linalg.inv(lattice.vectors_px) if lattice is not None and known else np.zeros((2, 2))
    reciprocal = np.asarray(inverse.T, dtype=np.float64)
    half = _waves(reciprocal) if known else np.zeros((0, 2))
    variance = float((centred**2).sum())
    turned = [_share(centred, seen, _waves(reciprocal @ _turn(angle))) for angle in _angles()] if known else [np.nan]
    return Spectrum(
        power=power / max(float(power.sum()), 1e-300),
        frequency=(frequency[0], frequency[1]),
        peaks=np.concatenate([half, -half]),
        periodic=_share(centred, seen, half) if variance > 0 and known else float("nan"),
        by_chance=float(np.mean(turned)),
        by_chance_std=float(np.std(turned)),
        uncorrelated=2 * len(half) / max(int(seen.sum()) - 1, 1) if known else float("nan"),
    )


def _waves(reciprocal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return one of each pair of lattice frequencies that the scan resolves."""
    waves = half_orders(_ORDERS) @ reciprocal
    return np.asarray(waves[(np.abs(waves) < _NYQUIST).all(axis=1)], dtype=np.float64)


def _angles() -> NDArray[np.float64]:
    """Angles that bring no square lattice near itself."""
    return np.deg2rad(np.linspace(12, 78, _TURNS))


def _turn(angle: float) -> NDArray[np.float64]:
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def _share(centred: NDArray[np.float64], seen: NDArray[np.bool_], waves: NDArray[np.float64]) -> float:
    """Return the share of the variance that waves (cosine and sine each) explain together."""
    variance = float((centred**2).sum())
    if variance == 0 or not len(waves):
        return float("nan")
    mask = seen.astype(np.float64)
    answer = wave_sums(centred, waves)
    minus = (waves[:, None] - waves[None]).reshape(-1, 2)
    plus = (waves[:, None] + waves[None]).reshape(-1, 2)
    n = len(waves)
    if seen.all():
        down, up = (_box(centred.shape, each).reshape(n, n) for each in (minus, plus))
    else:
        down, up = (wave_sums(mask, each).reshape(n, n) for each in (minus, plus))
    # cos cos, cos sin, sin sin as sums over positions
    gram = 0.5 * np.block([[(down + up).real, (up - down).imag], [(up - down).imag.T, (down - up).real]])
    right = np.concatenate([answer.real, answer.imag])
    gram[np.diag_indices_from(gram)] += 1e-9 * mask.sum()
    return float(np.clip(right @ np.linalg.solve(gram, right) / variance, 0, 1))


def _box(shape: tuple[int, ...], waves: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Return the same sums for an image of ones."""
    sums = [np.exp(2j * np.pi * np.outer(np.arange(n), waves[:, axis])).sum(axis=0) for axis, n in enumerate(shape)]
    return np.asarray(sums[0] * sums[1], dtype=np.complex128)
