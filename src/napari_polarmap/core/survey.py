"""One pass over a scan: centres of mass, counts, mean patterns."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.disk import Disk

_BLOCK_BYTES: Final = 32 * 2**20
_TILES: Final = 4
_TILES_BYTES: Final = 64 * 2**20
_MIN_TILE: Final = 8


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
    tile_patterns : ndarray of float64, shape (tiles_y, tiles_x, det_y, det_x)
        Summed counts in up to 4 x 4 parts of the scan.
    tile_edges : (ndarray of int, ndarray of int)
        Where the tiles begin and end along scan y and x.
    n_bad_pixels : int
        Detector readings that were not finite, counted over the scan.
    n_unreadable : int
        Scan positions that could not be read.
    """

    mean_pattern: NDArray[np.float64]
    total: NDArray[np.float64]
    com_px: NDArray[np.float64]
    bright: NDArray[np.float64]
    tile_patterns: NDArray[np.float64]
    tile_edges: tuple[NDArray[np.int64], NDArray[np.int64]]
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
    edges = _tile_edges(scan.scan_shape, shape)
    tiles = np.zeros((len(edges[0]) - 1, len(edges[1]) - 1, *shape))
    done = n_bad = n_unreadable = 0
    n_positions = scan.scan_shape[0] * scan.scan_shape[1]
    for rows, columns in scan.blocks(_BLOCK_BYTES):
        patterns, bad, unreadable = read_patterns(scan, rows, columns)
        flat = patterns.reshape(-1, patterns.shape[2] * patterns.shape[3])
        moments[rows, columns] = (flat @ weights).reshape(*patterns.shape[:2], 5)
        _add_to_tiles(tiles, patterns, (rows.start, columns.start), edges)
        n_bad, n_unreadable, done = n_bad + bad, n_unreadable + unreadable, done + len(flat)
        yield done
    if n_unreadable == n_positions:
        raise ValueError(f"{scan.name}: none of the {n_positions} patterns can be read; is the file whole?")
    return ScanStatistics(
        mean_pattern=tiles.sum(axis=(0, 1)) / (n_positions - n_unreadable),
        total=moments[..., 4],
        com_px=_com(moments[..., :3], shape),
        bright=moments[..., 3],
        tile_patterns=tiles,
        tile_edges=edges,
        n_bad_pixels=n_bad,
        n_unreadable=n_unreadable,
    )


def _tile_edges(
    scan_shape: tuple[int, int], detector_shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the tiles of a scan begin and end; fewer for small scans and large detectors."""
    affordable = int(np.sqrt(_TILES_BYTES / (8 * detector_shape[0] * detector_shape[1])))
    parts = [max(1, min(n // _MIN_TILE, _TILES, affordable)) for n in scan_shape]
    y, x = (np.linspace(0, n, k + 1).round().astype(np.int64) for n, k in zip(scan_shape, parts, strict=True))
    return y, x


def _add_to_tiles(
    tiles: NDArray[np.float64],
    patterns: NDArray[np.float32],
    start: tuple[int, int],
    edges: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> None:
    for i, j in np.ndindex(*tiles.shape[:2]):
        rows = slice(max(edges[0][i] - start[0], 0), max(edges[0][i + 1] - start[0], 0))
        columns = slice(max(edges[1][j] - start[1], 0), max(edges[1][j + 1] - start[1], 0))
        part = patterns[rows, columns]
        if part.size:
            tiles[i, j] += part.sum(axis=(0, 1), dtype=np.float64)
