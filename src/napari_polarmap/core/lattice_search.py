"""Finding the scan's crystal lattice in virtual images."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from napari_polarmap.core.lattice import Lattice, ordered, reduced
from napari_polarmap.core.repetition import refined

_MIN_PERIOD_PX: Final = 2.5
_CELL_WITHIN: Final = 0.15
_MIN_PERIODS: Final = 2.75
_FALSE_PEAK: Final = 1e-3
_NOISE_MARGIN: Final = 1.5
_COMPROMISE: Final = 0.0125
"""Where other vectors repeat this share of the variance more from one cell to the next, a fault lies between; noise
makes up to 0.007 at 500 electrons per pattern."""
_HARMONICS: Final = np.array([(h, k) for h in range(-2, 3) for k in range(-2, 3) if (h, k) > (0, 0)])


def find_lattice(images: NDArray[np.number], expected_period_px: float | None = None) -> Lattice:
    """Return the lattice of a scan from the peaks in the power spectrum of its virtual images.

    Parameters
    ----------
    images : ndarray, shape (scan_y, scan_x) or (k, scan_y, scan_x)
        Bright field, annular dark field, centre of mass ...; at each frequency the image that
        shows most over its own noise counts. NaN is left out.
    expected_period_px : float, optional
        Edge of the cell after the scan step, where known to some 15 %: decides between the cell and
        the smaller one of a centred image, whose odd peaks drown in noise.

    Returns
    -------
    lattice : Lattice
        `resolved` is False, with a reason, where no two peaks stand out from the noise.

    Raises
    ------
    ValueError
        If `images` is not one image or a stack.

    Notes
    -----
    Peaks must exceed the highest that noise makes in one of 1,000 images. Of the pairs
    that explain the strong peaks as sums and multiples, the one with the smallest cell is
    kept, and refined together with its harmonics between the points of the discrete spectrum.
    Where a fault or a dislocation moves parts of the scan against each other, the vectors that fit it as a whole
    repeat nothing; those after which it repeats over the next two cells are taken then (see `repetition`).
    """
    stack = np.asarray(images, dtype=np.float64)
    if stack.ndim == 2:
        stack = stack[None]
    if stack.ndim != 3 or stack.shape[0] == 0:
        raise ValueError(f"virtual images have shape {np.shape(images)}; give (scan_y, scan_x) or a stack of those")
    shape = stack.shape[1:]
    if min(shape) < 2 * _MIN_PERIODS * _MIN_PERIOD_PX:
        return _unresolved(f"the scan of {shape[0]} x {shape[1]} positions is too small to show a lattice")
    flat = [image for image in map(_flattened, stack) if image.any()]
    if not flat:
        return _unresolved("the virtual images are flat")
    windowed = np.stack([_windowed(image) for image in flat])
    spectrum, windowed = _spectrum(windowed)
    peaks, excess = _peaks(spectrum, shape)
    pair = _best_pair(peaks, excess, 1.0 / min(shape), expected_period_px)
    if pair is None:
        return _unresolved("no two lattice peaks stand out from the noise of the virtual images")
    pair = _refine(windowed, pair, shape)
    period_px = 1 / float(np.sqrt(abs(np.linalg.det(pair))))
    if expected_period_px is not None and not 0.6 < period_px / expected_period_px < 1.6:
        return _unresolved(
            f"the images repeat after {period_px:.1f} positions, far from the {expected_period_px:.1f} expected"
        )
    vectors = reduced(np.asarray(np.linalg.inv(pair).T, dtype=np.float64))
    if expected_period_px is not None:
        vectors = _whole_cell(vectors, expected_period_px)
    strength = float(min(_power_at(windowed, reduced(pair))))
    maps = np.stack([image - image.mean() for image in flat]).astype(np.float32)
    vectors = refined(ordered(vectors), maps, np.ones(shape, np.bool_), least_gain=_COMPROMISE)
    return Lattice(vectors_px=vectors, strength=strength)


def _whole_cell(vectors: NDArray[np.float64], expected_period_px: float) -> NDArray[np.float64]:
    """Return the cell of twice the area where that is the one expected.

    Where the columns of the cell's middle look like those of its corners, nothing in the
    images tells them apart.
    """
    twice = np.array([[1.0, 1.0], [1.0, -1.0]]) @ vectors
    lengths = np.linalg.norm(twice, axis=1)
    fits = (np.abs(lengths / expected_period_px - 1) < _CELL_WITHIN).all()
    return twice if fits else vectors


def _unresolved(reason: str) -> Lattice:
    return Lattice(vectors_px=np.full((2, 2), np.nan), resolved=False, reason=reason, source="unknown")


def _flattened(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the image without slow changes and outliers, in units of its spread; zeros where it is flat."""
    finite = np.isfinite(image)
    if not finite.any():
        return np.zeros_like(image)
    low, high = np.quantile(image[finite], [0.01, 0.99])
    filled = np.where(finite, np.clip(image, 2 * low - high, 2 * high - low), 0)
    sigma = [n / 6 for n in image.shape]
    share = ndimage.gaussian_filter(finite.astype(np.float64), sigma, mode="nearest", truncate=2)
    slow = ndimage.gaussian_filter(filled, sigma, mode="nearest", truncate=2) / np.maximum(share, 1e-6)
    flat = np.where(finite, filled - slow, 0)
    spread = 1.4826 * np.median(np.abs(flat - np.median(flat)))
    if spread <= 1e-9 * max(np.abs(filled).max(), 1e-300):
        return np.zeros_like(image)
    return np.asarray(np.clip(flat / spread, -6, 6), dtype=np.float64)


