"""Score a classifier on files with known truth: training sets and scans."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.directions import ANGLES_DEG, N_DIRECTIONS, UNDEFINED
from napari_polarmap.core.metrics import (
    accuracy,
    angular_error,
    expected_calibration_error,
    mean_direction,
    opposite_fraction,
    roc_auc,
    set_coverage,
    wall_distance,
)
from napari_polarmap.io import open_scan
from napari_polarmap.io.errors import ScanFileError
from napari_polarmap.io.hdf5 import read_truth, read_truth_maps
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.models.registry import Classifier
from napari_polarmap.pipeline.error_report import write_error_figures
from napari_polarmap.pipeline.held_out import confidence, held_out_scores
from napari_polarmap.pipeline.mapping import MapParams, map_polarization
from napari_polarmap.pipeline.training_data import load_training_data
from napari_polarmap.pipeline.unfamiliar import unfamiliar_patterns

_UNFAMILIAR_ELECTRONS: Final = 1e6


def evaluate_files(
    classifier: Classifier, paths: list[str | Path], *, figures: Path | None = None
) -> list[dict[str, Any]]:
    """Score a classifier on files with known truth, one record per file.

    Training sets are scored by `held_out_scores` over all their specimens, scans by
    `score_scan`, which also writes figures of the errors into the folder `figures`.

    Raises
    ------
    ScanFileError
        If a file holds no truth.
    """
    records = []
    for path in map(Path, paths):
        if _is_training_set(path):
            data = load_training_data([path])
            scores: dict[str, Any] = held_out_scores(classifier, data, np.arange(len(data.label)))
        else:
            scores = score_scan(classifier, path, figures=figures)
        records.append({"file": str(path), "model": classifier.info.name, **scores})
    return records


def _is_training_set(path: Path) -> bool:
    try:
        with h5py.File(path, "r") as file:
            return "specimen" in file
    except OSError:
        return False


def score_scan(classifier: Classifier, path: Path, *, figures: Path | None = None) -> dict[str, Any]:
    """Score a classifier on one scan with labels.

    Returns
    -------
    scores : dict
        See ``docs/confidence.md``; positions within one unit cell of a wall, and defects,
        are left out. None where a figure cannot be given.
    """
    label, defect = read_truth(path)
    if label is None:
        raise ScanFileError(f"{path}: the file holds no /label; only scans with known truth can be scored")
    with open_scan(path) as scan:
        if label.shape != scan.scan_shape:
            raise ScanFileError(f"{path}: /label has shape {label.shape}; the scan has {scan.scan_shape}")
        truth = read_truth_maps(path)
        thickness_nm = truth.get("thickness_nm", scan.calibration.thickness_nm)
        pooled = map_polarization(scan, classifier, MapParams(pool="auto"))
    if figures is not None and (label != UNDEFINED).any():
        write_error_figures(figures, path.stem, pooled, label, defect)
    vectors = pooled.provenance["measured"]["lattice_vectors_px"]
    cell_px = float(np.linalg.norm(vectors, axis=1).mean()) if vectors else 0.0
    clear = wall_distance(label) > cell_px
    if defect is not None:
        clear &= ~defect
    scores = _scan_scores(pooled, label, defect, clear)
    scores |= _angle_scores(pooled, label, clear, truth.get("angle_deg"))
    scores["ood_auc"] = _unfamiliar_auc(classifier, pooled, clear & (label != UNDEFINED))
    found = pooled.arrays().get("thickness_nm")
    if found is not None and thickness_nm is not None and np.isfinite(found).any():
        off_nm = np.abs(found - thickness_nm)
        scores["thickness_error_median_nm"] = float(np.nanmedian(off_nm))
        scores["thickness_error_p95_nm"] = float(np.nanpercentile(off_nm, 95))
    return {
        name: None if value is None or not np.isfinite(value) else round(value, 4) for name, value in scores.items()
    }


def _scan_scores(
    pooled: PolarizationMap,
    label: NDArray[np.uint8],
    defect: NDArray[np.bool_] | None,
    clear: NDArray[np.bool_],
) -> dict[str, float | None]:
    single = np.full(label.shape, UNDEFINED, np.uint8) if pooled.single_direction is None else pooled.single_direction
    known = clear & (label != UNDEFINED)
    told = known & (pooled.domain != UNDEFINED)
    sure = known & np.isfinite(pooled.probability).all(axis=-1)
    return {
        "accuracy_single": accuracy(single, label, known) if (known & (single != UNDEFINED)).any() else None,
        "accuracy_pooled": accuracy(pooled.direction, label, known) if known.any() else None,
        "accuracy_domain": accuracy(pooled.domain, label, known) if known.any() else None,
        "domain_undefined": float((pooled.domain == UNDEFINED).mean()),
        "opposite_domain": opposite_fraction(pooled.domain[told], label[told]) if told.any() else None,
        "ece_pooled": expected_calibration_error(pooled.probability[sure], label[sure]) if sure.any() else None,
        "irregularity_auc": roc_auc(pooled.irregularity, defect) if defect is not None and defect.any() else None,
        "directions_found": float(len(set(np.unique(pooled.domain)) & set(range(N_DIRECTIONS)))),
    }


def _angle_scores(
    pooled: PolarizationMap,
    label: NDArray[np.uint8],
    clear: NDArray[np.bool_],
    angle_deg: NDArray[np.float32] | None,
) -> dict[str, float | None]:
    """Angle of the mean direction against the truth, and how often prediction sets hold it."""
    known = clear & (label != UNDEFINED)
    told = known & np.isfinite(pooled.probability).all(axis=-1)
    scores: dict[str, float | None] = {
        "angular_error_median_deg": None,
        "angular_error_p95_deg": None,
        "estimated_angle_error_median_deg": None,
        "estimated_angle_error_p95_deg": None,
        "coverage": None,
    }
    if told.any():
        off = angular_error(mean_direction(pooled.probability[told]), ANGLES_DEG[label[told]])
        scores["angular_error_median_deg"] = float(np.median(off))
        scores["angular_error_p95_deg"] = float(np.percentile(off, 95))
    estimated = pooled.arrays().get("estimated_angle_deg")
    if estimated is not None and (found := known & np.isfinite(estimated)).any():
        exact = ANGLES_DEG[label[found]] if angle_deg is None else angle_deg[found]
        off = angular_error(estimated[found], exact)
        scores["estimated_angle_error_median_deg"] = float(np.median(off))
        scores["estimated_angle_error_p95_deg"] = float(np.percentile(off, 95))
    sets = pooled.arrays().get("prediction_set")
    if sets is not None and known.any():
        scores["coverage"] = set_coverage(sets[known], label[known])
    return scores


def _unfamiliar_auc(classifier: Classifier, pooled: PolarizationMap, known: NDArray[np.bool_]) -> float | None:
    """How well the map's confidence tells its crystal from what the classifier should not know."""
    if not known.any():
        return None
    rng = np.random.default_rng(0)
    patterns = np.concatenate(list(unfamiliar_patterns(None, _UNFAMILIAR_ELECTRONS, rng).values()))
    strange = confidence(classifier.predict(patterns, pooled=True))
    right = pooled.confidence[known]
    return roc_auc(np.concatenate([right, strange]), np.arange(len(right) + len(strange)) < len(right))
