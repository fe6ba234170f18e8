"""What a classifier says of a scan: tile by tile, single patterns and windows of whole cells."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_polarmap.core.directions import N_DIRECTIONS
from napari_polarmap.core.domains import log_softmax
from napari_polarmap.core.pooling import Pool, centre_axes, pooling_matrix
from napari_polarmap.pipeline.frame import Frame
from napari_polarmap.pipeline.inspection import Progress
from napari_polarmap.pipeline.looking import Told, Windows, look, tell
from napari_polarmap.pipeline.tiling import Tile, blocks, shape_of, tiles
from napari_polarmap.pipeline.unfinished import Place, Unfinished
from napari_polarmap.pipeline.windows import WindowPlan
from napari_polarmap.pipeline.workplace import Setting, Threads, Workplace

TILE_BYTES: Final = 192 * 2**20
BLOCK_BYTES: Final = 32 * 2**20
_POOLED: Final = 128


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


class _Answers:
    """What is said of one window size, at its centres."""

    def __init__(self, plan: WindowPlan, pool: Pool, size: int, found: dict[str, NDArray[Any]]) -> None:
        self.pool, self.grid = pool, plan.grid
        self.axes = centre_axes(plan.grid, pool)
        self.shape = len(self.axes[0]), len(self.axes[1])
        self.size = size
        known = {name.removeprefix(f"{size}."): array for name, array in found.items() if name.startswith(f"{size}.")}
        nothing = np.full((*self.shape, N_DIRECTIONS + 1), np.nan, np.float32)
        self.log_probability: NDArray[np.float32] = known.pop("log_probability", nothing)
        self.estimated: dict[str, NDArray[np.float32]] = known

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return what has been said so far, by names that no other size has."""
        said = {"log_probability": self.log_probability, **self.estimated}
        return {f"{self.size}.{name}": array for name, array in said.items()}

    def keep(self, windows: Windows, told: Told) -> None:
        """Keep what is said of some windows."""
        place = windows.place
        self.log_probability[place] = told.log_probability
        for name, values in told.estimated.items():
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
    frame: Frame,
    plan: WindowPlan | None,
    *,
    singles: bool = True,
    tile_bytes: int = TILE_BYTES,
    workplace: Workplace | None = None,
    unfinished: Unfinished | None = None,
    run: dict[str, Any] | None = None,
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
    workplace : Workplace, optional
        Where the work is done; in threads when not given.
    unfinished : Unfinished, optional
        Keeps what has been found so far, and has what was found before.
    run : dict, optional
        What it is known by, see `Unfinished.begin`.
    """
    workplace, setting = workplace or Threads(), Setting(frame, plan, singles)
    scan_shape, edge = frame.scan.scan_shape, frame.classifier.info.grid_px
    block_count = max(1, BLOCK_BYTES // (4 * max(edge**2, int(np.prod(frame.scan.detector_shape)))))
    at, found = unfinished.begin(run or {}) if unfinished else (Place(), {})
    answers = [_Answers(plan, pool, name, found) for name, pool in enumerate(plan.pools)] if plan else []
    single = found.get("single", np.full((*scan_shape, N_DIRECTIONS + 1), np.nan, np.float32))
    width = frame.classifier.embed(np.zeros((1, edge, edge), np.float32)).shape[1]
    embedding = found.get("embedding", np.full((*scan_shape, width), np.nan, np.float32))
    done, total = int(np.isfinite(single[..., 0]).sum()), scan_shape[0] * scan_shape[1]
    yield Progress("classifying", done, total)

    def keep(place: Place) -> None:
        if unfinished:
            said = {name: array for answer in answers for name, array in answer.arrays().items()}
            unfinished.offer(place, {"single": single, "embedding": embedding, "averages": averages, **said})

    for number, tile in enumerate(tiles(scan_shape, plan, tile_bytes // (4 * edge**2))):
        if number < at.tiles:
            continue
        here = at if number == at.tiles else Place(number)
        averages = np.zeros((*shape_of(tile.nodes), edge**2), np.float32)
        if here.blocks:
            averages = found["averages"]
        left = islice(((tile, block) for block in blocks(tile.read, block_count)), here.blocks, None)
        for _, looked in workplace.each(look, setting, left):
            if looked.nodes is not None:
                averages[looked.nodes] += looked.added
            if len(looked.place[0]):
                single[looked.place], embedding[looked.place] = looked.single, looked.embedding
            done += len(looked.place[0])
            here = here._replace(blocks=here.blocks + 1)
            keep(here)
            yield Progress("classifying", done, total)
        for windows, told in workplace.each(
            tell, setting, islice(_windows(averages, answers, tile), here.windows, None)
        ):
            answers[windows.size].keep(windows, told)
            here = here._replace(windows=here.windows + 1)
            keep(here)
            yield Progress("classifying", done, total)
    return Evidence(
        single,
        embedding,
        plan.pools if plan else [],
        [answer.everywhere(scan_shape) for answer in answers],
        [answer.nearest(scan_shape) for answer in answers],
    )


def _windows(averages: NDArray[np.float32], answers: list[_Answers], tile: Tile) -> Iterator[Windows]:
    """Yield the windows centred in a tile, smallest first, some at a time."""
    edge = round(averages.shape[2] ** 0.5)
    for answer in answers:
        rows, columns = answer.of(tile)
        shift = [at[pick] - part.start for at, pick, part in zip(answer.axes, (rows, columns), tile.nodes, strict=True)]
        matrix = pooling_matrix(averages.shape[:2], shift[0], shift[1], answer.pool.weights)
        place = [grid.ravel() for grid in np.meshgrid(rows, columns, indexing="ij")]
        for first in range(0, matrix.shape[0], _POOLED):
            some = slice(first, first + _POOLED)
            patterns = np.maximum(matrix[some] @ averages.reshape(-1, edge**2), 0).reshape(-1, edge, edge)
            yield Windows(answer.size, (place[0][some], place[1][some]), patterns, answer.pool.effective_positions)
