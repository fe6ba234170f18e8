"""One pass over a scan: centres of mass, counts, mean patterns."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.data import Block, Scan4D
from napari_polarmap.core.disk import Disk
from napari_polarmap.core.ordered import in_threads
from napari_polarmap.core.sums import PatternSums, read_block

_BLOCK_BYTES: Final = 16 * 2**20
_SAMPLE_BYTES: Final = 64 * 2**20
_SAMPLE_EDGE: Final = 8


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
    values = patterns.astype(np.float64) if mask is None else patterns * mask.astype(np.float64)
    rows, columns = values.sum(axis=-1), values.sum(axis=-2)
    y, x = (np.arange(n) - (n - 1) / 2 for n in patterns.shape[-2:])
    return _com(np.stack([rows.sum(axis=-1), rows @ y, columns @ x], axis=-1), patterns.shape[-2:])


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
    raw, n_unreadable = read_block(scan, rows, columns)
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
    n_positions = scan.scan_shape[0] * scan.scan_shape[1]
    sums = PatternSums(scan, disk)
    done = 0
    for (rows, columns), part in in_threads(sums.of, scan.blocks(_BLOCK_BYTES)):
        sums.add((rows, columns), part)
        done += (rows.stop - rows.start) * (columns.stop - columns.start)
        yield done
    if sums.n_unreadable == n_positions:
        raise ValueError(f"{scan.name}: none of the {n_positions} patterns can be read; is the file whole?")
    return ScanStatistics(
        mean_pattern=sums.tiles.sum(axis=(0, 1)) / (n_positions - sums.n_unreadable),
        total=sums.moments[..., 4],
        com_px=_com(sums.moments[..., :3], scan.detector_shape),
        bright=sums.moments[..., 3],
        tile_patterns=sums.tiles,
        tile_edges=sums.edges,
        n_bad_pixels=sums.n_bad,
        n_unreadable=sums.n_unreadable,
    )


def disk_centers_of_mass(scan: Scan4D, disk: Disk) -> NDArray[np.float64]:
    """Return the centre of mass near the disk at every position, shape (scan_y, scan_x, 2), reading only there.

    The same as `ScanStatistics.com_px`.
    """
    sums = PatternSums(scan, disk, whole=False)
    for block, part in in_threads(sums.of, scan.blocks(2 * _BLOCK_BYTES)):
        sums.add(block, part)
    return _com(sums.moments[..., :3], scan.detector_shape)


def sample_mean(scan: Scan4D) -> NDArray[np.float64]:
    """Return the mean pattern over at most 64 MiB: all of a small scan, squares of 8 x 8 positions of a large one.

    Raises
    ------
    ValueError
        If none of these patterns can be read.
    """
    sums = PatternSums(scan, None)
    n_positions = 0
    for block, part in in_threads(sums.of, _sample(scan)):
        sums.add(block, part)
        n_positions += (block[0].stop - block[0].start) * (block[1].stop - block[1].start)
    if sums.n_unreadable == n_positions:
        raise ValueError(f"{scan.name}: none of {n_positions} patterns over the scan can be read; is the file whole?")
    return np.asarray(sums.tiles.sum(axis=(0, 1)) / (n_positions - sums.n_unreadable), dtype=np.float64)


def _sample(scan: Scan4D) -> Iterable[Block]:
    """Return blocks of at most 64 MiB together, evenly over the scan."""
    if scan.nbytes <= _SAMPLE_BYTES:
        return scan.blocks(_BLOCK_BYTES)
    affordable = max(1, _SAMPLE_BYTES // (scan.nbytes // (scan.scan_shape[0] * scan.scan_shape[1])))
    edge = int(np.clip(np.sqrt(affordable / 16), 1, _SAMPLE_EDGE))
    count = max(1, int(np.sqrt(affordable)) // edge)
    # Beginning at multiples of 8: files are often stored in such squares.
    starts = [
        sorted({int(at) // _SAMPLE_EDGE * _SAMPLE_EDGE for at in (np.arange(count) + 0.5) * length / count})
        for length in scan.scan_shape
    ]
    ends = [[min(at + edge, length) for at in axis] for axis, length in zip(starts, scan.scan_shape, strict=True)]
    return [
        (slice(top, bottom), slice(left, right))
        for top, bottom in zip(starts[0], ends[0], strict=True)
        for left, right in zip(starts[1], ends[1], strict=True)
    ]
