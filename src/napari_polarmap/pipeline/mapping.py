"""From a scan to its polarization map, in the order of the steps and in bounded memory."""

from __future__ import annotations

import platform
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.directions import N_DIRECTIONS, UNDEFINED
from napari_polarmap.core.domains import domains, log_softmax, smallest_sure
from napari_polarmap.core.irregularity import irregularity
from napari_polarmap.core.pooling import Window, cell_window, centre_grid, pooling_matrix, round_window
from napari_polarmap.core.preprocessing import read_patterns, resample_patterns
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.io.source import describe_source
from napari_polarmap.models.registry import Classifier
from napari_polarmap.pipeline.inspection import (
    CENTRINGS,
    Centring,
    Inspection,
    Progress,
    disk_centers,
    inspect_scan,
    inspection_steps,
)

__all__ = [
    "Inspection",
    "MapParams",
    "Progress",
    "disk_centers",
    "inspect_scan",
    "map_polarization",
    "map_steps",
]

Pooling = Literal["none", "cell", "auto"]
POOLINGS: Final = ("none", "cell", "auto")

_WINDOWS_CELLS: Final = (1, 2, 3, 4, 6, 8, 12)
_LEAST_ELECTRONS: Final = 2e5
"""Below this a window says nothing (the odd part drowns in counting noise)."""
_AMPLE_ELECTRONS: Final = 2e7
"""Above this a larger window says no more."""
_TILE_BYTES: Final = 256 * 2**20
_UNDEFINED_BELOW: Final = 0.5
_FALLBACK_RADIUS_A: Final = 6.0
_PACKAGES: Final = ("napari-polarmap", "numpy", "scipy", "torch", "scikit-learn", "h5py")


@dataclass(frozen=True, kw_only=True)
class MapParams:
    """Options of a run, stored with its result.

    Attributes
    ----------
    pool : {"none", "cell", "auto"}
        What `direction` rests on: single patterns, one unit cell, or at each position
        the smallest window that is sure enough.
    center : {"global", "plane", "position"}
        How the crop follows the disk, see `disk_centers`.
    crop_px : int, optional
        Edge of the detector region used around the disk; as much as the classifier
        takes when not given.
    fdr : float
        False-discovery rate of the irregularity mask.
    """

    pool: Pooling = "auto"
    center: Centring = "plane"
    crop_px: int | None = None
    fdr: float = 0.05

    def __post_init__(self) -> None:
        for name, options in (("pool", POOLINGS), ("center", CENTRINGS)):
            if getattr(self, name) not in options:
                raise ValueError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(options)}")
        if not 0 < self.fdr < 1:
            raise ValueError(f"fdr is {self.fdr}; a false-discovery rate lies between 0 and 1")
        if self.crop_px is not None and self.crop_px < 8:
            raise ValueError(f"crop_px is {self.crop_px}; a crop needs at least 8 px")


