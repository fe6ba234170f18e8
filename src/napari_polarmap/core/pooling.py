"""Windows that average patterns over whole unit cells, so that the lattice cancels.

The probe position inside the cell changes a pattern a hundred times more than the
polarization does; the average over whole cells, for any real period, does not know
it. The smallest window, of one cell, is laid on a grid of half a cell; since each such
average is free of the lattice, so is every weighted sum of them, and larger windows are
sums over that grid. Near the border windows are moved inside, never filled with
mirrored data.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

_HARMONICS: Final = 7
"""Lattice harmonics a probe of 24 mrad transfers at a = 4 A (twice the aperture over the wavelength)."""
_SUBSAMPLES: Final = 7
_RIDGE: Final = 0.02
"""What an uneven window costs in counting noise, weighed against a lattice wave left in it."""


@dataclass(frozen=True)
class Window:
    """Weights on the scan positions around a centre; they sum to 1.

    Attributes
    ----------
    weights : ndarray, shape (2 half_y + 1, 2 half_x + 1)
    leak : float
        Largest share of a lattice harmonic that is left, 0 for perfect cancellation.
    """

    weights: NDArray[np.float64]
    leak: float

    @property
    def half(self) -> tuple[int, int]:
        """Reach ``(y, x)`` from the centre in scan positions."""
        return self.weights.shape[0] // 2, self.weights.shape[1] // 2

    @property
    def effective_positions(self) -> float:
        """Number of equally weighted positions with the same counting noise."""
        return _effective(self.weights)


@dataclass(frozen=True)
class Pool:
    """A window of several cells, as a sum of base windows.

    Attributes
    ----------
    cells : float
        Width in unit cells; 0 for a round neighbourhood.
    weights : ndarray, shape (2 half_y + 1, 2 half_x + 1)
        On the grid of base windows; they sum to 1.
    effective_positions : float
        Number of equally weighted scan positions with the same counting noise.
    """

    cells: float
    weights: NDArray[np.float64]
    effective_positions: float

    @property
    def half(self) -> tuple[int, int]:
        """Reach ``(y, x)`` from the centre in steps of the grid."""
        return self.weights.shape[0] // 2, self.weights.shape[1] // 2

    @property
    def stride(self) -> int:
        """Steps of the grid from one centre to the next: a quarter of the window, at least 1."""
        return max(1, int(self.cells) // 2)


@dataclass(frozen=True)
class Grid:
    """Where the base windows of a scan are centred: evenly, all inside the scan.

    Attributes
    ----------
    start, step, shape : (int, int)
        First centre and distance ``(y, x)`` in scan positions; number of centres.
    """

    start: tuple[int, int]
    step: tuple[int, int]
    shape: tuple[int, int]

    @cached_property
    def axes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and columns of the centres."""
        rows, columns = (
            first + step * np.arange(count)
            for first, step, count in zip(self.start, self.step, self.shape, strict=True)
        )
        return rows, columns


def cell_window(vectors_px: NDArray[np.float64]) -> Window:
    """Return the window of one unit cell that cancels the lattice best.

    Starts from the share of every scan position inside the parallelogram of the cell
    and changes the weights as little as it takes to cancel the harmonics of the
    lattice, so that periods need not be whole numbers of positions.

    Parameters
    ----------
    vectors_px : ndarray, shape (2, 2)
        Lattice vectors as rows ``(y, x)``, in scan positions.

    Returns
    -------
    Window

    Raises
    ------
    ValueError
        If the vectors do not span a cell of at least 2 x 2 positions.

    Examples
    --------
    >>> window = cell_window(np.array([[0.0, 8.0], [8.0, 0.0]]))
    >>> round(window.leak, 2), round(window.effective_positions)
    (0.0, 73)
    """
    vectors = np.asarray(vectors_px, dtype=np.float64)
    if vectors.shape != (2, 2) or not np.isfinite(vectors).all() or abs(np.linalg.det(vectors)) < 4:
        raise ValueError(
            f"lattice vectors {vectors.tolist()} px span less than 2 x 2 scan positions; none can be pooled"
        )
    share = _inside(vectors)
    half_y, half_x = share.shape[0] // 2, share.shape[1] // 2
    offset = np.moveaxis(np.mgrid[-half_y : half_y + 1, -half_x : half_x + 1], 0, -1).astype(np.float64)
    used = share > 0
    waves = _lattice_waves(offset[used], np.asarray(np.linalg.inv(vectors), dtype=np.float64))
    base = share[used]
    # The least relative change of the weights, against what is left of the waves.
    scaled = waves * np.sqrt(base)
    gram = scaled @ scaled.T
    gram[np.diag_indices_from(gram)] += _RIDGE
    corrected = base - np.sqrt(base) * (scaled.T @ np.linalg.solve(gram, waves @ base))
    corrected /= corrected.sum()
    weights = np.zeros(share.shape)
    weights[used] = corrected
    return Window(weights, float(np.hypot(*np.split(waves @ corrected, 2)).max()))