def _windowed(flat: NDArray[np.float64]) -> NDArray[np.float64]:
    window = np.outer(*(np.hanning(n + 2)[1:-1] for n in flat.shape))
    return np.asarray((flat - np.average(flat, weights=window)) * window, dtype=np.float64)


def _spectrum(windowed: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the best power over its noise level (half plane, twice oversampled), and the images in that unit."""
    shape = windowed.shape[1:]
    padded = (2 * shape[0], 2 * shape[1])
    power = np.abs(np.fft.rfft2(windowed, s=padded)) ** 2
    y, x = np.fft.fftfreq(padded[0]), np.fft.rfftfreq(padded[1])
    length = np.hypot(y[:, None], x) * min(shape)
    best = np.zeros(power.shape[1:])
    scaled = np.empty_like(windowed)
    for index, image_power in enumerate(power):
        noise = _noise_level(image_power, length)
        best = np.maximum(best, image_power / noise)
        scaled[index] = windowed[index] / np.sqrt(np.median(noise) * len(windowed))
    return best, scaled


def _noise_level(power: NDArray[np.float64], length: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean noise power at each distance from the quiet part of its ring; lattice peaks fill much of it."""
    ring = np.minimum(length / 2, length[:, 0].max() / 2).astype(np.int64)
    order = np.argsort(ring, axis=None, kind="stable")
    parts = np.split(np.arange(ring.size)[order], np.cumsum(np.bincount(ring.ravel()))[:-1])
    place = [float(length.ravel()[part].mean()) for part in parts]
    quiet = np.log([max(float(np.quantile(power.ravel()[part], 0.2)), 1e-300) for part in parts]) - np.log(-np.log(0.8))
    smooth = ndimage.median_filter(quiet, 5, mode="nearest")
    return np.asarray(np.exp(np.interp(length, place, smooth)), dtype=np.float64)


def _peaks(spectrum: NDArray[np.float64], shape: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return places (1/px, shape (n, 2)) and powers, relative to the limit, of the strongest maxima."""
    y, x = np.fft.fftfreq(spectrum.shape[0]), np.fft.rfftfreq(2 * (spectrum.shape[1] - 1))
    length = np.hypot(y[:, None], x)
    allowed = (length >= _MIN_PERIODS / min(shape)) & (length <= 1 / _MIN_PERIOD_PX)
    allowed &= (x > 0) | (y[:, None] > 0)
    limit = _NOISE_MARGIN * np.log(shape[0] * shape[1] / 2 / _FALSE_PEAK)
    top = (spectrum == ndimage.maximum_filter(spectrum, 9, mode="wrap")) & allowed & (spectrum > limit)
    rows, columns = np.nonzero(top)
    order = np.argsort(-spectrum[rows, columns])[:12]
    rows, columns = rows[order], columns[order]
    return np.column_stack([y[rows], x[columns]]), spectrum[rows, columns] / limit


def _best_pair(
    peaks: NDArray[np.float64], excess: NDArray[np.float64], tolerance: float, expected_period_px: float | None
) -> NDArray[np.float64] | None:
    """Return the pair that explains most significance; each halving of the reciprocal cell costs one unit."""
    weight = 0.3 + np.log(excess)
    best, best_score = None, -np.inf
    for pair in _pairs(peaks, centred=expected_period_px is not None):
        lengths = np.linalg.norm(pair, axis=1)
        area = abs(float(np.linalg.det(pair)))
        if area < 0.4 * lengths[0] * lengths[1] or lengths.min() < 1.5 * tolerance:
            continue
        index = peaks @ np.linalg.inv(pair)
        miss = np.linalg.norm((index - np.round(index)) @ pair, axis=1)
        explained = (miss < tolerance) & (np.abs(index).max(axis=1) < 3.5)
        score = float(weight[explained].sum()) + np.log2(area)
        if expected_period_px is not None:
            score -= min(6.0, 0.5 * float(np.log(np.sqrt(area) * expected_period_px) / 0.1) ** 2)
        if score > best_score:
            best, best_score = pair, score
    return best


def _pairs(peaks: NDArray[np.float64], centred: bool) -> Iterator[NDArray[np.float64]]:
    """Yield the reduced pairs of peaks, and (if `centred`) the pairs of which they are sum and difference."""
    for first, second in combinations(range(len(peaks)), 2):
        pair = reduced(peaks[[first, second]])
        yield pair
        if centred:
            yield reduced(np.array([pair[0] + pair[1], pair[0] - pair[1]]) / 2)


def _power_at(windowed: NDArray[np.float64], frequency: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the summed power at any frequencies (1/px), shape (n, 2)."""
    rows = np.exp(-2j * np.pi * np.outer(frequency[:, 0], np.arange(windowed.shape[1])))
    columns = np.exp(-2j * np.pi * np.outer(frequency[:, 1], np.arange(windowed.shape[2])))
    amplitude = np.einsum("fy,kyf->kf", rows, windowed @ columns.T)
    return np.asarray((np.abs(amplitude) ** 2).sum(axis=0), dtype=np.float64)


def _refine(windowed: NDArray[np.float64], pair: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the pair near `pair` with the greatest amplitudes at its sums and multiples."""
    harmonics = _HARMONICS[np.abs(_HARMONICS @ pair).max(axis=1) < 0.45]
    parts, y, x = _demodulated(windowed, harmonics @ pair)

    def loss(change: NDArray[np.float64]) -> float:
        shift = harmonics @ change.reshape(2, 2)
        rows, columns = np.exp(-2j * np.pi * np.outer(shift[:, 0], y)), np.exp(-2j * np.pi * np.outer(shift[:, 1], x))
        amplitude = np.einsum("fky,fy->kf", np.einsum("fkyx,fx->fky", parts, columns), rows)
        return -float(np.sqrt((np.abs(amplitude) ** 2).sum(axis=0)).sum())

    step = 0.25 / max(shape)
    simplex = np.vstack([np.zeros(4), step * np.eye(4)])
    options = {"initial_simplex": simplex, "xatol": 1e-3 * step, "fatol": 1e-9, "maxfev": 600}
    found = optimize.minimize(loss, np.zeros(4), method="Nelder-Mead", options=options)
    return np.asarray(pair + found.x.reshape(2, 2), dtype=np.float64)


def _demodulated(
    windowed: NDArray[np.float64], frequency: NDArray[np.float64]
) -> tuple[NDArray[np.complex128], NDArray[np.float64], NDArray[np.float64]]:
    """Return the images with each frequency moved to zero, summed in blocks (f, k, y, x), and the blocks' places."""
    starts = [np.arange(0, n, max(1, n // 32)) for n in windowed.shape[1:]]
    parts = []
    for fy, fx in frequency:
        wave_y, wave_x = (
            np.exp(-2j * np.pi * f * np.arange(n)) for f, n in zip((fy, fx), windowed.shape[1:], strict=True)
        )
        summed = np.add.reduceat(windowed * wave_x, starts[1], axis=2)
        parts.append(np.add.reduceat(summed * wave_y[:, None], starts[0], axis=1))
    ends = [np.append(start[1:], n) for start, n in zip(starts, windowed.shape[1:], strict=True)]
    y, x = ((start + end - 1) / 2 for start, end in zip(starts, ends, strict=True))
    return np.stack(parts), y, x
