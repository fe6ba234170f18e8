"""First pass over a scan: centre of mass, mean pattern, position of the disk."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.disk import Disk, find_disk
from napari_polarmap.core.resampling import resample_patterns

__all__ = [
    "Disk",
    "ScanStatistics",
    "center_of_mass",
    "find_disk",
    "fit_descan",
    "read_patterns",
    "resample_patterns",
    "scan_statistics",
    "statistics_steps",
]

_BLOCK_BYTES = 32 * 2**20


@dataclass(frozen=True, kw_only=True)
class ScanStatistics:
    """What one pass over a scan tells.

    Attributes
    ----------
    mean_pattern : ndarray of float64, shape (det_y, det_x)
        Mean counts over the readable positions.
    total : ndarray of float64, shape (scan_y, scan_x)
        Counts of each pattern.
    com_px : ndarray of float64, shape (scan_y, scan_x, 2)
        Centre of mass ``(y, x)``; NaN where there are no counts.
    bright : ndarray of float64, shape (scan_y, scan_x)
        Counts inside the disk; all counts where no disk was given.
    n_bad_pixels : int
        Detector readings that were not finite, counted over the scan.
    n_unreadable : int
        Scan positions that could not be read.
    """

    mean_pattern: NDArray[np.float64]
    total: NDArray[np.float64]
    com_px: NDArray[np.float64]
    bright: NDArray[np.float64]
    n_bad_pixels: int = 0
    n_unreadable: int = 0


def center_of_mass(patterns: NDArray[np.number], mask: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Return the intensity centre of mass of each diffraction pattern.

    Parameters
    ----------
    patterns : ndarray, shape (..., qy, qx)
        Detector counts, not negative. Leading axes are scan axes.
    mask : ndarray of bool, shape (qy, qx), optional
        Pixels to use.

    Returns
    -------
    com_px : ndarray of float64, shape (..., 2)
        ``(y, x)`` in detector pixels from the middle of pixel ``(0, 0)``;
        NaN where a pattern holds no counts.

    Raises
    ------
    ValueError
        If `patterns` has fewer than two axes or `mask` another shape.

    Examples
    --------
    >>> center_of_mass(np.array([[0, 0], [0, 3]])).tolist()
    [1.0, 1.0]
    """
    patterns = np.asarray(patterns)
    if patterns.ndim < 2:
        raise ValueError(f"patterns have shape {patterns.shape}; a pattern has the two axes (qy, qx)")
    if mask is not None and mask.shape != patterns.shape[-2:]:
        raise ValueError(f"the mask has shape {mask.shape}; it must fit the detector, {patterns.shape[-2:]}")
    moments = patterns.reshape(*patterns.shape[:-2], -1).astype(np.float64) @ _moments(patterns.shape[-2:], mask)
    return _com(moments, patterns.shape[-2:])


