"""Bring patterns of any camera length, rotation and disk position onto one grid of angles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from napari_polarmap.core import kernels
from napari_polarmap.core.sums import plain

_STILL: Final = 0.01
"""Centres that stay within this part of a pixel of the grid do not move."""
_LEAST_SPAN_PX: Final = 8
"""A detector that spans fewer pixels of the grid holds no disk."""
_AT_ONCE: Final = 2**18
"""Samples made into a part of the matrix at once, some 200 bytes each."""


def resample_patterns(
    patterns: NDArray[np.number],
    centers_px: ArrayLike,
    *,
    mrad_per_px: float,
    size_px: int = 64,
    grid_mrad: float = 1.05,
    rotation_deg: float = 0.0,
    flip: bool = False,
    distortion: NDArray[np.float64] | None = None,
) -> NDArray[np.float32]:
    """Return patterns on a grid of angles in the frame of the scan image, direct beam in the middle.

    The pixel at ``(size_px - 1) / 2 + u / grid_mrad`` shows the detector at
    ``center + inverse(u) / mrad_per_px``, where a detector vector becomes a scan vector `u`
    by a mirror up-down (if `flip`) and a turn counter-clockwise on the screen by `rotation_deg`.

    Parameters
    ----------
    patterns : ndarray, shape (n, qy, qx)
    centers_px : array_like, shape (2,) or (n, 2)
        ``(y, x)`` of the direct beam, for all patterns or for each.
    mrad_per_px : float
        Angle between neighbouring detector pixels.
    size_px : int
        Edge of the grid.
    grid_mrad : float
        Angle between neighbouring pixels of the grid.
    rotation_deg : float
    flip : bool
    distortion : ndarray, shape (2, 2), optional
        Takes a vector ``(y, x)`` of the undistorted pattern to the detector, see `Calibration.distortion`.

    Returns
    -------
    resampled : ndarray of float32, shape (n, size_px, size_px)
        Counts per pixel of the grid, so that the sum is kept; 0 outside the detector.

    Raises
    ------
    ValueError
        If shapes do not fit or an angle is not positive.

    Notes
    -----
    Bilinear; negative and not finite readings count as 0. Where a pixel of the grid spans more
    than 1.5 detector pixels, the mean of as many samples as it spans in each direction, so that
    no detector pixel is left out. Centres that differ are then brought together by a bilinear
    shift first.
    """
    patterns, centers = _checked(patterns, centers_px, mrad_per_px, grid_mrad, size_px)
    resampler = Resampler(
        (patterns.shape[1], patterns.shape[2]),
        centers.reshape(-1, 2),
        mrad_per_px=mrad_per_px,
        size_px=size_px,
        grid_mrad=grid_mrad,
        rotation_deg=rotation_deg,
        flip=flip,
        distortion=distortion,
    )
    return resampler(plain(patterns), np.broadcast_to(centers, (len(patterns), 2)))


class Resampler:
    """What `resample_patterns` does, prepared for all patterns of a scan, so that no answer depends on its neighbours.

    Parameters
    ----------
    detector_shape : (int, int)
    centers_px : ndarray, shape (n, 2)
        Of all patterns that will come.
    mrad_per_px, size_px, grid_mrad, rotation_deg, flip, distortion
        As for `resample_patterns`.

    Attributes
    ----------
    box : (slice, slice), optional
        Detector rows and columns that are used; None for all.

    Raises
    ------
    ValueError
        If the detector spans fewer than 8 pixels of the grid.
    """

    def __init__(
        self,
        detector_shape: tuple[int, int],
        centers_px: NDArray[np.float64],
        *,
        mrad_per_px: float,
        size_px: int,
        grid_mrad: float,
        rotation_deg: float,
        flip: bool,
        distortion: NDArray[np.float64] | None = None,
    ) -> None:
        ratio = grid_mrad / mrad_per_px
        if ratio > max(1.5, max(detector_shape) / _LEAST_SPAN_PX):
            height, width = detector_shape
            raise ValueError(
                f"a detector of {height} x {width} px at {mrad_per_px:.3g} mrad per pixel spans "
                f"{max(detector_shape) * mrad_per_px:.3g} mrad; the patterns of this classifier need at least "
                f"{_LEAST_SPAN_PX * grid_mrad:.3g} mrad; check mrad_per_px"
            )
        self.size_px, self.scale = size_px, np.float32(ratio**2)
        samples = _Samples(size_px, ratio, rotation_deg, flip, np.eye(2) if distortion is None else distortion)
        limits = np.array([centers_px.min(axis=0), centers_px.max(axis=0)]) if len(centers_px) else np.zeros((2, 2))
        fixed = bool(np.ptp(limits, axis=0).max() < _STILL * max(ratio, 1.0))
        reach = samples.of(np.array([0, size_px - 1, size_px * (size_px - 1), size_px**2 - 1])).reshape(-1, 2)
        margin = 0 if fixed else 1
        low = np.clip(np.floor(limits[0] + reach.min(axis=0)) - margin, 0, np.array(detector_shape) - 1).astype(int)
        high = np.clip(np.floor(limits[1] + reach.max(axis=0)) + 2 + margin, low + 1, detector_shape).astype(int)
        self.shape = int(high[0] - low[0]), int(high[1] - low[1])
        part = slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))
        self.box = None if self.shape == detector_shape else part
        self.corner = low.astype(np.float64)
        self.middle: NDArray[np.float64] | None = None
        self.matrix: sparse.csr_array | None = None
        self.vectors: NDArray[np.float64] | None = None
        if fixed:
            self.matrix = _sampling_matrix(samples, limits.mean(axis=0) - self.corner, self.shape)
        elif samples.along > 1:
            # The disk is brought to one place, then all is as if it had always been there.
            self.middle = np.round(np.clip(centers_px.mean(axis=0), 0, detector_shape))
            self.matrix = _sampling_matrix(samples, self.middle - self.corner, self.shape)
        else:
            self.vectors = samples.of(np.arange(size_px**2))[:, 0]

    def __call__(self, patterns: NDArray[np.number], centers_px: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return patterns on the grid, shape (n, size_px, size_px).

        Parameters
        ----------
        patterns : ndarray, shape (n, height, width)
            The whole detector, or the part of it in `box`; as `core.sums.plain` makes them.
        centers_px : ndarray, shape (n, 2)
            On the whole detector.
        """
        if self.box is not None and patterns.shape[1:] != self.shape:
            patterns = np.ascontiguousarray(patterns[:, *self.box])
        out = np.empty((len(patterns), self.size_px**2), np.float32)
        if self.middle is not None:
            patterns = self._brought_together(patterns, centers_px - self.middle)
        if self.matrix is not None:
            kernels.weighted_sums(patterns, self.matrix.indptr, self.matrix.indices, self.matrix.data, out)
        if self.vectors is not None:
            for pattern, center, target in zip(patterns, centers_px - self.corner, out, strict=True):
                kernels.interpolated(pattern, center + self.vectors, target)
        out *= self.scale
        return out.reshape(-1, self.size_px, self.size_px)

    def _brought_together(self, patterns: NDArray[np.number], shifts: NDArray[np.float64]) -> NDArray[np.float32]:
        moved = np.empty(patterns.shape, np.float32)
        reach = max(self.shape)
        for pattern, shift, target in zip(patterns, np.clip(shifts, -reach, reach), moved, strict=True):
            kernels.shifted(pattern, shift, target)
        return moved


