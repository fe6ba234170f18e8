"""Sums over a scan as they grow, block by block: counts and moments of each pattern, mean patterns of parts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.bad_pixels import fill_bad_pixels
from napari_polarmap.core.data import Block, Scan4D
from napari_polarmap.core.disk import Disk
from napari_polarmap.core.kernels import add_counts, add_patterns, exact

_TILES: Final = 4
_TILES_BYTES: Final = 64 * 2**20
_MIN_TILE: Final = 8


def read_block(scan: Scan4D, rows: slice, columns: slice, box: Block | None = None) -> tuple[NDArray[np.number], int]:
    """Read as `Scan4D.read` does, bad pixels filled; patterns that cannot be read are 0, and counted."""
    bad_pixels = scan.calibration.bad_pixels
    try:
        return fill_bad_pixels(scan.read(rows, columns, box), bad_pixels, box), 0
    except (OSError, ValueError):
        pass
    part = box or (slice(None), slice(None))
    n_unreadable = 0
    row_numbers, column_numbers = range(*rows.indices(scan.shape[0])), range(*columns.indices(scan.shape[1]))
    raw: NDArray[Any] = np.zeros((len(row_numbers), len(column_numbers), *scan.detector_shape), scan.dtype)[..., *part]
    for i, row in enumerate(row_numbers):
        for j, column in enumerate(column_numbers):
            try:
                raw[i, j] = scan.pattern(row, column)[part]
            except (OSError, ValueError):
                n_unreadable += 1
    return fill_bad_pixels(raw, bad_pixels, box), n_unreadable


class PatternSums:
    """What is known of the patterns read so far; `of` works on a block in any thread, `add` keeps it."""

    def __init__(self, scan: Scan4D, disk: Disk | None, *, whole: bool = True) -> None:
        self.scan, self.whole = scan, whole
        self.near, self.bright = (_spans(scan.detector_shape, disk, grow) for grow in (1.25, 1.0))
        self.bright *= whole
        self.moments = np.zeros((*scan.scan_shape, 5))
        self.edges = _tile_edges(scan.scan_shape, scan.detector_shape, _TILES if whole else 1)
        shown = scan.detector_shape if whole else (0, 0)
        self.tiles = np.zeros((len(self.edges[0]) - 1, len(self.edges[1]) - 1, *shown))
        self.n_bad = self.n_unreadable = 0

    def of(self, block: Block) -> tuple[NDArray[np.float64], list[tuple[tuple[int, int], Any]], int, int]:
        """Return moments, patterns summed in each tile, bad readings and unreadable patterns of a block."""
        raw, n_unreadable = read_block(self.scan, *block)
        patterns = plain(raw)
        moments, add = np.empty((*patterns.shape[:2], 5)), add_counts if exact(patterns) else add_patterns
        found = []
        for tile, ((top, bottom), (left, right)) in self._tiles_of(block):
            total = np.zeros(self.tiles.shape[2:])
            add(patterns[top:bottom], (left, right), self.near, self.bright, moments[top:bottom], total)
            found.append((tile, total))
        n_bad = int(patterns.size - np.isfinite(patterns).sum()) if patterns.dtype.kind == "f" and self.whole else 0
        return moments, found, n_bad, n_unreadable

    def _tiles_of(self, block: Block) -> Iterator[tuple[tuple[int, int], list[tuple[int, int]]]]:
        """Yield the tiles that a block meets, and the rows and columns of the block in each."""
        parts = []
        for edges, part in zip(self.edges, block, strict=True):
            within = [min(max(int(edge), part.start), part.stop) - part.start for edge in edges]
            parts.append([(number, ends) for number, ends in enumerate(pairwise(within)) if ends[0] < ends[1]])
        for (i, rows), (j, columns) in product(*parts):
            yield (i, j), [rows, columns]

    def add(self, block: Block, part: tuple[NDArray[np.float64], list[tuple[tuple[int, int], Any]], int, int]) -> None:
        """Keep what `of` says of a block."""
        self.moments[block] = part[0]
        for tile, total in part[1]:
            self.tiles[tile] += total
        self.n_bad, self.n_unreadable = self.n_bad + part[2], self.n_unreadable + part[3]


def plain(raw: NDArray[Any]) -> NDArray[Any]:
    """Return patterns contiguous and of a type that compiled loops know."""
    dtype = raw.dtype.newbyteorder("=")
    if dtype.kind == "b":
        dtype = np.dtype(np.uint8)
    elif dtype.kind == "f" and dtype.itemsize not in (4, 8):
        dtype = np.dtype(np.float32 if dtype.itemsize < 4 else np.float64)
    return np.ascontiguousarray(raw, dtype)


def _spans(shape: tuple[int, int], disk: Disk | None, grow: float) -> NDArray[np.int64]:
    """Return the first pixel of each row inside a disk and the one after the last; the detector without a disk."""
    mask = np.ones(shape, np.bool_) if disk is None else disk.mask(shape, grow)
    first, last = mask.argmax(axis=1), shape[1] - mask[:, ::-1].argmax(axis=1)
    return np.stack([first, np.where(mask.any(axis=1), last, first)], axis=1).astype(np.int64)


def _tile_edges(
    scan_shape: tuple[int, int], detector_shape: tuple[int, int], most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the tiles of a scan begin and end; fewer than `most` for small scans and large detectors."""
    affordable = int(np.sqrt(_TILES_BYTES / (8 * detector_shape[0] * detector_shape[1])))
    parts = [max(1, min(n // _MIN_TILE, most, affordable)) for n in scan_shape]
    y, x = (np.linspace(0, n, k + 1).round().astype(np.int64) for n, k in zip(scan_shape, parts, strict=True))
    return y, x
