"""What a classifier says of a scan: tile by tile, single patterns and windows of whole cells."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from napari_polarmap.core.directions import N_DIRECTIONS
from napari_polarmap.core.own_modes import OwnModes, own_modes
from napari_polarmap.core.pooling import Pool
from napari_polarmap.pipeline.answers import BATCH, Answers, window_places
from napari_polarmap.pipeline.frame import Frame
from napari_polarmap.pipeline.inspection import Progress
from napari_polarmap.pipeline.looking import Windows, embed, look, tell
from napari_polarmap.pipeline.missing import undisturbed
from napari_polarmap.pipeline.segmenting import Segments
from napari_polarmap.pipeline.tiling import Tile, blocks, shape_of, tiles
from napari_polarmap.pipeline.unfinished import Place, Unfinished
from napari_polarmap.pipeline.windows import WindowPlan
from napari_polarmap.pipeline.workplace import Setting, Threads, Workplace

TILE_BYTES: Final = 192 * 2**20
BLOCK_BYTES: Final = 32 * 2**20
BLOCK_POSITIONS: Final = 256
"""So progress moves with slow classifiers too, and all who work on a small scan end together."""
_SQUARES: Final = 5
_SQUARE_PX: Final = 8


@dataclass(frozen=True)
class Evidence:
    """What the classifier says: log-probabilities of the 8 directions and "none" at every position.

    `single` and `embedding` (the classifier's outputs, then the scan's own modes) are of single patterns,
    `pooled` of each of the `pools`, smallest first, as far as they lie in the segment of the position;
    `estimated` are the electrons in these, and the numbers of the physical estimator where there is one, by name.
    """

    single: NDArray[np.float32]
    embedding: NDArray[np.float32]
    pools: list[Pool]
    pooled: list[NDArray[np.float32]]
    estimated: list[dict[str, NDArray[np.float32]]]


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

    Patterns are read in blocks of at most 32 MiB and 256 positions, and added to the averages over one cell,
    of which a tile holds at most `tile_bytes`; larger windows are sums of these. So memory does not grow with
    the scan but for the maps themselves. A tile reads as far beyond its edge as its largest window reaches; no pattern
    is classified twice. Where the physical estimator finds walls, windows that reach over one are asked
    again for their part on each side.

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
    workplace, setting = workplace or Threads(), Setting(frame, plan, singles, _modes(frame) if singles else None)
    scan_shape, edge = frame.scan.scan_shape, frame.classifier.info.grid_px
    pattern_bytes = 4 * max(edge**2, int(np.prod(frame.scan.detector_shape)))
    block_count = int(np.clip(BLOCK_BYTES // pattern_bytes, 1, BLOCK_POSITIONS))
    at, found = unfinished.begin(run or {}) if unfinished else (Place(), {})
    batch = getattr(frame.classifier.predictor, "batch", BATCH)
    answers = [Answers(plan, size, found, batch=batch) for size in range(len(plan.pools))] if plan else []
    segments = Segments(frame, plan, answers, found)
    single = found.get("single", np.full((*scan_shape, N_DIRECTIONS + 1), np.nan, np.float32))
    width = embed(setting, np.zeros((1, edge, edge), np.float32)).shape[1]
    embedding = found.get("embedding", np.full((*scan_shape, width), np.nan, np.float32))
    done, total = int(np.isfinite(single[..., 0]).sum()), scan_shape[0] * scan_shape[1]
    yield Progress("classifying", done, total)

    def keep(place: Place) -> None:
        if unfinished:
            said = {name: array for answer in answers for name, array in answer.arrays().items()}
            patterns = {"single": single, "embedding": embedding, "averages": averages}
            unfinished.offer(place, patterns | said | segments.arrays())

    for number, tile in enumerate(tiles(scan_shape, plan, tile_bytes // (4 * edge**2))):
        if number < at.tiles:
            continue
        here = at if number == at.tiles else Place(number)
        # Added up in float64, so that a map does not depend on how the scan is divided into blocks.
        averages: NDArray[np.floating] = np.zeros((*shape_of(tile.nodes), edge**2))
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
        averages = averages.astype(np.float32, copy=False)
        batches = sum(-(-len(rows) * len(columns) // batch) for rows, columns in (each.of(tile) for each in answers))
        # Segments are sought in the answers to whole windows, so these come first.
        whole = undisturbed(frame.hollow, plan, tile) if plan else None
        asked_whole, asked_parts = _windows(averages, answers, tile, whole), segments.windows(tile, averages, whole)
        for before, asked in ((0, asked_whole), (batches, asked_parts)):
            for windows, told in workplace.each(tell, setting, islice(asked, max(0, here.windows - before), None)):
                (answers[windows.size] if windows.label < 0 else segments).keep(windows, told)
                here = here._replace(windows=here.windows + 1)
                keep(here)
                yield Progress("classifying", done, total)
    pooled, numbers = segments.everywhere(scan_shape)
    return Evidence(single, embedding, plan.pools if plan else [], pooled, numbers)


def _modes(frame: Frame) -> OwnModes:
    """Return the modes of patterns in squares all over the scan."""
    rows, columns = (
        np.unique(np.linspace(0, max(0, n - _SQUARE_PX), _SQUARES).astype(int)) for n in frame.scan.scan_shape
    )
    squares = [(slice(row, row + _SQUARE_PX), slice(column, column + _SQUARE_PX)) for row in rows for column in columns]
    patterns = np.concatenate([frame.patterns(*square) for square in squares])
    seen = patterns.any(axis=(1, 2))
    with threadpool_limits(1):  # the last digit of modes depends on the number of threads
        return own_modes(patterns if seen.all() or not seen.any() else patterns[seen])


def _windows(
    averages: NDArray[np.float32], answers: list[Answers], tile: Tile, whole: NDArray[np.bool_] | None
) -> Iterator[Windows]:
    """Yield the windows centred in a tile, smallest first, some at a time."""
    edge = round(averages.shape[2] ** 0.5)
    for answer in answers:
        matrix, place = window_places(averages, answer, tile, whole)
        share = np.asarray(matrix.sum(axis=1)).ravel()
        for first in range(0, matrix.shape[0], answer.batch):
            some = slice(first, first + answer.batch)
            divisor = np.where(share[some] > 0, share[some], 1)[:, None]
            patterns = np.maximum(matrix[some] @ averages.reshape(-1, edge**2), 0) / divisor
            positions = answer.pool.effective_positions * share[some].astype(np.float64)
            yield Windows(answer.size, (place[0][some], place[1][some]), patterns.reshape(-1, edge, edge), positions)
