"""Windows that end at domain walls: segments of a tile, and the parts of windows inside each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_polarmap.core.directions import N_DIRECTIONS
from napari_polarmap.core.segments import cell_evidence, join_cells, large_segments
from napari_polarmap.core.template_fit import counting_variance
from napari_polarmap.pipeline.answers import BATCH, Answers, window_places
from napari_polarmap.pipeline.frame import Frame
from napari_polarmap.pipeline.looking import Told, Windows
from napari_polarmap.pipeline.tiling import Tile
from napari_polarmap.pipeline.windows import WindowPlan

_NUISANCE_ELECTRONS: Final = 2e6
"""Windows of so many tell thickness and tilt well enough for their cells."""
_PURE: Final = 1 - 1e-6

Numbers = dict[str, NDArray[np.float32]]


class Segments:
    """Segments of a scan and what is said of windows inside them; without the estimator, windows are left whole.

    Parameters
    ----------
    frame : Frame
    plan : WindowPlan, optional
    answers : list of Answers
        To whole windows of every size.
    found : dict
        What an earlier run knew, by the names of `arrays`.
    """

    def __init__(
        self, frame: Frame, plan: WindowPlan | None, answers: list[Answers], found: dict[str, NDArray[Any]]
    ) -> None:
        self.frame, self.plan, self.answers = frame, plan, answers
        self.used = plan is not None and frame.estimator is not None and len(answers) > 1
        self.parts: dict[tuple[int, int], Answers] = {}
        self.belief, self.large = np.zeros((0, 0, N_DIRECTIONS + 1), np.float32), np.zeros((0, 0), np.bool_)
        if plan is not None and self.used:
            both = [(answer.size, label) for answer in answers for label in range(N_DIRECTIONS + 1)]
            self.parts = {(size, label): Answers(plan, size, found, label) for size, label in both}
            unknown = np.full((*plan.grid.shape, N_DIRECTIONS + 1), np.nan, np.float32)
            self.belief = found.get("belief", unknown)
            self.large = found.get("large", np.zeros(plan.grid.shape, np.bool_))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what is known so far, to go on with later."""
        return {"belief": self.belief, "large": self.large} | {
            k: v for part in self.parts.values() for k, v in part.arrays().items()
        }

    def windows(
        self, tile: Tile, averages: NDArray[np.float32], whole: NDArray[np.bool_] | None = None
    ) -> Iterator[Windows]:
        """Find the segments of a tile whose whole windows are answered; yield parts of windows to be asked.

        Base windows that are not `whole` tell nothing.
        """
        if self.plan is None or not self.used:
            return
        settled, large = segment_tile(self.frame, self.plan, tile, averages, self.answers, whole)
        rows, columns = (
            slice(own.start - node.start, own.stop - node.start)
            for own, node in zip(tile.centred, tile.nodes, strict=True)
        )
        self.belief[tile.centred], self.large[tile.centred] = settled[rows, columns], large[rows, columns]
        for windows, told in parts_of_windows(averages, settled.argmax(axis=-1), self.answers, tile, whole):
            if told is None:
                yield windows
            else:
                self.keep(windows, told)

    def keep(self, windows: Windows, told: Told) -> None:
        """Keep what is said of parts of windows."""
        self.parts[windows.size, windows.label].keep(windows, told)

    def everywhere(self, scan_shape: tuple[int, int]) -> tuple[list[NDArray[np.float32]], list[Numbers]]:
        """Return log-probabilities and numbers at every position in its own segment, for each size.

        Where a segment is too small to be relied on, its windows and whole ones are believed by halves.
        """
        if self.plan is None or not self.used:
            return [each.everywhere(scan_shape) for each in self.answers], [
                each.nearest(scan_shape) for each in self.answers
            ]
        place = segment_everywhere(self.belief, self.plan, scan_shape)
        pooled = [np.full((*scan_shape, N_DIRECTIONS + 1), np.nan, np.float32) for _ in self.answers]
        numbers: list[Numbers] = [{} for _ in self.answers]
        for size, label in itertools.product(range(len(self.answers)), np.unique(place).tolist()):
            part, here = self.parts[size, label], place == label
            pooled[size][here] = part.everywhere(scan_shape)[here]
            for name, values in part.nearest(scan_shape).items():
                numbers[size].setdefault(name, np.full(values.shape, np.nan, np.float32))[here] = values[here]
        rows, columns = (
            np.abs(np.arange(n)[:, None] - axis).argmin(axis=1)
            for n, axis in zip(scan_shape, self.plan.grid.axes, strict=True)
        )
        small = ~self.large[np.ix_(rows, columns)]
        for confined, answer in zip(pooled, self.answers, strict=True):
            whole = answer.everywhere(scan_shape)[small]
            confined[small] = np.logaddexp(confined[small], whole) - np.float32(np.log(2))
        return pooled, numbers


