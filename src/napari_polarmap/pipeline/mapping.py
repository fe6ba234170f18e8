"""From a scan to its polarization map: the order of the steps, and what is kept of them."""

from __future__ import annotations

import platform
from collections.abc import Callable, Generator
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.directions import N_DIRECTIONS, UNDEFINED
from napari_polarmap.core.domains import domains, entropy_bits, smallest_sure
from napari_polarmap.core.irregularity import irregularity
from napari_polarmap.core.preprocessing import ScanStatistics
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.io.source import describe_source
from napari_polarmap.models.registry import Classifier
from napari_polarmap.pipeline.evidence import Evidence, classify
from napari_polarmap.pipeline.frame import Frame
from napari_polarmap.pipeline.inspection import Inspection, Progress, disk_centers, inspect_scan, inspection_steps
from napari_polarmap.pipeline.model_range import out_of_range
from napari_polarmap.pipeline.parameters import MapParams
from napari_polarmap.pipeline.review import with_reference, with_regions
from napari_polarmap.pipeline.sets import set_map
from napari_polarmap.pipeline.unfinished import Unfinished
from napari_polarmap.pipeline.windows import WindowPlan, lattice_used, plan_windows
from napari_polarmap.pipeline.workplace import Workplace

__all__ = [
    "Inspection",
    "MapParams",
    "Progress",
    "disk_centers",
    "inspect_scan",
    "map_polarization",
    "map_steps",
]

_UNDEFINED_BELOW: Final = 0.5
_PACKAGES: Final = ("napari-polarmap", "numpy", "scipy", "torch", "scikit-learn", "h5py", "openvino")


