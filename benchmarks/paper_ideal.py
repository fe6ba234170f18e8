"""What an ideal filter makes of the benchmark's averages: how far counting alone lets anyone come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from noise_limit import Conditions, dose_for, filter_accuracy
from paper_packaged import DRAWS, wide_window
from paper_sets import EXPERIMENTAL, SETS, Specimens

from napari_polarmap import open_scan
from napari_polarmap.core.directions import N_DIRECTIONS
from napari_polarmap.io.hdf5 import read_truth_maps
from napari_polarmap.models.template import load_estimator
from napari_polarmap.pipeline.inspection import inspect_scan
from napari_polarmap.pipeline.parameters import MapParams
from napari_polarmap.pipeline.training_data import NONE
from napari_polarmap.pipeline.windows import plan_windows
from napari_polarmap.simulation.config import load_config

KINDS = {"bound": False, "scatter": True}
"""Filters that know thickness, tilt, convergence and amplitude: the first knows the specimen too, so that counting
is all that is left; for the second the specimen is one of many."""
DOSES = 10 ** np.arange(4.0, 7.01, 0.25)


def ask_ideal(still: Specimens, paths: dict[str, Path], variant: str) -> dict[str, Any]:
    """Return how often ideal filters are right: of specimens without tilt, and of wide windows on E1 to E5."""
    model, data = load_estimator().model, still.data
    rows = np.flatnonzero(data.label < NONE)
    specimens = len(np.unique(data.specimen[rows]))
    record: dict[str, Any] = {"ideal": True, "averages": len(rows), "specimens": specimens, "draws": DRAWS}
    for name, disorder in KINDS.items():
        curve = np.array([filter_accuracy(model, data, rows, dose, disorder=disorder, draws=100) for dose in DOSES])
        told = filter_accuracy(model, data, rows, 1e5, disorder=disorder, draws=400)
        enough = dose_for(curve, 0.99, DOSES)
        record[name] = {
            "at_1e5": round(told, 4),
            "electrons_for_99": float(f"{enough:.3g}") if np.isfinite(enough) else None,
        }
    record["windows"] = {}
    for key in EXPERIMENTAL:
        conditions, electrons = _conditions(paths[key], key, variant)
        record["windows"][key] = {"electrons": float(f"{electrons:.3g}")} | {
            name: round(
                filter_accuracy(model, conditions, np.arange(N_DIRECTIONS), electrons, disorder=disorder, draws=400), 4
            )
            for name, disorder in KINDS.items()
        }
    return record


def _conditions(path: Path, name: str, variant: str) -> tuple[Conditions, float]:
    """Return the truth of a scan, once for each direction, and the electrons in its wide window."""
    truth = read_truth_maps(path)
    config = load_config(SETS / f"{name}.toml", variant)
    with open_scan(path) as scan:
        inspection = inspect_scan(scan)
        plan, _ = plan_windows(scan, inspection, MapParams(pool="auto"))
        electrons = wide_window(plan).effective_positions * float(np.median(inspection.statistics.total))
    every = np.ones(N_DIRECTIONS)
    return (
        Conditions(
            label=np.arange(N_DIRECTIONS),
            thickness_nm=every * float(truth["thickness_nm"].mean()),
            tilt_mrad=np.tile(truth["tilt_mrad"].mean(axis=(0, 1)), (N_DIRECTIONS, 1)),
            convergence_mrad=every * config.microscope.convergence_mrad.low,
            amplitude=every * config.specimen.amplitude.low,
        ),
        electrons,
    )