def segment_tile(
    frame: Frame,
    plan: WindowPlan,
    tile: Tile,
    averages: NDArray[np.float32],
    answers: list[Answers],
    whole: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return log-probabilities of the segment of every base window of a tile, shape (y, x, 9), and which are large."""
    if frame.estimator is None:
        raise ValueError("segments need the physical estimator")
    edge, shape, model = frame.classifier.info.grid_px, averages.shape[:2], frame.estimator.model
    patterns = np.maximum(averages.reshape(-1, edge, edge), 0)
    counted = frame.electrons(patterns, plan.base.effective_positions)
    some = [slice(first, first + BATCH) for first in range(0, len(patterns), BATCH)]  # a tile at once takes gigabytes
    variance = np.concatenate(
        [counting_variance(model, patterns[each], None if counted is None else counted[each]) for each in some]
    )
    known = _known(answers, tile, float(np.median(1 / variance)) / plan.base.effective_positions)
    evidence = np.concatenate(
        [cell_evidence(model, patterns[each], variance[each], known[each, 0], known[each, 1:]) for each in some]
    )
    if whole is not None:
        evidence[~whole.ravel()] = 0
    overlap = plan.width_px**2 / (plan.grid.step[0] * plan.grid.step[1])
    belief = join_cells(evidence.reshape(*shape, -1), overlap)
    return belief, large_segments(belief.argmax(axis=-1), float(np.median(1 / variance)) / overlap)


def _known(answers: list[Answers], tile: Tile, electrons_each: float) -> NDArray[np.float64]:
    """Return thickness and tilt at every base window of a tile, between those of larger windows; shape (n, 3)."""
    enough = [answer for answer in answers if answer.pool.effective_positions * electrons_each >= _NUISANCE_ELECTRONS]
    answer = enough[0] if enough else answers[-1]
    rows, columns = answer.of(tile)
    if not len(rows) or not len(columns):
        answer = answers[0]
        rows, columns = answer.of(tile)
    place = np.ix_(rows, columns)
    values = np.concatenate(
        [answer.estimated["thickness_nm"][place][..., None], answer.estimated["tilt_mrad"][place]], axis=-1
    )
    values = np.where(np.isfinite(values), values, np.nanmedian(values, axis=(0, 1))).astype(np.float64)
    centres = [axis[index] for axis, index in zip(answer.axes, (rows, columns), strict=True)]
    nodes = [np.arange(part.start, part.stop) for part in tile.nodes]
    # Beyond the outermost centres a plane goes on; between them what differs from it is interpolated.
    middle = [float(centre.mean()) for centre in centres]
    design, everywhere = _plane(centres, middle), _plane(nodes, middle)
    plane = np.linalg.lstsq(design, values.reshape(len(design), -1), rcond=None)[0]
    rest = values - (design @ plane).reshape(values.shape)
    at = [np.interp(node, centre, np.arange(len(centre))) for node, centre in zip(nodes, centres, strict=True)]
    grid = np.stack(np.meshgrid(*at, indexing="ij"))
    found = [ndimage.map_coordinates(channel, grid, order=1).ravel() for channel in np.moveaxis(rest, -1, 0)]
    return np.asarray(everywhere @ plane + np.stack(found, axis=-1), np.float64)


def _plane(axes: list[NDArray[np.int64]], middle: list[float]) -> NDArray[np.float64]:
    """Return what a plane is made of at the places of a grid, shape (n, 3); without slope along a single centre."""
    y, x = np.meshgrid(*(axis - at for axis, at in zip(axes, middle, strict=True)), indexing="ij")
    return np.stack([np.ones(y.size), y.ravel(), x.ravel()], axis=-1).astype(np.float64)


def parts_of_windows(
    averages: NDArray[np.float32],
    labels: NDArray[np.intp],
    answers: list[Answers],
    tile: Tile,
    whole: NDArray[np.bool_] | None = None,
) -> Iterator[tuple[Windows, Told | None]]:
    """Yield the part of every window inside each segment, some at a time, and what is said of it where that is known.

    Base windows along a wall mix both sides; they are left out where enough remains.
    """
    edge = round(averages.shape[2] ** 0.5)
    flat = averages.reshape(-1, edge**2)
    for answer in answers:
        matrix, place = window_places(averages, answer, tile, whole)
        full = np.asarray(matrix.sum(axis=1)).ravel()
        for label in np.unique(labels):
            inside = labels == label
            core = ndimage.binary_erosion(inside, border_value=1)
            kept = matrix @ np.stack([core, inside], axis=-1).reshape(-1, 2).astype(np.float32)
            pure = np.flatnonzero(kept[:, 1] >= _PURE * full)
            if len(pure):
                where = place[0][pure], place[1][pure]
                nothing = np.empty((0, edge, edge), np.float32)
                yield Windows(answer.size, where, nothing, np.zeros(0), int(label)), answer.told(where)
            some = np.flatnonzero((kept[:, 1] > 1e-6) & (kept[:, 1] < _PURE * full))
            least = 0.999 * answer.pool.weights.max()
            for first in range(0, len(some), answer.batch):
                rows = some[first : first + answer.batch]
                use_core = kept[rows, 0] >= least
                mixed = matrix[rows].astype(np.float64)
                cores = np.repeat(use_core, np.diff(mixed.indptr))
                mixed.data *= np.where(cores, core.ravel()[mixed.indices], inside.ravel()[mixed.indices])
                share = np.asarray(mixed.sum(axis=1)).ravel()
                mixed.data /= np.repeat(share, np.diff(mixed.indptr))
                patterns = np.maximum(mixed.astype(np.float32) @ flat, 0).reshape(-1, edge, edge)
                positions = answer.pool.effective_positions * share
                yield Windows(answer.size, (place[0][rows], place[1][rows]), patterns, positions, int(label)), None


def segment_everywhere(belief: NDArray[np.float32], plan: WindowPlan, scan_shape: tuple[int, int]) -> NDArray[np.intp]:
    """Return the segment of every scan position, between the base windows."""
    at = [
        np.interp(np.arange(n), axis, np.arange(len(axis))) for n, axis in zip(scan_shape, plan.grid.axes, strict=True)
    ]
    grid = np.stack(np.meshgrid(*at, indexing="ij"))
    found = np.unique(belief.argmax(axis=-1))
    fields = [ndimage.map_coordinates(belief[..., label], grid, order=1) for label in found]
    return np.asarray(found[np.argmax(fields, axis=0)], dtype=np.intp)