def round_window(radius_px: float) -> Window:
    """Return a disk of equal weights, for scans whose lattice is not resolved."""
    reach = max(1, int(np.floor(radius_px)))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    weights = (np.hypot(y, x) <= radius_px).astype(np.float64)
    return Window(weights / weights.sum(), 1.0)


def cell_reach(vectors_px: NDArray[np.float64]) -> tuple[int, int]:
    """Return how far ``(y, x)`` from its centre the window of one unit cell reaches, in scan positions."""
    reach_y, reach_x = np.ceil(np.abs(np.asarray(vectors_px)).sum(axis=0) / 2).astype(int)
    return int(reach_y), int(reach_x)


def cell_step(vectors_px: NDArray[np.float64]) -> tuple[int, int]:
    """Return half a unit cell ``(y, x)`` in whole scan positions, the step of the grid of base windows.

    The average over a cell, as a function of its place, holds next to nothing above one
    wave per cell; half a cell samples it.
    """
    extent = np.abs(np.asarray(vectors_px)).max(axis=0)
    step_y, step_x = (max(1, int(length / 2 + 1e-6)) for length in extent)
    return step_y, step_x


def lay_grid(scan_shape: tuple[int, int], window: Window, step: tuple[int, int]) -> Grid:
    """Return the grid of window centres over a scan, as near to its middle as it goes.

    Raises
    ------
    ValueError
        If the window is larger than the scan.
    """
    room = [length - 2 * half for length, half in zip(scan_shape, window.half, strict=True)]
    if min(room) < 1:
        raise ValueError(
            f"a window of {window.weights.shape[0]} x {window.weights.shape[1]} positions does not fit a scan of "
            f"{scan_shape[0]} x {scan_shape[1]}"
        )
    shape = [1 + (free - 1) // by for free, by in zip(room, step, strict=True)]
    start = [
        half + (free - 1 - (count - 1) * by) // 2
        for half, free, count, by in zip(window.half, room, shape, step, strict=True)
    ]
    return Grid((start[0], start[1]), step, (shape[0], shape[1]))


def cells_pool(vectors_px: NDArray[np.float64], base: Window, step: tuple[int, int], cells: int) -> Pool:
    """Return the window of `cells` x `cells` unit cells as a sum of windows of one."""
    along = np.arange(cells) - (cells - 1) / 2
    index = np.stack(np.meshgrid(along, along, indexing="ij"), axis=-1).reshape(-1, 2)
    weights = _shared_out(index @ np.asarray(vectors_px) / np.asarray(step))
    return Pool(float(cells), weights, _effective(_spread(weights, base, step)))


def centre_axes(grid: Grid, pool: Pool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows and columns, in steps of the grid, where windows are evaluated; the outermost included.

    A window longer than the scan is centred on its middle, and ends with it.
    """
    axes = []
    for length, half in zip(grid.shape, pool.half, strict=True):
        if length < 2 * half + 1:
            axes.append(np.array([length // 2], np.int64))
            continue
        last = length - 1 - half
        axes.append(np.unique(np.append(np.arange(half, last, pool.stride), last)).astype(np.int64))
    return axes[0], axes[1]


def pooling_matrix(
    shape: tuple[int, int], rows: NDArray[np.int64], columns: NDArray[np.int64], weights: NDArray[np.float64]
) -> sparse.csr_array:
    """Return the matrix that takes the patterns of a block to what they add to windows.

    Parameters
    ----------
    shape : (int, int)
        Scan positions, or steps of the grid, of the block.
    rows, columns : ndarray of int
        Window centres, counted from the block's first position; they may lie outside,
        as may parts of their windows, which then add nothing.
    weights : ndarray
        Of the window.

    Returns
    -------
    csr_array, shape (rows * columns, shape[0] * shape[1])
    """
    half_y, half_x = weights.shape[0] // 2, weights.shape[1] // 2
    dy, dx = np.nonzero(weights)
    y = np.add.outer(rows, dy - half_y)[:, None, :]
    x = np.add.outer(columns, dx - half_x)[None, :, :]
    inside = ((y >= 0) & (y < shape[0])) & ((x >= 0) & (x < shape[1]))
    pointer = np.append(0, np.cumsum(inside.sum(axis=-1).ravel()))
    taps = (y * shape[1] + x)[inside]
    values = np.broadcast_to(weights[dy, dx].astype(np.float32), inside.shape)[inside]
    return sparse.csr_array((values, taps, pointer), shape=(len(rows) * len(columns), shape[0] * shape[1]))


def _effective(weights: NDArray[np.float64]) -> float:
    return float(1 / (weights**2).sum())


def _spread(weights: NDArray[np.float64], base: Window, step: tuple[int, int]) -> NDArray[np.float64]:
    """Return the weights on scan positions of a sum of base windows."""
    count_y, count_x = weights.shape
    tall, wide = base.weights.shape
    out = np.zeros(((count_y - 1) * step[0] + tall, (count_x - 1) * step[1] + wide))
    for row, column in np.argwhere(weights > 0):
        y, x = row * step[0], column * step[1]
        out[y : y + tall, x : x + wide] += weights[row, column] * base.weights
    return out


def _shared_out(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weights on a grid that put an equal share on each point, divided among the four places around it."""
    low = np.floor(points + 1e-9).astype(np.int64)
    part = np.clip(points - low, 0, 1)
    half = np.abs(np.concatenate([low, low + (part > 1e-6)])).max(axis=0)
    weights = np.zeros(2 * half + 1)
    for corner in np.ndindex(2, 2):
        share = np.prod(np.where(corner, part, 1 - part), axis=1)
        used = share > 1e-6
        place = (low + corner + half)[used]
        np.add.at(weights, (place[:, 0], place[:, 1]), share[used])
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def _inside(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of each position in the parallelogram of a cell around the middle; they sum to 1."""
    reach = cell_reach(vectors)
    offset = np.moveaxis(np.mgrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1], 0, -1).astype(np.float64)
    fine = (np.arange(_SUBSAMPLES) + 0.5) / _SUBSAMPLES - 0.5
    share = np.zeros(offset.shape[:2])
    to_cell = np.linalg.inv(vectors)
    for fy in fine:
        for fx in fine:
            share += (np.abs((offset + np.array([fy, fx])) @ to_cell) <= 0.5 + 1e-9).all(axis=-1)
    return np.asarray(share / share.sum(), dtype=np.float64)


def _lattice_waves(offset: NDArray[np.float64], to_cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosines, then sines, of the lattice harmonics; the higher, the fainter, as the lens transfers them."""
    order = np.arange(-_HARMONICS, _HARMONICS + 1)
    index = np.array([(h, k) for h in order for k in order])
    # One of each pair +-g.
    index = index[(index[:, 0] > 0) | ((index[:, 0] == 0) & (index[:, 1] > 0))]
    index = index[np.hypot(*index.T) <= _HARMONICS]
    # Harmonics that alias onto zero frequency look constant on this scan; nothing can cancel them.
    frequency = index @ to_cell.T
    aliased = np.abs(frequency - np.round(frequency)).max(axis=1) < 1e-3
    phase = 2 * np.pi * offset @ (frequency[~aliased]).T
    transfer = 1 - np.hypot(*index[~aliased].T) / (_HARMONICS + 1)
    waves = np.concatenate([np.cos(phase).T, np.sin(phase).T]) * np.tile(transfer, 2)[:, None]
    return np.asarray(waves, dtype=np.float64)
