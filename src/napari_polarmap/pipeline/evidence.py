"""What a classifier says of a scan: tile by tile, single patterns and windows of whole cells."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.directions import N_DIRECTIONS
from napari_polarmap.core.domains import log_softmax
from napari_polarmap.core.pooling import Window, cell_window, centre_grid, pooling_matrix, round_window
from napari_polarmap.core.preprocessing import read_patterns, resample_patterns
from napari_polarmap.models.registry import Classifier
from napari_polarmap.pipeline.inspection import Inspection, Progress, disk_centers
from napari_polarmap.pipeline.parameters import MapParams

_WINDOWS_CELLS: Final = (1, 2, 3, 4, 6, 8, 12)
_LEAST_ELECTRONS: Final = 2e5
"""Below this a window says nothing (the odd part drowns in counting noise)."""
_AMPLE_ELECTRONS: Final = 2e7
"""Above this a larger window says no more."""
_TILE_BYTES: Final = 256 * 2**20
_FALLBACK_RADIUS_A: Final = 6.0


class Frame:
    """Everything that takes a block of the scan to patterns on the classifier's grid."""

    def __init__(self, scan: Scan4D, classifier: Classifier, inspection: Inspection, params: MapParams) -> None:
        self.scan, self.classifier, self.inspection, self.params = scan, classifier, inspection, params
        self.centers = disk_centers(inspection, params.center)
        self.crystal_angle_deg = scan.calibration.crystal_angle_deg
        self._coverage = self._covered()

    def patterns(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Return the patterns of a block, crystal axes along the array axes, shape (n, grid, grid)."""
        raw, _, _ = read_patterns(self.scan, rows, columns)
        centers = self.centers[rows, columns].reshape(-1, 2)
        grid = self._to_grid(raw.reshape(-1, *self.scan.detector_shape), centers)
        covered: NDArray[np.float32] = grid * self._coverage
        return covered

    def _to_grid(self, patterns: NDArray[np.float32], centers: NDArray[np.float64]) -> NDArray[np.float32]:
        info, calibration = self.classifier.info, self.scan.calibration
        return resample_patterns(
            patterns,
            centers,
            mrad_per_px=self.inspection.mrad_per_px,
            size_px=info.grid_px,
            grid_mrad=info.grid_mrad,
            rotation_deg=calibration.rotation_deg - self.crystal_angle_deg,
            flip=calibration.flip,
        )

    def _covered(self) -> NDArray[np.float32]:
        """Where the detector sees both a pixel of the grid and the one opposite.

        A pixel whose counterpart is missing would make a false odd part.
        """
        height, width = self.scan.detector_shape
        seen = np.ones((1, height, width), np.float32)
        center = np.asarray(self.inspection.disk.center_px)
        if self.params.crop_px is not None:
            y, x = np.mgrid[:height, :width]
            half = self.params.crop_px / 2
            seen[0] = (np.abs(y - center[0]) <= half) & (np.abs(x - center[1]) <= half)
        # Counts per solid angle are kept, so a whole pixel of the grid holds this many of the detector's.
        whole = (self.classifier.info.grid_mrad / self.inspection.mrad_per_px) ** 2
        grid = self._to_grid(seen, center)[0] >= 0.99 * whole
        both: NDArray[np.bool_] = grid & grid[::-1, ::-1]
        return both.astype(np.float32)


def choose_windows(scan: Scan4D, inspection: Inspection, params: MapParams) -> list[Window]:
    """Return the windows to try, smallest first: whole cells, as many as the dose asks for."""
    if params.pool == "none" and min(scan.scan_shape) < 2:
        return []
    lattice, notes = inspection.lattice, inspection.notes
    if not lattice.known or lattice.cell_area_px < 4:
        step = scan.calibration.scan_step_A
        radius = max(2.0, _FALLBACK_RADIUS_A / step) if step else 4.0
        window = round_window(min(radius, (min(scan.scan_shape) - 1) / 2))
        notes.append(f"Without a lattice, patterns are pooled over {radius:.1f} positions around; it cannot cancel.")
        return [window] if min(scan.scan_shape) >= 3 else []
    sizes = (1,) if params.pool == "cell" else _WINDOWS_CELLS
    per_position = float(np.median(inspection.statistics.total))
    counted = scan.dtype.kind in "ui"
    windows: list[Window] = []
    for cells in sizes:
        window = cell_window(lattice.vectors_px, cells)
        if any(edge > length for edge, length in zip(window.weights.shape, scan.scan_shape, strict=True)):
            break
        electrons = window.effective_positions * per_position if counted else _AMPLE_ELECTRONS
        if windows and electrons > _AMPLE_ELECTRONS and len(windows) > 2:
            break
        if electrons >= _LEAST_ELECTRONS or cells == 1:
            windows.append(window)
    if not windows:
        notes.append("The scan is smaller than one unit cell; only single patterns were classified.")
    return windows


@dataclass(frozen=True)
class Evidence:
    """What the classifier says: log-probabilities of the 8 directions and "none" at every position.

    `single` and `embedding` are of single patterns, `pooled` of each of the `windows`.
    """

    single: NDArray[np.float32]
    embedding: NDArray[np.float32]
    windows: list[Window]
    pooled: list[NDArray[np.float32]]


def classify(frame: Frame, windows: list[Window]) -> Generator[Progress, None, Evidence]:
    """Classify tile by tile; a tile reads as far beyond its edge as the largest window reaches."""
    scan_y, scan_x = frame.scan.scan_shape
    grid_bytes = 4 * frame.classifier.info.grid_px**2
    reach = np.max([(0, 0), *(window.half for window in windows)], axis=0)
    edge = max(16, int(np.sqrt(_TILE_BYTES / grid_bytes)) - 2 * int(reach.max()))
    single = np.full((scan_y, scan_x, N_DIRECTIONS + 1), np.nan, np.float32)
    width = frame.classifier.embed(np.zeros((1, *(frame.classifier.info.grid_px,) * 2), np.float32)).shape[1]
    embedding = np.full((scan_y, scan_x, width), np.nan, np.float32)
    strides = [max(1, round(max(1.0, np.sqrt(window.effective_positions)) / 4)) for window in windows]
    centres = [centre_grid((scan_y, scan_x), window, stride) for window, stride in zip(windows, strides, strict=True)]
    coarse = [np.full((len(rows), len(columns), N_DIRECTIONS + 1), np.nan, np.float32) for rows, columns in centres]
    done, total = 0, scan_y * scan_x
    for top in range(0, scan_y, edge):
        for left in range(0, scan_x, edge):
            inner = (slice(top, min(top + edge, scan_y)), slice(left, min(left + edge, scan_x)))
            outer = tuple(
                slice(max(0, part.start - int(half)), min(length, part.stop + int(half)))
                for part, half, length in zip(inner, reach, (scan_y, scan_x), strict=True)
            )
            patterns = frame.patterns(*outer)
            yield Progress("classifying", done, total)
            shape = (outer[0].stop - outer[0].start, outer[1].stop - outer[1].start)
            own = np.zeros(shape, bool)
            own[
                inner[0].start - outer[0].start : inner[0].stop - outer[0].start,
                inner[1].start - outer[1].start : inner[1].stop - outer[1].start,
            ] = True
            mine = patterns[own.ravel()]
            answers, embedded = [], []
            for first in range(0, len(mine), 512):
                part = mine[first : first + 512]
                answers.append(_log_probability(frame.classifier, part, pooled=False))
                embedded.append(frame.classifier.embed(part))
                yield Progress("classifying", done + first // 2, total)
            single[inner] = np.concatenate(answers).reshape(*single[inner].shape)
            embedding[inner] = np.concatenate(embedded).reshape(*embedding[inner].shape)
            for window, (rows, columns), out in zip(windows, centres, coarse, strict=True):
                pick_y = np.flatnonzero((rows >= inner[0].start) & (rows < inner[0].stop))
                pick_x = np.flatnonzero((columns >= inner[1].start) & (columns < inner[1].stop))
                if not (len(pick_y) and len(pick_x)):
                    continue
                matrix = pooling_matrix(shape, rows[pick_y] - outer[0].start, columns[pick_x] - outer[1].start, window)
                flat = np.maximum(matrix @ patterns.reshape(len(patterns), -1), 0)
                pooled = flat.reshape(-1, *patterns.shape[1:])
                answers = []
                for first in range(0, len(pooled), 128):
                    answers.append(_log_probability(frame.classifier, pooled[first : first + 128], pooled=True))
                    yield Progress("classifying", done + len(mine) // 2, total)
                out[np.ix_(pick_y, pick_x)] = np.concatenate(answers).reshape(len(pick_y), len(pick_x), -1)
            done += len(mine)
            yield Progress("classifying", done, total)
    pooled_maps = [_everywhere(out, place, (scan_y, scan_x)) for out, place in zip(coarse, centres, strict=True)]
    return Evidence(single, embedding, windows, pooled_maps)


def _log_probability(classifier: Classifier, patterns: NDArray[np.float32], *, pooled: bool) -> NDArray[np.float32]:
    answer = classifier.predict(patterns, pooled=pooled)
    informed = answer.informed[:, None].astype(np.float64)
    together = np.concatenate([answer.probability * informed, 1 - informed], axis=1)
    return np.asarray(np.log(np.maximum(together, 1e-9)), dtype=np.float32)


def _everywhere(
    coarse: NDArray[np.float32], centres: tuple[NDArray[np.int64], NDArray[np.int64]], shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Interpolate from window centres to every position; beyond the last centre its window is used."""
    axes = [np.interp(np.arange(n), at, np.arange(len(at))) for n, at in zip(shape, centres, strict=True)]
    places = np.stack(np.meshgrid(*axes, indexing="ij"))
    channels = [ndimage.map_coordinates(channel, places, order=1) for channel in np.moveaxis(coarse, -1, 0)]
    return log_softmax(np.stack(channels, axis=-1))
