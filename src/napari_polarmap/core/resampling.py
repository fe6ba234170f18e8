"""Bring patterns of any camera length, rotation and disk position onto one grid of angles."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

_BLOCK_ELEMENTS = 2**22


def resample_patterns(
    patterns: NDArray[np.number],
    centers_px: ArrayLike,
    *,
    mrad_per_px: float,
    size_px: int = 64,
    grid_mrad: float = 1.05,
    rotation_deg: float = 0.0,
    flip: bool = False,
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
    Bilinear. Where a pixel of the grid spans more than 1.5 detector pixels, the mean of
    as many samples as it spans in each direction, so that no detector pixel is left out.
    Centres that differ are then brought together by a bilinear shift first.
    """
    patterns, centers = _checked(patterns, centers_px, mrad_per_px, grid_mrad, size_px)
    ratio = grid_mrad / mrad_per_px
    vectors = _detector_vectors_px(size_px, ratio, rotation_deg, flip)
    if centers.ndim == 1 or len(centers) == 0 or np.ptp(centers, axis=0).max() < 1e-6:
        center = centers if centers.ndim == 1 else centers[0] if len(centers) else np.zeros(2)
        out = _apply(_sampling_matrix(center + vectors, patterns.shape[1:]), patterns)
    elif vectors.shape[1] == 1:
        out = _interpolate(patterns, centers, vectors[:, 0])
    else:
        middle = np.round(centers.mean(axis=0))
        matrix = _sampling_matrix(middle + vectors, patterns.shape[1:])
        out = np.empty((len(patterns), size_px**2), np.float32)
        for part in _blocks(len(patterns), patterns[0].size):
            out[part] = _apply(matrix, _shifted(patterns[part], centers[part] - middle))
    out *= np.float32(ratio**2)
    return out.reshape(-1, size_px, size_px)


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


def _detector_vectors_px(size_px: int, ratio: float, rotation_deg: float, flip: bool) -> NDArray[np.float64]:
    """Return where to sample, from the centre, shape (pixels of the grid, samples in a pixel, 2)."""
    samples = int(np.ceil(ratio)) if ratio > 1.5 else 1
    inside = (np.arange(samples) - (samples - 1) / 2) / samples
    axis = (np.arange(size_px) - (size_px - 1) / 2)[:, None] + inside
    y, x = ratio * axis[:, None, :, None], ratio * axis[None, :, None, :]
    angle = np.deg2rad(rotation_deg)
    cos, sin = np.cos(angle), np.sin(angle)
    dy, dx = cos * y + sin * x, cos * x - sin * y
    return np.stack([-dy if flip else dy, dx], axis=-1).reshape(size_px**2, samples**2, 2)


def _sampling_matrix(points: NDArray[np.float64], shape: tuple[int, ...]) -> sparse.csr_array:
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


def _apply(matrix: sparse.csr_array, patterns: NDArray[np.number]) -> NDArray[np.float32]:
    n = len(patterns)
    out = np.empty((n, matrix.shape[0]), np.float32)
    flat = patterns.reshape(n, matrix.shape[1])
    for part in _blocks(n, flat.shape[1]):
        out[part] = (matrix @ np.ascontiguousarray(flat[part].T, dtype=np.float32)).T
    return out


def _shifted(patterns: NDArray[np.number], shifts: NDArray[np.float64]) -> NDArray[np.float32]:
    """Move what lies at ``p + shift`` in each pattern to p, bilinearly; 0 from outside."""
    height, width = patterns.shape[1:]
    shifts = np.clip(shifts, -max(height, width), max(height, width))
    low = np.floor(shifts).astype(np.int64)
    up = (shifts - low).astype(np.float32)
    reach = int(np.abs(low).max()) + 1
    padded = np.zeros((height + 2 * reach, width + 2 * reach), np.float32)
    out = np.empty(patterns.shape, np.float32)
    for pattern, (y, x), (fy, fx), target in zip(patterns, low + reach, up, out, strict=True):
        padded[reach:-reach, reach:-reach] = pattern
        rows = padded[y : y + height] * (1 - fy) + padded[y + 1 : y + 1 + height] * fy
        target[:] = rows[:, x : x + width] * (1 - fx) + rows[:, x + 1 : x + 1 + width] * fx
    return out


def _interpolate(
    patterns: NDArray[np.number], centers: NDArray[np.float64], vectors: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Sample each pattern bilinearly at its centre plus `vectors`, shape (points, 2); return (n, points)."""
    n, height, width = patterns.shape
    out = np.empty((n, len(vectors)), np.float32)
    for part in _blocks(n, max(len(vectors), height * width)):
        padded = np.pad(patterns[part].astype(np.float32), ((0, 0), (1, 2), (1, 2)))
        flat = padded.reshape(-1)
        y = np.clip(centers[part, :1] + vectors[:, 0] + 1, 0, height + 1)
        x = np.clip(centers[part, 1:] + vectors[:, 1] + 1, 0, width + 1)
        low_y, low_x = y.astype(np.int32), x.astype(np.int32)
        up, right = (y - low_y).astype(np.float32), (x - low_x).astype(np.float32)
        index = (np.arange(len(padded))[:, None] * padded.shape[1] + low_y) * padded.shape[2] + low_x
        top = flat[index] * (1 - right) + flat[index + 1] * right
        index += padded.shape[2]
        out[part] = top * (1 - up) + (flat[index] * (1 - right) + flat[index + 1] * right) * up
    return out


def _blocks(n: int, elements: int) -> list[slice]:
    step = max(1, _BLOCK_ELEMENTS // max(elements, 1))
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]