def _moments(shape: tuple[int, ...], mask: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Return the columns 1, y, x for each detector pixel, y and x from the middle."""
    y, x = np.indices(shape, dtype=np.float64)
    columns = np.stack([np.ones(shape), y - (shape[0] - 1) / 2, x - (shape[1] - 1) / 2], axis=-1)
    if mask is not None:
        columns = columns * mask[..., None]
    return np.ascontiguousarray(columns.reshape(-1, 3))


def _com(moments: NDArray[np.floating], shape: tuple[int, ...]) -> NDArray[np.float64]:
    counts = moments[..., :1].astype(np.float64)
    middle = (np.array(shape, dtype=np.float64) - 1) / 2
    return np.where(counts > 0, moments[..., 1:3] / np.where(counts > 0, counts, 1) + middle, np.nan)


def read_patterns(scan: Scan4D, rows: slice, columns: slice) -> tuple[NDArray[np.float32], int, int]:
    """Read a block of patterns as clean numbers.

    Returns
    -------
    patterns : ndarray of float32, shape (rows, columns, det_y, det_x)
        Readings that are not finite or negative, and patterns that cannot be read, are 0.
    n_bad_pixels : int
        Readings that were not finite.
    n_unreadable : int
        Patterns that could not be read.
    """
    n_unreadable = 0
    try:
        raw = scan.read(rows, columns)
    except OSError:
        row_numbers, column_numbers = range(*rows.indices(scan.shape[0])), range(*columns.indices(scan.shape[1]))
        raw = np.zeros((len(row_numbers), len(column_numbers), *scan.detector_shape), scan.dtype)
        for i, row in enumerate(row_numbers):
            for j, column in enumerate(column_numbers):
                try:
                    raw[i, j] = scan.pattern(row, column)
                except OSError:
                    n_unreadable += 1
    patterns = raw.astype(np.float32)
    if raw.dtype.kind != "f":
        return np.maximum(patterns, 0, out=patterns), 0, n_unreadable
    bad = ~np.isfinite(patterns)
    patterns[bad] = 0
    return np.maximum(patterns, 0, out=patterns), int(bad.sum()), n_unreadable


def scan_statistics(
    scan: Scan4D, *, disk: Disk | None = None, progress: Callable[[int, int], None] | None = None
) -> ScanStatistics:
    """Run `statistics_steps` to its end.

    Parameters
    ----------
    scan : Scan4D
    disk : Disk, optional
    progress : callable, optional
        Called with (positions done, positions in all) after every block.

    Returns
    -------
    statistics : ScanStatistics
    """
    steps = statistics_steps(scan, disk=disk)
    while True:
        try:
            done = next(steps)
        except StopIteration as finished:
            result: ScanStatistics = finished.value
            return result
        if progress is not None:
            progress(done, scan.scan_shape[0] * scan.scan_shape[1])


def statistics_steps(scan: Scan4D, *, disk: Disk | None = None) -> Generator[int, None, ScanStatistics]:
    """Read every pattern once, block by block, and return sums and centres of mass.

    Parameters
    ----------
    scan : Scan4D
    disk : Disk, optional
        Then the centre of mass is taken inside 1.25 times its radius, where background and
        hot pixels far away do not count; else over the whole detector.

    Yields
    ------
    done : int
        Scan positions read so far, after every block.

    Returns
    -------
    statistics : ScanStatistics

    Raises
    ------
    ValueError
        If no pattern can be read.
    """
    shape = scan.detector_shape
    near = None if disk is None else disk.mask(shape, 1.25)
    weights = _moments(shape, near)
    extra = np.ones(shape) if disk is None else disk.mask(shape).astype(np.float64)
    weights = np.column_stack([weights, extra.ravel(), np.ones(extra.size)]).astype(np.float32)
    moments = np.zeros((*scan.scan_shape, 5))
    pattern_sum = np.zeros(shape)
    done = n_bad = n_unreadable = 0
    n_positions = scan.scan_shape[0] * scan.scan_shape[1]
    for rows, columns in scan.blocks(_BLOCK_BYTES):
        patterns, bad, unreadable = read_patterns(scan, rows, columns)
        flat = patterns.reshape(-1, patterns.shape[2] * patterns.shape[3])
        moments[rows, columns] = (flat @ weights).reshape(*patterns.shape[:2], 5)
        pattern_sum += flat.sum(axis=0, dtype=np.float64).reshape(shape)
        n_bad, n_unreadable, done = n_bad + bad, n_unreadable + unreadable, done + len(flat)
        yield done
    if n_unreadable == n_positions:
        raise ValueError(f"{scan.name}: none of the {n_positions} patterns can be read; is the file whole?")
    return ScanStatistics(
        mean_pattern=pattern_sum / (n_positions - n_unreadable),
        total=moments[..., 4],
        com_px=_com(moments[..., :3], shape),
        bright=moments[..., 3],
        n_bad_pixels=n_bad,
        n_unreadable=n_unreadable,
    )


def fit_descan(
    com_px: NDArray[np.float64],
    weights: NDArray[np.float64] | None = None,
    model: Literal["constant", "plane"] = "plane",
    *,
    center_px: tuple[float, float] | None = None,
) -> NDArray[np.float64]:
    """Return smooth disk centres over the scan from the centre of mass of each position.

    The local centre of mass also follows atom columns, walls and bends; a robust plane keeps
    only what the scan coils do. It is never used to read the polarization.

    Parameters
    ----------
    com_px : ndarray, shape (scan_y, scan_x, 2)
        NaN is left out.
    weights : ndarray, shape (scan_y, scan_x), optional
        For instance counts.
    model : {"constant", "plane"}
    center_px : (float, float), optional
        Centre of the disk in the mean pattern (`find_disk`): the fit then gives only how the disk
        moves, and the mean over the scan is this centre; thickness and tilt move the mean centre of
        mass, not the disk.

    Returns
    -------
    centers_px : ndarray of float64, shape (scan_y, scan_x, 2)

    Raises
    ------
    ValueError
        If `model` is unknown or there is no finite centre of mass.
    """
    if model not in ("constant", "plane"):
        raise ValueError(f"descan model {model!r} is not known; choose 'constant' or 'plane'")
    scan_y, scan_x = com_px.shape[:2]
    y, x = np.meshgrid(np.linspace(-1, 1, scan_y), np.linspace(-1, 1, scan_x), indexing="ij")
    terms = [np.ones_like(y)]
    if model == "plane":
        terms += [axis for axis, n in ((y, scan_y), (x, scan_x)) if n > 1]
    design = np.stack(terms, axis=-1)
    used = np.isfinite(com_px).all(axis=-1)
    if weights is not None:
        used &= np.isfinite(weights) & (weights > 0)
    if not used.any():
        raise ValueError("no scan position has a centre of mass; the patterns hold no counts")
    base = np.ones(int(used.sum())) if weights is None else weights[used] / weights[used].mean()
    coefficients = _robust_fit(design[used], com_px[used], base)
    centers = design @ coefficients
    if center_px is not None:
        mean = np.average(centers[used], axis=0, weights=base)
        centers = centers - mean + np.asarray(center_px, dtype=np.float64)
    return np.asarray(centers, dtype=np.float64)


def _robust_fit(
    design: NDArray[np.float64], values: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Least squares with Huber weights on the length of the residual, shape (terms, 2)."""
    current = weights
    coefficients = np.zeros((design.shape[1], 2))
    for _ in range(20):
        root = np.sqrt(current)[:, None]
        coefficients[:] = np.linalg.lstsq(design * root, values * root, rcond=None)[0]
        length = np.linalg.norm(values - design @ coefficients, axis=1)
        scale = np.median(length)
        current = weights * np.minimum(1, 1.5 * scale / np.maximum(length, 1e-12)) if scale > 0 else weights
    return coefficients