def map_polarization(
    scan: Scan4D,
    classifier: Classifier,
    params: MapParams | None = None,
    *,
    reference: int | NDArray[np.uint8] | None = None,
    inspection: Inspection | None = None,
    progress: Callable[[Progress], None] | None = None,
    workplace: Workplace | None = None,
    unfinished: Unfinished | None = None,
) -> PolarizationMap:
    """Run `map_steps` to its end."""
    steps = map_steps(
        scan, classifier, params, reference=reference, inspection=inspection, workplace=workplace, unfinished=unfinished
    )
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
    inspection: Inspection | None = None,
    workplace: Workplace | None = None,
    unfinished: Unfinished | None = None,
) -> Generator[Progress, None, PolarizationMap]:
    """Map a scan step by step, so that a caller can show progress and stop between steps.

    Parameters
    ----------
    scan : Scan4D
    classifier : Classifier
    params : MapParams, optional
    reference : int or ndarray of uint8, shape (scan_y, scan_x), optional
        The class, or map of classes, that `misclassified` compares with.
    inspection : Inspection, optional
        Of this scan with its present calibration, where there is one already; saves a
        pass over the file.
    workplace : Workplace, optional
        Where blocks are worked on; in threads of this process when not given.
    unfinished : Unfinished, optional
        Keeps the run so that it can be resumed, or resumes it.

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
    if inspection is None:
        inspection = yield from inspection_steps(scan)
    frame = Frame(scan, classifier, inspection, params)
    plan, notes = plan_windows(scan, inspection, params)
    measured_mrad = inspection.disk.radius_px * inspection.mrad_per_px
    if outside := out_of_range(classifier.info, scan.calibration, convergence_mrad=measured_mrad):
        notes = [*notes, outside]
    provenance = _provenance(frame, plan, notes)
    run = {name: value for name, value in provenance.items() if name != "date"}
    evidence = yield from classify(frame, plan, workplace=workplace, unfinished=unfinished, run=run)
    if scan.changed:
        raise ValueError(
            f"{scan.path}: has changed since it was opened; its map would mix what it was and what it is; map it again"
        )
    yield Progress("finding domains and irregular places", 0, 1)
    with threadpool_limits(1):  # sums of many threads end in another last digit
        return with_reference(with_regions(_assemble(frame, plan, evidence, provenance)), reference)


def _check(scan: Scan4D, params: MapParams, reference: int | NDArray[np.uint8] | None) -> None:
    smallest = min(scan.detector_shape)
    if params.crop_px is not None and params.crop_px > smallest:
        raise ValueError(
            f"crop of {params.crop_px} px does not fit a detector of {scan.detector_shape[0]} x "
            f"{scan.detector_shape[1]} px; choose at most {smallest} px"
        )
    if isinstance(reference, np.ndarray) and reference.shape != scan.scan_shape:
        raise ValueError(f"the reference has shape {reference.shape}; the scan has {scan.scan_shape}")


def _assemble(frame: Frame, plan: WindowPlan | None, evidence: Evidence, provenance: dict[str, Any]) -> PolarizationMap:
    scan, params, statistics = frame.scan, frame.params, frame.inspection.statistics
    single, pooled = evidence.single, evidence.pooled
    lattice = lattice_used(plan, frame.inspection)
    empty = ~(statistics.total > 0)
    if plan:
        best, size = smallest_sure(pooled, plan.width_px)
        window_cells = np.array([pool.cells for pool in plan.pools], np.float32)[size]
        domain, _ = domains(best, plan.width_px)
        chosen = {"none": single, "cell": pooled[0], "auto": best}[params.pool]
        shown = np.zeros_like(size) if params.pool == "cell" else size
        electrons = _chosen(evidence, "electrons", shown)
    else:
        chosen, window_cells, electrons = single, np.zeros(scan.scan_shape, np.float32), None
    direction, probability, confidence = _decide(chosen, empty)
    if not plan:
        domain = np.where(confidence >= _UNDEFINED_BELOW, direction, UNDEFINED).astype(np.uint8)
    domain = np.where(empty, UNDEFINED, domain).astype(np.uint8)

    uneven = irregularity(
        np.where(empty[..., None], np.nan, np.exp(single)),
        lattice if lattice.known else None,
        embedding=np.where(empty[..., None], np.nan, signature(evidence, statistics)),
        fdr=params.fdr,
    )
    turn = round(frame.crystal_angle_deg / 45)
    # A classifier that says nothing of single patterns gives several directions alike.
    directions = single[..., :N_DIRECTIONS]
    silent = empty | ((directions > directions.max(axis=-1, keepdims=True) - 1e-6).sum(axis=-1) > 1)
    single_direction = np.where(silent, UNDEFINED, directions.argmax(axis=-1)).astype(np.uint8)
    single_confidence = np.where(empty, 0, np.exp(directions.max(axis=-1))).astype(np.float32)
    direction, domain, single_direction = (
        _turn_classes(classes, turn) for classes in (direction, domain, single_direction)
    )
    probability = np.roll(probability, turn, axis=-1)
    angle = np.where(direction == UNDEFINED, np.nan, 45.0 * direction + frame.crystal_angle_deg - 45.0 * turn)
    return PolarizationMap(
        direction=direction,
        probability=probability,
        angle_deg=(angle % 360).astype(np.float32),
        confidence=confidence,
        irregularity=uneven.score.astype(np.float32),
        irregular=uneven.irregular,
        com_px=statistics.com_px.astype(np.float32),
        domain=domain,
        virtual_image=statistics.bright.astype(np.float32),
        window_cells=window_cells,
        single_direction=single_direction,
        single_confidence=single_confidence,
        single_entropy_bits=np.where(empty, np.nan, entropy_bits(single)).astype(np.float32),
        **(_estimated(evidence, size, empty, frame.crystal_angle_deg) if plan else {}),
        prediction_set=_sets(frame, plan, chosen, electrons, turn),
        provenance=provenance,
    )


def _sets(
    frame: Frame, plan: WindowPlan | None, chosen: NDArray[np.float32], electrons: NDArray[np.float32] | None, turn: int
) -> NDArray[np.uint16] | None:
    """Return the prediction sets; None for a classifier without."""
    pooled = plan is not None and frame.params.pool != "none"
    calibration = frame.classifier.calibration.get(pooled)
    if calibration is None or calibration.thresholds is None:
        return None
    if electrons is None or not pooled:
        each = float(np.median(frame.inspection.statistics.total)) if frame.counted else np.inf
        electrons = np.full(chosen.shape[:2], each, np.float32)
    return set_map(chosen, electrons, calibration, turn)


def signature(evidence: Evidence, statistics: ScanStatistics) -> NDArray[np.float32]:
    """Return what repeats with the lattice: the classifier's outputs, counts in and beside the disk, their centre."""
    counts = np.stack([statistics.bright, statistics.total - statistics.bright], axis=-1)
    return np.concatenate([evidence.embedding, counts, statistics.com_px], axis=-1).astype(np.float32)


