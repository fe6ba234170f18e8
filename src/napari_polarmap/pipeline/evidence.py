"""What a classifier says of a scan: tile by tile, single patterns and windows of whole cells."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_polarmap.core.data import Block
from napari_polarmap.core.directions import N_DIRECTIONS
from napari_polarmap.core.domains import log_softmax
from napari_polarmap.core.estimator import Estimate
from napari_polarmap.core.pooling import Pool, centre_axes, pooling_matrix
from napari_polarmap.pipeline.frame import Frame
from napari_polarmap.pipeline.inspection import Progress
from napari_polarmap.pipeline.windows import WindowPlan

TILE_BYTES: Final = 192 * 2**20
BLOCK_BYTES: Final = 32 * 2**20
_SINGLES: Final = 512
_POOLED: Final = 128
_LEAST_TILE: Final = 8

ESTIMATED: Final = (
    "angle_deg",
    "angle_spread_deg",
    "amplitude",
    "amplitude_spread",
    "thickness_nm",
    "thickness_error_nm",
    "tilt_mrad",
    "misfit",
)
"""What is kept of an `Estimate`."""


@dataclass(frozen=True)
class Evidence:
    """What the classifier says: log-probabilities of the 8 directions and "none" at every position.

    `single` and `embedding` are of single patterns, `pooled` of each of the `pools`, smallest first;
    `estimated` are the numbers of the physical estimator for these, by name, where there is one.
    """

    single: NDArray[np.float32]
    embedding: NDArray[np.float32]
    pools: list[Pool]
    pooled: list[NDArray[np.float32]]
    estimated: list[dict[str, NDArray[np.float32]]]


@dataclass(frozen=True)
class Tile:
    """A part of the scan whose cell averages are held at once.

    Attributes
    ----------
    own : (slice, slice)
        Scan positions that it answers for.
    read : (slice, slice)
        Scan positions that its windows reach.
    nodes : (slice, slice)
        Base windows that its windows are made of, in steps of the grid.
    centred : (slice, slice)
        Base windows in whose place it evaluates windows.
    """

    own: Block
    read: Block
    nodes: Block
    centred: Block


class _Answers:
    """What is said of one window size, at its centres."""

    def __init__(self, plan: WindowPlan, pool: Pool) -> None:
        self.pool, self.grid = pool, plan.grid
        self.axes = centre_axes(plan.grid, pool)
        self.shape = len(self.axes[0]), len(self.axes[1])
        self.log_probability = np.full((*self.shape, N_DIRECTIONS + 1), np.nan, np.float32)
        self.estimated: dict[str, NDArray[np.float32]] = {}

    def estimate(self, place: tuple[NDArray[np.int64], NDArray[np.int64]], estimate: Estimate) -> None:
        """Keep what the physical estimator says of some windows."""
        for name in ESTIMATED:
            values = getattr(estimate, name)
            kept = self.estimated.setdefault(name, np.full((*self.shape, *values.shape[1:]), np.nan, np.float32))
            kept[place] = values

    def of(self, tile: Tile) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the indices of the centres that lie in a tile."""
        rows, columns = (
            np.flatnonzero((at >= part.start) & (at < part.stop))
            for at, part in zip(self.axes, tile.centred, strict=True)
        )
        return rows, columns

    def everywhere(self, scan_shape: tuple[int, int]) -> NDArray[np.float32]:
        """Interpolate from the centres to every position; beyond the last centre its window is used."""
        places = [
            np.interp(np.arange(length), at[index], np.arange(len(index)))
            for length, at, index in zip(scan_shape, self.grid.axes, self.axes, strict=True)
        ]
        place = np.stack(np.meshgrid(*places, indexing="ij"))
        channels = [
            ndimage.map_coordinates(channel, place, order=1) for channel in np.moveaxis(self.log_probability, -1, 0)
        ]
        return log_softmax(np.stack(channels, axis=-1))

    def nearest(self, scan_shape: tuple[int, int]) -> dict[str, NDArray[np.float32]]:
        """Return, at every position, the numbers estimated at the nearest centre."""
        rows, columns = (
            np.abs(np.arange(length)[:, None] - at[index]).argmin(axis=1)
            for length, at, index in zip(scan_shape, self.grid.axes, self.axes, strict=True)
        )
        return {name: values[np.ix_(rows, columns)] for name, values in self.estimated.items()}