def _checked(
    patterns: NDArray[np.number], centers_px: ArrayLike, mrad_per_px: float, grid_mrad: float, size_px: int
) -> tuple[NDArray[np.number], NDArray[np.float64]]:
    patterns = np.asarray(patterns)
    if patterns.ndim != 3:
        raise ValueError(f"patterns have shape {patterns.shape}; a stack of patterns has the axes (n, qy, qx)")
    centers = np.asarray(centers_px, dtype=np.float64)
    if centers.shape not in ((2,), (len(patterns), 2)):
        n = len(patterns)
        raise ValueError(f"centres have shape {centers.shape}; {n} patterns need (2,) or ({n}, 2)")
    if not np.isfinite(centers).all():
        raise ValueError("a disk centre is not a finite number; give (y, x) in detector pixels")
    for name, value in (("mrad_per_px", mrad_per_px), ("grid_mrad", grid_mrad), ("size_px", size_px)):
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name} is {value}; it must be a positive number")
    return patterns, centers


@dataclass(frozen=True)
class _Samples:
    """Where the pixels of the grid sample the detector, in detector pixels from its centre; see `resample_patterns`."""

    size_px: int
    ratio: float
    rotation_deg: float
    flip: bool
    distortion: NDArray[np.float64]

    @property
    def along(self) -> int:
        """How many lie along the edge of a pixel."""
        return int(np.ceil(self.ratio)) if self.ratio > 1.5 else 1

    @property
    def reach(self) -> float:
        """No sample lies farther from the middle of its pixel."""
        return float(self.ratio * np.sqrt(0.5) * np.linalg.norm(self.distortion, 2))

    def of(self, pixels: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the samples of some pixels, counted row by row, shape (n, along**2, 2)."""
        inside = (np.arange(self.along) - (self.along - 1) / 2) / self.along
        row, column = (
            self.ratio * (at[:, None] - (self.size_px - 1) / 2 + inside) for at in divmod(pixels, self.size_px)
        )
        return self._on_detector(row[:, :, None], column[:, None, :]).reshape(len(pixels), -1, 2)

    def middles(self) -> NDArray[np.float64]:
        """Return the middles of all pixels, shape (size_px**2, 2)."""
        axis = self.ratio * (np.arange(self.size_px, dtype=np.float64) - (self.size_px - 1) / 2)
        return self._on_detector(axis[:, None], axis[None, :]).reshape(-1, 2)

    def _on_detector(self, y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
        angle = np.deg2rad(self.rotation_deg)
        cos, sin = np.cos(angle), np.sin(angle)
        dy, dx = cos * y + sin * x, cos * x - sin * y
        return np.stack([-dy if self.flip else dy, dx], axis=-1) @ self.distortion.T


def _sampling_matrix(samples: _Samples, origin: NDArray[np.float64], shape: tuple[int, int]) -> sparse.csr_array:
    """Return the matrix from a detector of `shape`, its centre at `origin`, to the means over the samples of pixels.

    Made in parts, of the pixels of the grid that lie on the detector: their samples are about as many as detector
    pixels, those of the whole grid may be hundreds of times as many.
    """
    middles = origin + samples.middles()
    near = np.flatnonzero((np.abs(middles - np.array(shape) / 2) < np.array(shape) / 2 + samples.reach + 2).all(axis=1))
    step = max(1, _AT_ONCE // samples.along**2)
    parts = [
        _matrix_part(origin + samples.of(near[first : first + step]), shape) for first in range(0, len(near), step)
    ] or [sparse.csr_array((0, shape[0] * shape[1]), dtype=np.float32)]
    filled = np.zeros(samples.size_px**2, np.int64)
    filled[near] = np.concatenate([np.diff(part.indptr) for part in parts])
    pointer = np.concatenate([[0], np.cumsum(filled)]).astype(parts[0].indptr.dtype)
    entries = np.concatenate([part.data for part in parts]), np.concatenate([part.indices for part in parts])
    return sparse.csr_array((*entries, pointer), shape=(samples.size_px**2, shape[0] * shape[1]))


def _matrix_part(points: NDArray[np.float64], shape: tuple[int, int]) -> sparse.csr_array:
    """Return the matrix from a detector of `shape` to the mean over each row of `points`, shape (rows, samples, 2)."""
    height, width = shape
    rows, samples = points.shape[:2]
    low = np.floor(points).astype(np.int64)
    fraction = points - low
    row = np.broadcast_to(np.arange(rows)[:, None], (rows, samples))
    entries = []
    for step_y in (0, 1):
        for step_x in (0, 1):
            y, x = low[..., 0] + step_y, low[..., 1] + step_x
            weight = np.abs(1 - step_y - fraction[..., 0]) * np.abs(1 - step_x - fraction[..., 1]) / samples
            inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            entries.append((weight[inside], row[inside], (y * width + x)[inside]))
    values, row_index, column = (np.concatenate(parts) for parts in zip(*entries, strict=True))
    return sparse.csr_array((values.astype(np.float32), (row_index, column)), shape=(rows, height * width))
