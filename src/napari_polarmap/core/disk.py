"""Find the bright-field disk: where the direct beam is, and how large."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, optimize

_SEARCH_PX: Final = 96
_MIN_RADIUS_PX: Final = 2.5


@dataclass(frozen=True, kw_only=True)
class Disk:
    """The bright-field disk of a convergent-beam pattern.

    Attributes
    ----------
    center_px : (float, float)
        ``(y, x)`` from the middle of pixel (0, 0).
    radius_px : float
    residual : float
        Share of the rim, weighted by its strength, that is not where the circle is; 0 = perfect.
    """

    center_px: tuple[float, float]
    radius_px: float
    residual: float = 0.0

    def mask(self, shape: tuple[int, int], grow: float = 1.0) -> NDArray[np.bool_]:
        """Return the pixels inside `grow` times the radius, on a detector of `shape`."""
        y, x = np.ogrid[: shape[0], : shape[1]]
        return np.asarray(np.hypot(y - self.center_px[0], x - self.center_px[1]) <= grow * self.radius_px)


def find_disk(mean_pattern: NDArray[np.number], radius_px: float | None = None) -> Disk:
    """Return the circle along which the intensity falls off most steeply.

    The rim of the aperture stays sharp and in place whatever the specimen does inside
    the disk, whereas the centre of mass follows tilt, thickness and polarization.

    Parameters
    ----------
    mean_pattern : ndarray, shape (qy, qx)
        Mean over many scan positions, or one pattern of many counts.
    radius_px : float, optional
        Known radius (convergence semi-angle / mrad per pixel): then only the centre is searched.

    Returns
    -------
    disk : Disk

    Raises
    ------
    ValueError
        If there is no disk: no counts, flat, noise, or a disk larger than the detector.

    Notes
    -----
    Coarse: the mean outward fall-off of the square root of the intensity along a circle (the
    integro-differential operator of Daugman [1]_), for all centres by FFT and all radii. Fine: the
    same, on the full pattern, with sub-pixel interpolation.

    References
    ----------
    .. [1] J. Daugman, IEEE Trans. Pattern Anal. Mach. Intell. 15, 1148 (1993).
    """
    image = _clean(mean_pattern)
    if radius_px is not None and not (np.isfinite(radius_px) and radius_px > 0):
        raise ValueError(f"radius_px is {radius_px}; it must be a positive number of detector pixels")
    start = _coarse(image, radius_px)
    disk = _refine(image, start, radius_px)
    _check(image, disk)
    return disk


def _clean(pattern: NDArray[np.number]) -> NDArray[np.float64]:
    """Return the square root of the counts, without hot or dead single pixels."""
    image = np.asarray(pattern, dtype=np.float64)
    if image.ndim != 2 or min(image.shape) < 8:
        raise ValueError(f"the mean pattern has shape {image.shape}; a disk needs two axes of at least 8 px")
    image = np.where(np.isfinite(image) & (image > 0), image, 0.0)
    if not image.any():
        raise ValueError("the patterns hold no counts, so there is no bright-field disk to find")
    root = np.sqrt(image / image.max())
    around = ndimage.median_filter(root, footprint=np.ones((3, 3)), mode="nearest")
    off = np.abs(root - around)
    limit = 6 * np.median(off) + 0.5 * np.quantile(around, 0.9)
    cleaned: NDArray[np.float64] = np.where(off > limit, around, root)
    return cleaned


def _coarse(image: NDArray[np.float64], radius_px: float | None) -> tuple[float, float, float]:
    """Return (cy, cx, r) of the best circle on a grid of about a pixel."""
    factor = max(1, round(max(image.shape) / _SEARCH_PX))
    height, width = (n // factor * factor for n in image.shape)
    small = image[:height, :width].reshape(height // factor, factor, width // factor, factor).mean(axis=(1, 3))
    gradient = _gradient(small, 1.0)
    shape = small.shape
    padded = tuple(fft.next_fast_len(2 * n, real=True) for n in shape)
    y, x = (np.fft.fftfreq(n, 1 / n) for n in padded)
    distance = np.hypot(y[:, None], x)
    safe = np.maximum(distance, 1e-9)
    spectra = [fft.rfft2(component, s=padded) for component in gradient]
    inside = fft.rfft2(np.ones(shape), s=padded)
    if radius_px is None:
        radii = np.arange(_MIN_RADIUS_PX, 0.75 * min(shape), 0.5 if max(shape) < 48 else 1.0)
    else:
        radii = np.array([radius_px / factor])
    best, found = -np.inf, (0.0, 0.0, 0.0)
    for radius in radii:
        ring = np.clip(1 - np.abs(distance - radius), 0, None)
        ring /= ring.sum()
        kernels = (fft.rfft2(ring * component / safe) for component in (y[:, None], x[None]))
        fall = -sum(s * k.conj() for s, k in zip(spectra, kernels, strict=True))
        cover = fft.irfft2(inside * fft.rfft2(ring).conj(), s=padded)[: shape[0], : shape[1]]
        score = fft.irfft2(fall, s=padded)[: shape[0], : shape[1]] / np.maximum(cover, 0.6)
        index = np.unravel_index(int(np.argmax(score)), shape)
        if score[index] > best:
            best, found = float(score[index]), (float(index[0]), float(index[1]), float(radius))
    middle = (factor - 1) / 2
    return factor * found[0] + middle, factor * found[1] + middle, factor * found[2]


def _gradient(image: NDArray[np.float64], sigma_px: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    y, x = (ndimage.gaussian_filter(image, sigma_px, order=order, mode="nearest") for order in ((1, 0), (0, 1)))
    return y, x


def _refine(image: NDArray[np.float64], start: tuple[float, float, float], radius_px: float | None) -> Disk:
    sigma = max(0.8, 0.03 * start[2])
    gradient = _gradient(image, sigma)
    splines = [ndimage.spline_filter(component, order=3, mode="nearest") for component in gradient]
    angle = np.linspace(0, 2 * np.pi, max(64, int(4 * start[2])), endpoint=False)
    unit = np.stack([np.sin(angle), np.cos(angle)])

    def fall(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        radius = parameters[2] if radius_px is None else radius_px
        points = parameters[:2, None] + radius * unit
        inside = ((points >= 0) & (points <= np.array(image.shape)[:, None] - 1)).all(axis=0)
        values = [ndimage.map_coordinates(s, points, order=3, mode="nearest", prefilter=False) for s in splines]
        return np.where(inside, -(values[0] * unit[0] + values[1] * unit[1]), np.nan)

    def loss(parameters: NDArray[np.float64]) -> float:
        values = fall(parameters)
        seen = np.isfinite(values)
        return -float(np.nansum(values)) / max(int(seen.sum()), int(0.6 * seen.size))

    first = np.array(start if radius_px is None else start[:2])
    simplex = first + np.vstack([np.zeros(first.size), sigma * np.eye(first.size)])
    found = optimize.minimize(
        loss, first, method="Nelder-Mead", options={"initial_simplex": simplex, "xatol": 1e-3, "fatol": 1e-9}
    ).x
    radius = float(found[2]) if radius_px is None else float(radius_px)
    values = fall(found)
    strength = np.abs(np.nan_to_num(values))
    residual = float(np.nan_to_num(-values).clip(0).sum() / max(strength.sum(), 1e-12))
    return Disk(center_px=(float(found[0]), float(found[1])), radius_px=radius, residual=residual)


def _check(image: NDArray[np.float64], disk: Disk) -> None:
    shape = (image.shape[0], image.shape[1])
    outer = disk.mask(shape, 1.5) & ~disk.mask(shape, 1.15)
    inner = disk.mask(shape, 0.9)
    if inner.sum() < 8 or outer.sum() < 8:
        raise ValueError("no rim of a bright-field disk is inside the detector; a larger camera length range is needed")
    bright, dark = np.median(image[inner]), np.median(image[outer])
    noise = np.std(image[inner]) + np.std(image[outer])
    if bright < 1.15 * dark or bright - dark < 0.5 * noise or disk.residual > 0.35:
        raise ValueError(
            f"no bright-field disk found: the best circle (radius {disk.radius_px:.1f} px) is {bright**2:.2g} of the "
            f"brightest pixel inside and {dark**2:.2g} outside; take more or brighter patterns"
        )
