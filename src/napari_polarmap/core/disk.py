"""Find the bright-field disk: where the direct beam is, and how large."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, optimize

from napari_polarmap.core.kernels import outward_fall

_SEARCH_PX: Final = 64
_MIN_RADIUS_PX: Final = 2.5
_MIN_COVER: Final = 0.6

Circle = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Disk:
    """The bright-field disk of a convergent-beam pattern.

    Attributes
    ----------
    center_px : (float, float)
        ``(y, x)`` from the middle of pixel (0, 0).
    radius_px : float
    residual : float
        Share of the intensity steps along the circle that go the wrong way; 0 = a whole rim.
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
    Coarse: the mean outward fall-off of the intensity along a circle (the integro-differential
    operator of Daugman [1]_), for all centres by FFT and all radii. Fine: the same for the square
    root of the intensity, on the full pattern between the pixels, as sharply as the noise allows.

    References
    ----------
    .. [1] J. Daugman, IEEE Trans. Pattern Anal. Mach. Intell. 15, 1148 (1993).
    """
    if radius_px is not None and not (np.isfinite(radius_px) and radius_px > 0):
        raise ValueError(f"radius_px is {radius_px}; it must be a positive number of detector pixels")
    image = clean_pattern(mean_pattern)
    circle, step_px = _coarse(image, radius_px)
    width_px = rim_width_px(image, circle)
    if step_px > 2 * width_px:
        circle = Rim(image, step_px / 2).fit(circle, step_px, radius_px)
        width_px = rim_width_px(image, circle)
    rim = Rim(image, width_px)
    circle = rim.fit(circle, width_px, radius_px)
    disk = _disk(circle, residual=rim.wrong_way(circle))
    _check(image, disk)
    return disk


def follow_disk(pattern: NDArray[np.number], disk: Disk) -> Disk:
    """Return a known disk as it is in another pattern of the same scan.

    Parameters
    ----------
    pattern : ndarray, shape (qy, qx)
        Mean over a part of the scan.
    disk : Disk
        In the mean over the scan, where its movement may have blurred it.

    Raises
    ------
    ValueError
        If there are no counts, or no similar disk within a third of its radius.
    """
    image = clean_pattern(pattern)
    circle = np.array([*disk.center_px, disk.radius_px])
    for width_px in (0.1 * disk.radius_px, rim_width_px(image, circle)):
        rim = Rim(image, width_px)
        circle = rim.fit(circle, width_px, None)
    change_px = float(np.abs(circle - [*disk.center_px, disk.radius_px]).max())
    if change_px > disk.radius_px / 3:
        raise ValueError(
            f"the disk is not near its place in the mean pattern: the best circle differs by {change_px:.1f} px"
        )
    return _disk(circle, residual=rim.wrong_way(circle))


def _disk(circle: Circle, residual: float = 0.0) -> Disk:
    y, x, radius = (float(value) for value in circle)
    return Disk(center_px=(y, x), radius_px=radius, residual=residual)


def clean_pattern(pattern: NDArray[np.number]) -> NDArray[np.float64]:
    """Return the counts without hot or dead single pixels, relative to the brightest that is left."""
    image = np.asarray(pattern, dtype=np.float64)
    if image.ndim != 2 or min(image.shape) < 8:
        raise ValueError(f"the mean pattern has shape {image.shape}; a disk needs two axes of at least 8 px")
    image = np.where(np.isfinite(image) & (image > 0), image, 0.0)
    if not image.any():
        raise ValueError("the patterns hold no counts, so there is no bright-field disk to find")
    around = ndimage.median_filter(image, size=3, mode="nearest")
    limit = 6 * _noise(image) + 0.5 * around.max()
    cleaned = np.where(np.abs(image - around) > limit, around, image)
    return np.asarray(cleaned / max(cleaned.max(), 1e-300), dtype=np.float64)


def _noise(image: NDArray[np.float64]) -> float:
    """Return the standard deviation from pixel to pixel, from second differences without the largest."""
    pieces = [np.abs(np.diff(image, 2, axis=axis)).ravel() for axis in (0, 1)]
    steps = np.concatenate([piece[piece <= np.quantile(piece, 0.98)] for piece in pieces])
    return float(np.sqrt((steps**2).mean() / 6))


def _coarse(image: NDArray[np.float64], radius_px: float | None) -> tuple[Circle, float]:
    """Return the best circle (cy, cx, r) on a grid coarse enough to stand out of the noise, and its step in pixels."""
    small, factor = _binned(image)
    shape = small.shape
    padded = tuple(fft.next_fast_len(2 * n, real=True) for n in shape)
    y, x = np.ix_(*(np.fft.fftfreq(n, 1 / n) for n in padded))
    distance = np.hypot(y, x)
    outward = [axis / np.maximum(distance, 1e-9) for axis in (y, x)]
    spectra = [fft.rfft2(component, s=padded) for component in _gradient(small, 1.0)]
    detector = fft.rfft2(np.ones(shape), s=padded)
    radii = np.arange(_MIN_RADIUS_PX, 0.75 * min(shape), 0.5 if max(shape) < 48 else 1.0)
    best, found = -np.inf, np.zeros(3)
    for radius in radii if radius_px is None else [radius_px / factor]:
        ring = np.clip(1 - np.abs(distance - radius), 0, None)
        ring /= ring.sum()
        fall = -sum(s * fft.rfft2(ring * o).conj() for s, o in zip(spectra, outward, strict=True))
        on_detector = fft.irfft2(detector * fft.rfft2(ring).conj(), s=padded)[: shape[0], : shape[1]]
        score = fft.irfft2(fall, s=padded)[: shape[0], : shape[1]] / np.maximum(on_detector, _MIN_COVER)
        row, column = np.unravel_index(int(np.argmax(score)), shape)
        if score[row, column] * np.sqrt(radius) > best:
            best, found = float(score[row, column] * np.sqrt(radius)), np.array([row, column, radius])
    middle = (factor - 1) / 2
    return factor * found + np.array([middle, middle, 0]), float(factor)


def _binned(image: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Return the mean counts in bins, and the edge of a bin."""
    factor = max(1, round(max(image.shape) / _SEARCH_PX))
    while True:
        height, width = (n // factor * factor for n in image.shape)
        bins = image[:height, :width].reshape(height // factor, factor, width // factor, factor)
        small = bins.mean(axis=(1, 3))
        if min(small.shape) < 32 or _noise(small) < 0.2 * np.quantile(small, 0.98):
            return small, factor
        factor += 1


def _gradient(image: NDArray[np.float64], sigma_px: float) -> list[NDArray[np.float64]]:
    return [ndimage.gaussian_filter(image, sigma_px, order=order, mode="nearest") for order in ((1, 0), (0, 1))]


class Rim:
    """The fall-off of the square root of the intensity along the rim of a disk, seen with a given width."""

    def __init__(self, image: NDArray[np.float64], width_px: float) -> None:
        root = np.sqrt(ndimage.gaussian_filter(image, width_px / 2, mode="nearest"))
        gradient = _gradient(root, width_px * np.sqrt(0.75))
        self._down, self._across = (ndimage.spline_filter(part, order=3, mode="nearest") for part in gradient)

    def fall(self, circle: Circle) -> NDArray[np.float64]:
        """Return the outward fall-off per pixel around `circle`, NaN outside the detector.

        Two more numbers make it an ellipse: the shares of the radius that go with the cosine and the
        sine of twice the angle, which counts from the columns to the rows.
        """
        fall = np.empty(int(np.clip(4 * circle[2], 64, 720)))
        outward_fall(self._down, self._across, np.append(circle, (0.0, 0.0))[:5], fall)
        return fall

    def fit(self, start: Circle, step_px: float, radius_px: float | None) -> Circle:
        """Return the circle near `start` with the greatest mean fall-off."""
        free = 3 if radius_px is None else 2
        fixed = start[free:] if radius_px is None else np.array([radius_px])

        def loss(parameters: NDArray[np.float64]) -> float:
            fall = self.fall(np.concatenate([parameters, fixed]))
            seen = fall[np.isfinite(fall)]
            return -float(seen.sum()) / max(seen.size, _MIN_COVER * fall.size)

        simplex = start[:free] + np.vstack([np.zeros(free), step_px * np.eye(free)])
        options = {"initial_simplex": simplex, "xatol": 2e-3, "fatol": 1e-9, "maxiter": 300}
        found = optimize.minimize(loss, start[:free], method="Nelder-Mead", options=options).x
        return np.concatenate([found, fixed])

    def wrong_way(self, circle: Circle) -> float:
        """Return the share of the steps along `circle` that rise instead of fall."""
        fall = np.nan_to_num(self.fall(circle))
        return float((-fall).clip(min=0).sum() / max(np.abs(fall).sum(), 1e-12))


def rim_width_px(image: NDArray[np.float64], circle: Circle) -> float:
    """Return over how many pixels to look for the rim: few, but enough to see it 40 times above the noise.

    Along a rim of radius r and contrast A, a derivative of Gaussian of width s is
    2 A sqrt(1.8 r s) / noise above the noise.
    """
    inside = _disk(circle).mask((image.shape[0], image.shape[1]), 0.9)
    level = max(float(image[inside].mean()) if inside.any() else 0.0, 1e-9)
    rows = np.diff(np.where(inside, image, np.nan), 2, axis=0)
    rows = rows[np.isfinite(rows)]
    noise = float(np.sqrt((rows**2).mean() / 6)) / (2 * level) if rows.size else 0.0
    needed = (20 * noise) ** 2 / (1.8 * circle[2])
    return float(np.clip(needed, max(0.6, 0.02 * circle[2]), max(0.6, 0.12 * circle[2])))


def _check(image: NDArray[np.float64], disk: Disk) -> None:
    """Refuse a circle that is no disk: it must explain the pattern around it, far above the noise."""
    shape = (image.shape[0], image.shape[1])
    inside, around = disk.mask(shape), disk.mask(shape, 2.0)
    outside = around & ~disk.mask(shape, 1.15)
    reason = "its rim is not inside the detector"
    if inside.sum() >= 8 and outside.sum() >= 0.25 * np.pi * disk.radius_px**2:
        bright, dark = float(image[inside].mean()), float(image[outside].mean())
        smooth = ndimage.gaussian_filter(image, min(0.1 * disk.radius_px, 4.0), mode="nearest")
        spread = np.where(inside, bright, dark)[around]
        explained = 1 - np.mean((smooth[around] - spread) ** 2) / max(float(smooth[around].var()), 1e-300)
        above_noise = (bright - dark) * np.sqrt(inside.sum()) / max(_noise(image), 1e-12)
        if bright > 1.3 * dark and explained > 0.4 and above_noise > 10:
            return
        reason = f"its mean is {bright:.2g} inside and {dark:.2g} outside, relative to the brightest pixel"
    raise ValueError(
        f"no bright-field disk found: the best circle has a radius of {disk.radius_px:.1f} px and {reason}; "
        f"give a mean over more patterns, or one with the whole disk on the detector"
    )
