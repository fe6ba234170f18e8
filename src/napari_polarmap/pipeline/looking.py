"""What is done with one block of patterns, and with one batch of windows, wherever that happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.data import Block
from napari_polarmap.core.directions import N_DIRECTIONS
from napari_polarmap.core.kernels import weighted_totals
from napari_polarmap.core.pooling import pooling_matrix
from napari_polarmap.models.registry import Prediction
from napari_polarmap.pipeline.tiling import Tile, inside, shape_of
from napari_polarmap.pipeline.windows import WindowPlan
from napari_polarmap.pipeline.workplace import Setting

_SINGLES: Final = 512

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
class Looked:
    """What one block of patterns gives.

    Attributes
    ----------
    place : (ndarray, ndarray)
        Rows and columns in the scan of the single patterns classified.
    single, embedding : ndarray of float32, shape (n, 9) and (n, k)
        Of these.
    nodes : (slice, slice), optional
        Base windows of the tile that the block adds to.
    added : ndarray of float64, shape (rows, columns, pixels)
        What it adds.
    """

    place: tuple[NDArray[np.int64], NDArray[np.int64]]
    single: NDArray[np.float32]
    embedding: NDArray[np.float32]
    nodes: Block | None
    added: NDArray[np.float64]


@dataclass(frozen=True)
class Windows:
    """Averages over whole cells.

    Attributes
    ----------
    size : int
        Which of the plan's window sizes.
    place : (ndarray, ndarray)
        Rows and columns among the windows of this size.
    patterns : ndarray of float32, shape (n, edge, edge)
    effective_positions : ndarray, shape (n,)
        Equally weighted scan positions with the same counting noise; 0 where there is nothing to average.
    label : int
        Segment that they are confined to; -1 for whole windows.
    """

    size: int
    place: tuple[NDArray[np.int64], NDArray[np.int64]]
    patterns: NDArray[np.float32]
    effective_positions: NDArray[np.float64]
    label: int = -1


@dataclass(frozen=True)
class Told:
    """What one batch of windows gives: log-probabilities, shape (n, 9), and numbers by name.

    These are the ``electrons`` that windows rest on, and those of `ESTIMATED` where there is an estimator.
    """

    log_probability: NDArray[np.float32]
    estimated: dict[str, NDArray[np.float32]]


def look(setting: Setting, item: tuple[Tile, Block]) -> Looked:
    """Read a block, classify its single patterns, add up its share of the averages over one cell."""
    frame, (tile, block) = setting.frame, item
    patterns = frame.patterns(*block)
    nodes, added = _added(patterns, setting.plan, tile, block) if setting.plan else (None, np.empty(0))
    rows, columns = inside(tile.own, block)
    mine = np.ravel_multi_index((rows, columns), shape_of(block)) if setting.singles else np.zeros(0, np.int64)
    parts = [patterns[mine[first : first + _SINGLES]] for first in range(0, len(mine), _SINGLES)]
    none = np.zeros((0, N_DIRECTIONS + 1), np.float32)
    answers = [frame.classifier.predict(part, pooled=False, electrons=frame.electrons(part)) for part in parts]
    singles = [_log_probability(answer) for answer in answers]
    embeddings = [embed(setting, part) for part in parts]
    place = rows[: len(mine)] + block[0].start, columns[: len(mine)] + block[1].start
    return Looked(place, np.concatenate([*singles, none]), np.concatenate(embeddings or [none]), nodes, added)


def embed(setting: Setting, patterns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the classifier's outputs before its answer, and the strength of the scan's own modes, shape (n, k)."""
    outputs = setting.frame.classifier.embed(patterns)
    return outputs if setting.modes is None else np.concatenate([outputs, setting.modes.strengths(patterns)], axis=1)


def tell(setting: Setting, windows: Windows) -> Told:
    """Classify windows, and estimate where the classifier's grid is that of the estimator."""
    frame = setting.frame
    electrons = frame.electrons(windows.patterns, windows.effective_positions)
    answer = frame.classifier.predict(windows.patterns, pooled=True, electrons=electrons)
    numbers = {} if answer.electrons is None else {"electrons": answer.electrons.astype(np.float32)}
    if frame.estimator is not None:
        estimate = frame.estimator.estimate(windows.patterns, electrons)
        numbers |= {name: np.asarray(getattr(estimate, name), np.float32) for name in ESTIMATED}
    said = _log_probability(answer)
    for values in (said, *numbers.values()):
        values[windows.effective_positions <= 0] = np.nan
    return Told(said, numbers)


def _added(
    patterns: NDArray[np.float32], plan: WindowPlan, tile: Tile, block: Block
) -> tuple[Block | None, NDArray[np.float64]]:
    """Return which cell averages of a tile the patterns of a block add to, and what."""
    touched, centres = [], []
    for axis in range(2):
        at = plan.grid.axes[axis][tile.nodes[axis]] - block[axis].start
        half = plan.base.half[axis]
        near = np.flatnonzero((at >= -half) & (at < shape_of(block)[axis] + half))
        if len(near) == 0:
            return None, np.empty(0)
        touched.append(slice(int(near[0]), int(near[-1]) + 1))
        centres.append(at[near])
    matrix = pooling_matrix(shape_of(block), centres[0], centres[1], plan.base.weights)
    rows = np.ascontiguousarray(patterns.reshape(len(patterns), -1))
    added = np.zeros((matrix.shape[0], rows.shape[1]))
    weighted_totals(rows, matrix.indptr, matrix.indices, matrix.data, added)
    return (touched[0], touched[1]), added.reshape(len(centres[0]), len(centres[1]), -1)


def _log_probability(answer: Prediction) -> NDArray[np.float32]:
    """Return log-probabilities of directions and "none", shape (n, 9)."""
    informed = answer.informed[:, None].astype(np.float64)
    together = np.concatenate([answer.probability * informed, 1 - informed], axis=1)
    return np.asarray(np.log(np.maximum(together, 1e-9)), dtype=np.float32)
