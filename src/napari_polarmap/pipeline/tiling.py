"""A scan in tiles, each small enough to be held at once, and in blocks to read them by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.data import Block
from napari_polarmap.pipeline.windows import WindowPlan

_LEAST_TILE: Final = 8


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


def shape_of(block: Block) -> tuple[int, int]:
    """Return the number of rows and columns."""
    return block[0].stop - block[0].start, block[1].stop - block[1].start


def blocks(area: Block, most: int) -> Iterator[Block]:
    """Yield whole rows of an area, or parts of one, of at most `most` positions."""
    height, width = shape_of(area)
    columns = min(width, most)
    rows = max(1, most // width)
    for row in range(area[0].start, area[0].start + height, rows):
        for column in range(area[1].start, area[1].start + width, columns):
            yield slice(row, min(row + rows, area[0].stop)), slice(column, min(column + columns, area[1].stop))


def inside(area: Block, block: Block) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and columns, counted in the block, of its positions inside an area."""
    rows, columns = (
        np.arange(max(part.start, all_.start), min(part.stop, all_.stop)) - part.start
        for part, all_ in zip(block, area, strict=True)
    )
    grid = np.meshgrid(rows, columns, indexing="ij")
    return grid[0].ravel(), grid[1].ravel()
