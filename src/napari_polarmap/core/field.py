"""The field of centres of mass seen at the lattice frequencies of a scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_polarmap.core.lattice import Lattice
from napari_polarmap.core.waves import half_orders, wave_sums

_ORDERS: Final = 4
_NYQUIST: Final = 0.47


@dataclass(frozen=True, kw_only=True)
class FieldWaves:
    """Fourier coefficients of a centre-of-mass field and of the bright-field image.

    Attributes
    ----------
    index : ndarray of int, shape (n, 2)
        Orders ``(h, k)`` along the two lattice vectors, one of each pair of opposite ones; zeros
        where there is no lattice.
    frequency : ndarray of float64, shape (n, 2)
        ``(y, x)`` in periods per scan position.
    field : ndarray of complex128, shape (n, 2)
        Of the field ``(y, x)``.
    image : ndarray of complex128, shape (n,)
        Of the bright-field image.
    noise : float
        Mean power of a component of the field between the waves; 0 where there is no lattice.
    """

    index: NDArray[np.int64]
    frequency: NDArray[np.float64]
    field: NDArray[np.complex128]
    image: NDArray[np.complex128]
    noise: float = 0.0


def field_waves(com_px: NDArray[np.float64], image: NDArray[np.float64], lattice: Lattice) -> FieldWaves:
    """Return the waves that repeat with the lattice, or all waves shorter than a third of the scan.

    Slow changes (descan, bending) are taken away; NaN counts as their mean.

    Parameters
    ----------
    com_px : ndarray, shape (scan_y, scan_x, 2)
    image : ndarray, shape (scan_y, scan_x)
        Counts in the disk.
    lattice : Lattice
        Only a measured one is used.
    """
    maps = np.stack([com_px[..., 0], com_px[..., 1], image])
    shape = maps.shape[1:]
    sigma = max(lattice.period_px, 2.0) if lattice.resolved else min(shape) / 6
    window = np.outer(*(np.hanning(n + 2)[1:-1] for n in shape))
    flat = np.stack([_without_slow(values, sigma) for values in maps]) * window
    if lattice.resolved:
        index, frequency = _lattice_frequencies(lattice)
    else:
        index, frequency = _all_frequencies((shape[0], shape[1]))
    waves = _at(flat, frequency)
    noise = 0.0
    if lattice.resolved:
        between = (half_orders(_ORDERS) + 0.5) @ np.linalg.inv(lattice.vectors_px).T
        between = between[np.abs(between).max(axis=1) < _NYQUIST]
        noise = float(np.median(np.abs(_at(flat[:2], between)) ** 2) / np.log(2)) if len(between) else 0.0
    return FieldWaves(index=index, frequency=frequency, field=waves[:, :2], image=waves[:, 2], noise=noise)


def _at(maps: NDArray[np.float64], frequency: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Return the Fourier coefficients of maps (k, y, x) at any frequencies, shape (n, k)."""
    return np.stack([wave_sums(values, frequency).conj() for values in maps], axis=-1)


def _without_slow(values: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    finite = np.isfinite(values)
    filled = np.where(finite, values, values[finite].mean() if finite.any() else 0.0)
    return np.asarray(filled - ndimage.gaussian_filter(filled, sigma, mode="nearest"), dtype=np.float64)


def _lattice_frequencies(lattice: Lattice) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    index = half_orders(_ORDERS)
    frequency = index @ np.linalg.inv(lattice.vectors_px).T
    kept = np.abs(frequency).max(axis=1) < _NYQUIST
    return index[kept], frequency[kept]


def _all_frequencies(shape: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    y, x = np.meshgrid(*(np.fft.fftfreq(n) for n in shape), indexing="ij")
    kept = ((x > 0) | ((x == 0) & (y > 0))) & (np.hypot(y, x) > 3 / min(shape))
    kept &= np.maximum(np.abs(y), np.abs(x)) < _NYQUIST
    frequency = np.stack([y[kept], x[kept]], axis=-1)
    return np.zeros((len(frequency), 2), np.int64), frequency