def _chosen(evidence: Evidence, name: str, size: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return a number told of windows, of the window chosen at each position."""
    scales = np.stack([values[name] for values in evidence.estimated])
    index = size.reshape(1, *size.shape, *(1,) * (scales.ndim - 3))
    return np.asarray(np.take_along_axis(scales, index, axis=0)[0], np.float32)


def _estimated(
    evidence: Evidence, size: NDArray[np.intp], empty: NDArray[np.bool_], crystal_angle_deg: float
) -> dict[str, Any]:
    """Return the maps of the physical estimator for the window chosen at each position, in the scan's frame."""
    if "angle_deg" not in evidence.estimated[0]:
        return {}
    found = {}
    for name in evidence.estimated[0]:
        values = _chosen(evidence, name, size)
        found[name] = np.where(empty.reshape(*empty.shape, *(1,) * (values.ndim - 2)), np.nan, values)
    angle = np.deg2rad(crystal_angle_deg)
    y, x = found["tilt_mrad"][..., 0], found["tilt_mrad"][..., 1]
    tilt = np.stack([y * np.cos(angle) - x * np.sin(angle), y * np.sin(angle) + x * np.cos(angle)], axis=-1)
    maps = {
        "estimated_angle_deg": (found["angle_deg"] + crystal_angle_deg) % 360,
        "estimated_angle_error_deg": found["angle_spread_deg"],
        "magnitude": found["amplitude"],
        "magnitude_error": found["amplitude_spread"],
        "thickness_nm": found["thickness_nm"],
        "thickness_error_nm": found["thickness_error_nm"],
        "tilt_mrad": tilt,
        "estimate_misfit": found["misfit"],
    }
    return {name: values.astype(np.float32) for name, values in maps.items()}


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


def _provenance(frame: Frame, plan: WindowPlan | None, notes: list[str]) -> dict[str, Any]:
    inspection, info = frame.inspection, frame.classifier.info
    lattice = lattice_used(plan, inspection)
    return {
        "input": describe_source(frame.scan),
        "calibration": frame.scan.calibration.record(),
        "parameters": parameters_of(frame.params),
        "model": {"name": info.name, "title": info.title, "sha256": info.sha256},
        "measured": {
            "disk_center_px": [float(value) for value in inspection.disk.center_px],
            "disk_radius_px": float(inspection.disk.radius_px),
            "mrad_per_px": float(inspection.mrad_per_px),
            "lattice_vectors_px": lattice.vectors_px.tolist() if lattice.known else None,
            "lattice_resolved": lattice.resolved,
            "lattice_source": lattice.source,
            "windows_cells": [pool.cells for pool in plan.pools] if plan else [],
            "window_radius_px": float(plan.base.half[0]) if plan and not plan.pools[0].cells else None,
        },
        "notes": [*inspection.notes, *notes],
        "versions": {"python": platform.python_version(), **_versions()},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def parameters_of(params: MapParams) -> dict[str, Any]:
    """Return the options of a run as the provenance keeps them."""
    return {**asdict(params), "lattice_px": list(params.lattice_px or ()) or None}


@cache
def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
