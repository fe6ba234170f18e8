"""Images of virtual detectors, at once from a copy in memory and exactly from the file; means over regions."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.data import Block, Scan4D
from napari_polarmap.core.survey import read_patterns
from napari_polarmap.pipeline.inspection import Progress

_BLOCK_BYTES: Final = 8 * 2**20


@dataclass(frozen=True, eq=False)
class BinnedScan:
    """A scan in memory, detector pixels added up in squares where it would not fit.

    Attributes
    ----------
    data : ndarray of float32, shape (scan_y * scan_x, bins)
    scan_shape, detector_shape : (int, int)
    bin_px : int
        Edge of the squares; 1 keeps every pixel.
    """

    data: NDArray[np.float32]
    scan_shape: tuple[int, int]
    detector_shape: tuple[int, int]
    bin_px: int

    @property
    def exact(self) -> bool:
        """Whether images are those of the scan itself."""
        return self.bin_px == 1

    def image(self, weights: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the weighted counts at each scan position; a square weighs the mean of its pixels."""
        sizes = _bin(np.ones(self.detector_shape, np.float32), self.bin_px)
        mean = (_bin(np.asarray(weights, np.float32), self.bin_px) / sizes).ravel()
        used = np.flatnonzero(mean)
        few = len(used) < 0.4 * len(mean)
        values = self.data[:, used] @ mean[used] if few else self.data @ mean
        return np.asarray(values, np.float32).reshape(self.scan_shape)


def binned_steps(scan: Scan4D, max_bytes: int = 256 * 2**20) -> Generator[Progress, None, BinnedScan]:
    """Read a scan into at most `max_bytes`, telling how far that has come."""
    n_positions = scan.scan_shape[0] * scan.scan_shape[1]
    bin_px = 1
    while 4 * n_positions * int(np.prod(_bins(scan.detector_shape, bin_px))) > max_bytes:
        bin_px += 1
    data = np.zeros((*scan.scan_shape, int(np.prod(_bins(scan.detector_shape, bin_px)))), np.float32)
    for done, block in _blocks(scan):
        yield Progress("reading the scan", done, n_positions)
        data[block] = _bin(read_patterns(scan, *block)[0], bin_px).reshape(*_shape(block), -1)
    return BinnedScan(data.reshape(n_positions, -1), scan.scan_shape, scan.detector_shape, bin_px)


def virtual_image_steps(scan: Scan4D, weights: NDArray[np.floating]) -> Generator[Progress, None, NDArray[np.float32]]:
    """Return the weighted counts at each scan position from the file, shape (scan_y, scan_x)."""
    image = np.zeros(scan.scan_shape, np.float32)
    flat = np.asarray(weights, np.float32).ravel()
    for done, block in _blocks(scan):
        yield Progress("virtual image", done, image.size)
        image[block] = read_patterns(scan, *block)[0].reshape(*_shape(block), -1) @ flat
    return image


def mean_pattern_steps(scan: Scan4D, mask: NDArray[np.bool_]) -> Generator[Progress, None, NDArray[np.float64]]:
    """Return the mean pattern of the scan positions in a mask, reading only the blocks that hold some.

    Raises
    ------
    ValueError
        If the mask has another shape than the scan, or holds no position.
    """
    if mask.shape != scan.scan_shape:
        raise ValueError(f"the region has shape {mask.shape}; the scan has {scan.scan_shape}")
    count = int(mask.sum())
    if count == 0:
        raise ValueError("the region holds no scan position; draw it over the scan")
    total, done = np.zeros(scan.detector_shape), 0
    for _, block in _blocks(scan):
        inside = mask[block]
        if inside.any():
            yield Progress("averaging", done, count)
            total += read_patterns(scan, *block)[0][inside].sum(axis=0, dtype=np.float64)
            done += int(inside.sum())
    return total / count


def _blocks(scan: Scan4D) -> Generator[tuple[int, Block], None, None]:
    """Yield how many positions lie before each block, and the block."""
    done = 0
    for block in scan.blocks(_BLOCK_BYTES):
        yield done, block
        rows, columns = _shape(block)
        done += rows * columns


def _shape(block: Block) -> tuple[int, int]:
    rows, columns = block
    return rows.stop - rows.start, columns.stop - columns.start


def _bins(shape: tuple[int, int], bin_px: int) -> tuple[int, int]:
    return -(-shape[0] // bin_px), -(-shape[1] // bin_px)


def _bin(patterns: NDArray[np.float32], bin_px: int) -> NDArray[np.float32]:
    """Add up squares of pixels, shape (..., rows, columns); those at the end may be smaller."""
    if bin_px == 1:
        return patterns
    rows, columns = (np.arange(0, size, bin_px) for size in patterns.shape[-2:])
    return np.asarray(np.add.reduceat(np.add.reduceat(patterns, rows, axis=-2), columns, axis=-1), np.float32)