def classify(
    frame: Frame, plan: WindowPlan | None, *, singles: bool = True, tile_bytes: int = TILE_BYTES
) -> Generator[Progress, None, Evidence]:
    """Classify tile by tile.

    Patterns are read in blocks of at most 32 MiB and added to the averages over one cell, of which a tile
    holds at most `tile_bytes`; larger windows are sums of these. So memory does not grow with the scan but
    for the maps themselves. A tile reads as far beyond its edge as its largest window reaches; no pattern
    is classified twice.

    Parameters
    ----------
    frame : Frame
    plan : WindowPlan, optional
        Windows to evaluate; without, single patterns only.
    singles : bool
        Classify single patterns too; else their part of the evidence stays NaN.
    tile_bytes : int
        Bound of the averages held at once.
    """
    scan_shape, edge = frame.scan.scan_shape, frame.classifier.info.grid_px
    block_count = max(1, BLOCK_BYTES // (4 * max(edge**2, int(np.prod(frame.scan.detector_shape)))))
    answers = [_Answers(plan, pool) for pool in plan.pools] if plan else []
    single = np.full((*scan_shape, N_DIRECTIONS + 1), np.nan, np.float32)
    width = frame.classifier.embed(np.zeros((1, edge, edge), np.float32)).shape[1]
    embedding = np.full((*scan_shape, width), np.nan, np.float32)
    done, total = 0, scan_shape[0] * scan_shape[1]
    for tile in tiles(scan_shape, plan, tile_bytes // (4 * edge**2)):
        averages = np.zeros((*_shape(tile.nodes), edge**2), np.float32)
        for block in _blocks(tile.read, block_count):
            patterns = frame.patterns(*block)
            yield Progress("classifying", done, total)
            if plan is not None:
                _add(averages, patterns, plan, tile, block)
            if not singles:
                continue
            rows, columns = _inside(tile.own, block)
            mine = np.ravel_multi_index((rows, columns), _shape(block))
            for first in range(0, len(mine), _SINGLES):
                some = slice(first, first + _SINGLES)
                place = rows[some] + block[0].start, columns[some] + block[1].start
                part = patterns[mine[some]]
                single[place] = log_probability(frame, part, pooled=False, electrons=frame.electrons(part))
                embedding[place] = frame.classifier.embed(part)
                done += len(place[0])
                yield Progress("classifying", done, total)
        for answer in answers:
            for _ in _ask(frame, averages, answer, tile):
                yield Progress("classifying", done, total)
    return Evidence(
        single,
        embedding,
        plan.pools if plan else [],
        [answer.everywhere(scan_shape) for answer in answers],
        [answer.nearest(scan_shape) for answer in answers],
    )


def tiles(scan_shape: tuple[int, int], plan: WindowPlan | None, most_nodes: int) -> list[Tile]:
    """Return the tiles of a scan, each of at most `most_nodes` base windows where windows allow it."""
    whole = slice(0, scan_shape[0]), slice(0, scan_shape[1])
    if plan is None:
        return [Tile(whole, whole, (slice(0, 0), slice(0, 0)), (slice(0, 0), slice(0, 0)))]
    reach = np.max([pool.half for pool in plan.pools], axis=0)
    count_y, count_x = plan.grid.shape
    outer_x = min(count_x, max(int(np.sqrt(most_nodes)), most_nodes // count_y))
    outer_y = min(count_y, most_nodes // outer_x)
    axes = [
        _parts(axis, count, int(half), outer, scan_shape, plan)
        for axis, (count, half, outer) in enumerate(zip(plan.grid.shape, reach, (outer_y, outer_x), strict=True))
    ]
    return [Tile(*zip(down, across, strict=True)) for down in axes[0] for across in axes[1]]


def _parts(
    axis: int, count: int, reach: int, outer: int, scan_shape: tuple[int, int], plan: WindowPlan
) -> list[tuple[slice, slice, slice, slice]]:
    """Return the parts of one axis: own, read, nodes, centred."""
    grid, half, length = plan.grid, plan.base.half[axis], scan_shape[axis]
    start, step = grid.start[axis], grid.step[axis]
    inner = count if outer >= count else max(_LEAST_TILE, outer - 2 * reach)
    edges = [*range(0, count, inner), count]
    found = []
    for first, last in pairwise(edges):
        low, high = max(0, first - reach), min(count, last + reach)
        own = slice(
            0 if first == 0 else start + first * step - step // 2,
            length if last == count else start + last * step - step // 2,
        )
        read = slice(min(own.start, start + low * step - half), max(own.stop, start + (high - 1) * step + half + 1))
        found.append((own, read, slice(low, high), slice(first, last)))
    return found


def _shape(block: Block) -> tuple[int, int]:
    return block[0].stop - block[0].start, block[1].stop - block[1].start


def _blocks(area: Block, most: int) -> Iterator[Block]:
    """Yield whole rows of an area, or parts of one, of at most `most` positions."""
    height, width = _shape(area)
    columns = min(width, most)
    rows = max(1, most // width)
    for row in range(area[0].start, area[0].start + height, rows):
        for column in range(area[1].start, area[1].start + width, columns):
            yield slice(row, min(row + rows, area[0].stop)), slice(column, min(column + columns, area[1].stop))


def _inside(area: Block, block: Block) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and columns, counted in the block, of its positions inside an area."""
    rows, columns = (
        np.arange(max(part.start, all_.start), min(part.stop, all_.stop)) - part.start
        for part, all_ in zip(block, area, strict=True)
    )
    grid = np.meshgrid(rows, columns, indexing="ij")
    return grid[0].ravel(), grid[1].ravel()


def _add(
    averages: NDArray[np.float32], patterns: NDArray[np.float32], plan: WindowPlan, tile: Tile, block: Block
) -> None:
    """Add the patterns of a block to the cell averages of a tile."""
    touched, centres = [], []
    for axis in range(2):
        at = plan.grid.axes[axis][tile.nodes[axis]] - block[axis].start
        half = plan.base.half[axis]
        near = np.flatnonzero((at >= -half) & (at < _shape(block)[axis] + half))
        if len(near) == 0:
            return
        touched.append(slice(int(near[0]), int(near[-1]) + 1))
        centres.append(at[near])
    matrix = pooling_matrix(_shape(block), centres[0], centres[1], plan.base.weights)
    added = matrix @ patterns.reshape(len(patterns), -1)
    averages[touched[0], touched[1]] += added.reshape(len(centres[0]), len(centres[1]), -1)


def _ask(frame: Frame, averages: NDArray[np.float32], answer: _Answers, tile: Tile) -> Iterator[None]:
    """Classify the windows of one size centred in a tile."""
    rows, columns = answer.of(tile)
    shift = [at[pick] - part.start for at, pick, part in zip(answer.axes, (rows, columns), tile.nodes, strict=True)]
    matrix = pooling_matrix(averages.shape[:2], shift[0], shift[1], answer.pool.weights)
    place = [grid.ravel() for grid in np.meshgrid(rows, columns, indexing="ij")]
    edge = frame.classifier.info.grid_px
    for first in range(0, matrix.shape[0], _POOLED):
        some = slice(first, first + _POOLED)
        pooled = np.maximum(matrix[some] @ averages.reshape(-1, edge**2), 0).reshape(-1, edge, edge)
        electrons = frame.electrons(pooled, answer.pool.effective_positions)
        at = place[0][some], place[1][some]
        answer.log_probability[at] = log_probability(frame, pooled, electrons=electrons, pooled=True)
        if frame.estimator is not None:
            answer.estimate(at, frame.estimator.estimate(pooled, electrons))
        yield


def log_probability(
    frame: Frame, patterns: NDArray[np.float32], *, pooled: bool, electrons: NDArray[np.floating] | None
) -> NDArray[np.float32]:
    """Return log-probabilities of directions and "none", shape (n, 9); arguments as for `Classifier.predict`."""
    answer = frame.classifier.predict(patterns, pooled=pooled, electrons=electrons)
    informed = answer.informed[:, None].astype(np.float64)
    together = np.concatenate([answer.probability * informed, 1 - informed], axis=1)
    return np.asarray(np.log(np.maximum(together, 1e-9)), dtype=np.float32)
