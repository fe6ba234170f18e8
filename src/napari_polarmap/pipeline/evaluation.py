"""How right a classifier is, on whole specimens it has never seen and on scans with known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.directions import N_DIRECTIONS, UNDEFINED
from napari_polarmap.core.metrics import (
    accuracy,
    expected_calibration_error,
    opposite_fraction,
    roc_auc,
    wall_distance,
)
from napari_polarmap.core.symmetry import OPERATIONS
from napari_polarmap.io import open_scan
from napari_polarmap.io.errors import ScanFileError
from napari_polarmap.io.hdf5 import read_truth
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.models.registry import Classifier, Prediction
from napari_polarmap.pipeline.augmentation import to_grid
from napari_polarmap.pipeline.mapping import MapParams, map_polarization
from napari_polarmap.pipeline.training_data import NONE, TrainingData, load_training_data

POOLED_DOSES: Final = {"exact": None, "1e7": 1e7, "1e6": 1e6, "1e5": 1e5}
SINGLE_DOSES: Final = {"exact": None, "1000": 1e3}


def held_out_scores(
    classifier: Classifier, data: TrainingData, rows: NDArray[np.int64], *, seed: int = 0
) -> dict[str, float]:
    """Score a classifier on rows of a training set that it has not seen.

    Every pattern is put through one operation of the square, in turn, so that all
    eight directions are asked for.

    Returns
    -------
    scores : dict of str to float
        ``accuracy_pooled_<electrons>``: share of polarised specimens whose direction is
        right, from the average over the cell with that many electrons in all;
        ``accuracy_single_<electrons>``: from single patterns; ``opposite_pooled``;
        ``unpolarised_told``: share of unpolarised specimens called undefined;
        ``polarised_kept``: share of polarised ones not called undefined;
        ``ece_pooled``: expected calibration error; `specimens`.
    """
    rng = np.random.default_rng(seed)
    scores: dict[str, float] = {"specimens": float(len(np.unique(data.specimen[rows])))}
    for name, dose in POOLED_DOSES.items():
        answer, truth = _ask(classifier, data.pooled[rows], data, rows, dose, rng, pooled=True)
        scores[f"accuracy_pooled_{name}"] = _share_right(answer, truth)
        if name == "exact":
            polarised = truth < NONE
            direction = answer.probability.argmax(axis=1)
            scores["opposite_pooled"] = opposite_fraction(direction[polarised], truth[polarised])
            told = answer.informed < 0.5
            scores["unpolarised_told"] = float(told[~polarised].mean()) if (~polarised).any() else float("nan")
            scores["polarised_kept"] = float((~told)[polarised].mean())
        if name == "1e6":
            polarised = truth < NONE
            scores["ece_pooled"] = expected_calibration_error(answer.probability[polarised], truth[polarised])
    single_rows = np.repeat(rows, data.singles.shape[1])
    singles = data.singles[rows].reshape(-1, *data.singles.shape[2:])
    for name, dose in SINGLE_DOSES.items():
        answer, truth = _ask(classifier, singles, data, single_rows, dose, rng, pooled=False)
        scores[f"accuracy_single_{name}"] = _share_right(answer, truth)
    return {name: round(value, 4) for name, value in scores.items()}


def _share_right(answer: Prediction, truth: NDArray[np.int64]) -> float:
    polarised = truth < NONE
    return accuracy(answer.probability[polarised].argmax(axis=1).astype(np.uint8), truth[polarised].astype(np.uint8))


def _ask(
    classifier: Classifier,
    patterns: NDArray[np.floating],
    data: TrainingData,
    rows: NDArray[np.int64],
    dose: float | None,
    rng: np.random.Generator,
    *,
    pooled: bool,
) -> tuple[Prediction, NDArray[np.int64]]:
    exact = np.maximum(patterns.astype(np.float32), 0)
    counted = exact if dose is None else rng.poisson(exact * (dose / data.intensity_scale)).astype(np.float32)
    grid = to_grid(counted, data.mrad_per_px[rows], grid_mrad=classifier.info.grid_mrad).numpy()
    truth = data.label[rows].copy()
    for index in range(len(grid)):
        operation = OPERATIONS[index % len(OPERATIONS)]
        grid[index] = operation.images(grid[index])
        if truth[index] < NONE:
            truth[index] = operation.classes(truth[index : index + 1])[0]
    parts = [classifier.predict(grid[i : i + 512], pooled=pooled) for i in range(0, len(grid), 512)]
    return Prediction(
        np.concatenate([part.probability for part in parts]), np.concatenate([part.informed for part in parts])
    ), truth


def evaluate_files(classifier: Classifier, paths: list[str | Path]) -> list[dict[str, Any]]:
    """Score a classifier on files with known truth, one record per file.

    Training sets are scored by `held_out_scores` over all their specimens, scans by
    `score_scan`.

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
            scores = score_scan(classifier, path)
        records.append({"file": str(path), "model": classifier.info.name, **scores})
    return records


def _is_training_set(path: Path) -> bool:
    try:
        with h5py.File(path, "r") as file:
            return "specimen" in file
    except OSError:
        return False


def score_scan(classifier: Classifier, path: Path) -> dict[str, Any]:
    """Score a classifier on one scan with labels.

    Returns
    -------
    scores : dict
        ``accuracy_single``, ``accuracy_pooled``, ``accuracy_domain`` over positions more
        than one unit cell from a wall; ``domain_undefined``: share of 255;
        ``opposite_domain``; ``ece_pooled``; with a defect mask ``irregularity_auc``.
    """
    label, defect = read_truth(path)
    if label is None:
        raise ScanFileError(f"{path}: the file holds no /label; only scans with known truth can be scored")
    with open_scan(path) as scan:
        if label.shape != scan.scan_shape:
            raise ScanFileError(f"{path}: /label has shape {label.shape}; the scan has {scan.scan_shape}")
        single = map_polarization(scan, classifier, MapParams(pool="none"))
        pooled = map_polarization(scan, classifier, MapParams(pool="auto"))
    vectors = pooled.provenance["measured"]["lattice_vectors_px"]
    cell_px = float(np.linalg.norm(vectors, axis=1).mean()) if vectors else 0.0
    clear = wall_distance(label) > cell_px
    if defect is not None:
        clear &= ~defect
    return {
        name: None if value is None else round(value, 4)
        for name, value in _scan_scores(single, pooled, label, defect, clear).items()
    }


def _scan_scores(
    single: PolarizationMap,
    pooled: PolarizationMap,
    label: NDArray[np.uint8],
    defect: NDArray[np.bool_] | None,
    clear: NDArray[np.bool_],
) -> dict[str, float | None]:
    known = clear & (label != UNDEFINED)
    told = known & (pooled.domain != UNDEFINED)
    sure = known & np.isfinite(pooled.probability).all(axis=-1)
    return {
        "accuracy_single": accuracy(single.direction, label, known) if known.any() else None,
        "accuracy_pooled": accuracy(pooled.direction, label, known) if known.any() else None,
        "accuracy_domain": accuracy(pooled.domain, label, known) if known.any() else None,
        "domain_undefined": float((pooled.domain == UNDEFINED).mean()),
        "opposite_domain": opposite_fraction(pooled.domain[told], label[told]) if told.any() else None,
        "ece_pooled": expected_calibration_error(pooled.probability[sure], label[sure]) if sure.any() else None,
        "irregularity_auc": roc_auc(pooled.irregularity, defect) if defect is not None and defect.any() else None,
        "directions_found": float(len(set(np.unique(pooled.domain)) & set(range(N_DIRECTIONS)))),
    }
