"""After which vectors a scan repeats from one cell to the next, whatever becomes of it farther away."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, optimize

from napari_polarmap.core.cell_frame import Maps
from napari_polarmap.core.kernels import spline_values
from napari_polarmap.core.lattice import ordered, reduced

_REFINED_WITHIN: Final = 0.4
_FIRST_STEP: Final = 0.125
_SCALES: Final = (0.87, 1.0, 1.13)
_SHEARS: Final = tuple(
    np.eye(2) + np.array(shear) / 2
    for shear in ([[0, 1], [0, 0]], [[0, -1], [0, 0]], [[0, 0], [1, 0]], [[0, 0], [-1, 0]])
)
"""A fault that shifts one half of a scan by half a cell makes the sheared lattice fit the whole."""


def refined(
    vectors: NDArray[np.float64], maps: Maps, defined: NDArray[np.bool_], least_gain: float = 0.0
) -> NDArray[np.float64]:
    """Return the lattice vectors near `vectors` after which the maps repeat best over a few cells.

    The vectors that fit a scan as a whole are a compromise where a fault shifts half of it.

    Parameters
    ----------
    vectors : ndarray, shape (2, 2)
    maps : ndarray, shape (k, scan_y, scan_x)
        With a mean of zero.
    defined : ndarray of bool, shape (scan_y, scan_x)
    least_gain : float
        Keep `vectors` unless the autocorrelation grows by this share of the variance.
    """
    cells = np.array([(h, k) for h in range(-2, 3) for k in range(3) if (k > 0 or h > 0)], dtype=np.float64)
    reach = int(np.ceil(3 * np.abs(vectors).sum(axis=0).max())) + 2
    padded = tuple(fft.next_fast_len(n + reach, real=True) for n in defined.shape)
    power = (np.abs(fft.rfft2(maps * defined, s=padded)) ** 2).sum(axis=0)
    pairs = fft.irfft2(np.abs(fft.rfft2(defined.astype(np.float32), s=padded)) ** 2, s=padded)
    alike = fft.irfft2(power, s=padded) / np.maximum(pairs, 0.05 * pairs[0, 0])
    variance = float(alike[0, 0])
    alike = ndimage.spline_filter(alike, mode="grid-wrap")
    few = cells[(np.abs(cells @ vectors) < 0.6 * np.array(defined.shape)).all(axis=1)]
    values = np.empty(len(few))

    def loss(change: NDArray[np.float64]) -> float:
        spline_values(alike, np.ascontiguousarray((few @ (vectors + change.reshape(2, 2))).T), True, values)
        return -float(values.sum())

    edge = float(np.linalg.norm(vectors, axis=1).min())
    found, origin, best = vectors, vectors, np.inf
    turned = (np.stack([each, each[::-1] * [1, -1]]) for each in vectors)
    for begin in (*(scale * vectors for scale in _SCALES), *(shear @ vectors for shear in _SHEARS), *turned):
        start = (begin - vectors).ravel()
        simplex = start + np.vstack([np.zeros(4), _FIRST_STEP * edge * np.eye(4)])
        options = {"initial_simplex": simplex, "xatol": 0.01, "fatol": 0.0, "maxfev": 400}
        answer = optimize.minimize(loss, start, method="Nelder-Mead", options=options)
        if answer.fun < best:
            found, origin, best = vectors + answer.x.reshape(2, 2), begin, float(answer.fun)
    near = np.linalg.norm(found - origin, axis=1).max() < _REFINED_WITHIN * edge
    gains = loss(np.zeros(4)) - best >= least_gain * len(few) * variance
    return ordered(reduced(found if near and gains else vectors))