def map_polarization(
    scan: Scan4D,
    classifier: Classifier,
    params: MapParams | None = None,
    *,
    reference: int | NDArray[np.uint8] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> PolarizationMap:
    """Run `map_steps` to its end."""
    steps = map_steps(scan, classifier, params, reference=reference)
    while True:
        try:
            step = next(steps)
        except StopIteration as finished:
            result: PolarizationMap = finished.value
            return result
        if progress is not None:
            progress(step)


def map_steps(
    scan: Scan4D,
    classifier: Classifier,
    params: MapParams | None = None,
    *,
    reference: int | NDArray[np.uint8] | None = None,
) -> Generator[Progress, None, PolarizationMap]:
    """Map a scan step by step, so that a caller can show progress and stop between steps.

    Parameters
    ----------
    scan : Scan4D
    classifier : Classifier
    params : MapParams, optional
    reference : int or ndarray of uint8, shape (scan_y, scan_x), optional
        The class, or map of classes, that `misclassified` compares with.

    Yields
    ------
    Progress

    Returns
    -------
    PolarizationMap

    Raises
    ------
    ValueError
        If there is no disk, the crop does not fit the detector, or the reference does
        not fit the scan.
    """
    params = params or MapParams()
    _check(scan, params, reference)
    inspection = yield from inspection_steps(scan)
    frame = _Frame(scan, classifier, inspection, params)
    windows = _choose_windows(scan, inspection, params)
    evidence = yield from _classify(frame, windows)
    yield Progress("finding domains and irregular places", 0, 1)
    return _assemble(frame, evidence, reference)


class _Frame:
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


def _check(scan: Scan4D, params: MapParams, reference: int | NDArray[np.uint8] | None) -> None:
    smallest = min(scan.detector_shape)
    if params.crop_px is not None and params.crop_px > smallest:
        raise ValueError(
            f"crop of {params.crop_px} px does not fit a detector of {scan.detector_shape[0]} x "
            f"{scan.detector_shape[1]} px; choose at most {smallest} px"
        )
    if isinstance(reference, np.ndarray) and reference.shape != scan.scan_shape:
        raise ValueError(f"the reference has shape {reference.shape}; the scan has {scan.scan_shape}")


def _choose_windows(scan: Scan4D, inspection: Inspection, params: MapParams) -> list[Window]:
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
class _Evidence:
    """What the classifier says: log-probabilities of the 8 directions and "none" at every position.

    `single` and `embedding` are of single patterns, `pooled` of each of the `windows`.
    """

    single: NDArray[np.float32]
    embedding: NDArray[np.float32]
    windows: list[Window]
    pooled: list[NDArray[np.float32]]


def _classify(frame: _Frame, windows: list[Window]) -> Generator[Progress, None, _Evidence]:
    """Classify tile by tile; a tile reads as far beyond its edge as the largest window reaches."""
    scan_y, scan_x = frame.scan.scan_shape
    grid_bytes = 4 * frame.classifier.info.grid_px**2
    reach = np.max([window.half for window in windows], axis=0, initial=0)
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
    return _Evidence(single, embedding, windows, pooled_maps)


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


def _assemble(frame: _Frame, evidence: _Evidence, reference: int | NDArray[np.uint8] | None) -> PolarizationMap:
    scan, params, statistics = frame.scan, frame.params, frame.inspection.statistics
    windows, single, pooled = evidence.windows, evidence.single, evidence.pooled
    lattice = frame.inspection.lattice
    empty = ~(statistics.total > 0)
    if pooled:
        best, window_cells = smallest_sure(pooled, [window.cells for window in windows])
        domain, _ = domains(best, lattice.period_px if lattice.known else 2.0 * windows[0].half[0])
        chosen = {"none": single, "cell": pooled[0], "auto": best}[params.pool]
    else:
        chosen, window_cells = single, np.zeros(scan.scan_shape, np.float32)
    direction, probability, confidence = _decide(chosen, empty)
    if not pooled:
        domain = direction
    domain = np.where(empty, UNDEFINED, domain).astype(np.uint8)

    uneven = irregularity(
        np.where(empty[..., None], np.nan, np.exp(single)),
        lattice if lattice.known else None,
        embedding=np.where(empty[..., None], np.nan, evidence.embedding),
        fdr=params.fdr,
    )
    turn = round(frame.crystal_angle_deg / 45)
    direction, domain = (_turn_classes(classes, turn) for classes in (direction, domain))
    probability = np.roll(probability, turn, axis=-1)
    angle = np.where(direction == UNDEFINED, np.nan, 45.0 * direction + frame.crystal_angle_deg - 45.0 * turn)
    misclassified = None
    if reference is not None:
        truth = np.broadcast_to(np.asarray(reference, np.uint8), direction.shape)
        misclassified = (direction != truth) & (truth != UNDEFINED) & (direction != UNDEFINED)
    return PolarizationMap(
        direction=direction,
        probability=probability,
        angle_deg=(angle % 360).astype(np.float32),
        confidence=confidence,
        irregularity=uneven.score.astype(np.float32),
        irregular=uneven.irregular,
        com_px=statistics.com_px.astype(np.float32),
        domain=domain,
        misclassified=misclassified,
        virtual_image=statistics.bright.astype(np.float32),
        window_cells=window_cells,
        provenance=_provenance(frame, windows),
    )


def _decide(
    evidence: NDArray[np.float32], empty: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
    """Return direction, probabilities given a direction, and confidence."""
    weight = np.exp(evidence.astype(np.float64))
    informed = weight[..., :N_DIRECTIONS].sum(axis=-1) / weight.sum(axis=-1)
    probability = weight[..., :N_DIRECTIONS] / weight[..., :N_DIRECTIONS].sum(axis=-1, keepdims=True)
    undefined = empty | ~(informed >= _UNDEFINED_BELOW)
    direction = np.where(undefined, UNDEFINED, probability.argmax(axis=-1)).astype(np.uint8)
    confidence = np.where(empty, 0, informed * probability.max(axis=-1))
    return (
        direction,
        np.where(undefined[..., None], np.nan, probability).astype(np.float32),
        confidence.astype(np.float32),
    )


def _turn_classes(classes: NDArray[np.uint8], turn: int) -> NDArray[np.uint8]:
    turned = (classes.astype(np.int64) + turn) % N_DIRECTIONS
    return np.where(classes == UNDEFINED, UNDEFINED, turned).astype(np.uint8)


def _provenance(frame: _Frame, windows: list[Window]) -> dict[str, Any]:
    inspection, info = frame.inspection, frame.classifier.info
    lattice = inspection.lattice
    return {
        "input": describe_source(frame.scan),
        "calibration": asdict(frame.scan.calibration),
        "parameters": asdict(frame.params),
        "model": {"name": info.name, "title": info.title, "sha256": info.sha256},
        "measured": {
            "disk_center_px": [float(value) for value in inspection.disk.center_px],
            "disk_radius_px": float(inspection.disk.radius_px),
            "mrad_per_px": float(inspection.mrad_per_px),
            "lattice_vectors_px": lattice.vectors_px.tolist() if lattice.known else None,
            "lattice_resolved": lattice.resolved,
            "windows_cells": [window.cells for window in windows],
        },
        "notes": list(inspection.notes),
        "versions": {"python": platform.python_version(), **_versions()},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
