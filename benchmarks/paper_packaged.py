"""The packaged classifiers on the sets of the published comparison."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from paper_models import parts_of
from paper_report import OFFSETS_PX, POOLED_DOSES, WIDE
from paper_sets import Patterns, Specimens

from napari_polarmap import open_scan
from napari_polarmap.core.metrics import wall_distance
from napari_polarmap.core.pooling import Pool
from napari_polarmap.io.hdf5 import read_truth
from napari_polarmap.models.registry import Classifier, load_classifier
from napari_polarmap.pipeline.evidence import classify
from napari_polarmap.pipeline.frame import Frame
from napari_polarmap.pipeline.inspection import inspect_scan
from napari_polarmap.pipeline.parameters import MapParams
from napari_polarmap.pipeline.windows import WindowPlan, plan_windows

DRAWS = 5
"""Recordings of each average of the specimens without tilt; new counts, not new specimens."""


def ask_packaged(
    name: str, paths: dict[str, Path], specimens: Specimens, singles: Specimens, still: Specimens
) -> dict[str, Any]:
    """Return what a packaged classifier says of windows on the sets and of averages of specimens.

    `specimens` are averages over a cell of specimens held out, `singles` single patterns of the
    same, `still` averages of specimens without tilt.
    """
    classifier = load_classifier(name)
    record: dict[str, Any] = {"title": classifier.info.title, "sha256": classifier.info.sha256, "sets": {}}
    for key, path in paths.items():
        record["sets"][key] = _ask_scan(classifier, path)

    def pooled(asked: Patterns, electrons: float | None = None) -> NDArray[np.int64]:
        said = [classifier.predict(part, pooled=True, electrons=electrons).probability for part in parts_of(asked)]
        return np.concatenate(said).argmax(axis=1)

    record["offset"] = []
    for step in OFFSETS_PX:
        asked, truth, row = specimens.recorded(offset_px=step)
        said = pooled(asked)
        record["offset"].append(round(float((said == truth).mean()), 4))
        if step == 0:
            record["specimens"] = specimens.facts(said == truth, row)
    record["dose"], record["still"] = [], []
    for dose in POOLED_DOSES:
        asked, truth, _ = specimens.recorded(dose=dose)
        record["dose"].append(round(float((pooled(asked, dose) == truth).mean()), 4))
        draws = [still.recorded(dose=dose, seed=seed)[:2] for seed in range(DRAWS)]
        record["still"].append(round(float(np.mean([pooled(asked, dose) == truth for asked, truth in draws])), 4))
    asked, truth, _ = singles.recorded()
    single = np.concatenate([classifier.predict(part, pooled=False).probability for part in parts_of(asked)])
    record["single"] = round(float((single.argmax(axis=1) == truth).mean()), 4)
    return record


def wide_window(plan: WindowPlan) -> Pool:
    """Return the smallest window of at least `WIDE` cells, or the widest there is."""
    return next((pool for pool in plan.pools if pool.cells >= WIDE), plan.pools[-1])


def _ask_scan(classifier: Classifier, path: Path) -> dict[str, Any]:
    """Return how often windows of one, two, three ... cells, and single patterns, are right."""
    label, _ = read_truth(path)
    with open_scan(path) as scan:
        inspection = inspect_scan(scan)
        params = MapParams(pool="auto")
        plan, _ = plan_windows(scan, inspection, params)
        frame = Frame(scan, classifier, inspection, params)
        wide = wide_window(plan)
        few = replace(plan, pools=plan.pools[:1] + [wide] * (wide is not plan.pools[0]))
        steps = classify(frame, few, singles=False)
        while True:
            try:
                next(steps)
            except StopIteration as done:
                evidence = done.value
                break
        rows = np.linspace(0, label.shape[0] - 1, min(8, label.shape[0])).astype(int)
        patterns = np.concatenate([frame.patterns(slice(r, r + 1), slice(0, label.shape[1])) for r in rows])
        counts = frame.electrons(patterns)
        answer = classifier.predict(patterns, pooled=False, electrons=counts)
    single = answer.probability.argmax(axis=1)
    # A classifier that finds all eight alike says nothing; its first class is no answer.
    tells = float(np.ptp(classifier.predictor.predict_logits(patterns[:8], pooled=False)[:, :8])) > 1e-6
    record: dict[str, Any] = {"single": round(float((single == label[rows].ravel()).mean()), 4) if tells else None}
    record["windows"] = {}
    for pool, said in zip(evidence.pools, evidence.pooled, strict=True):
        # Away from walls, so that a window holds one direction.
        clear = (label < 8) & (wall_distance(label) > max(1.0, pool.cells / 2) * plan.lattice.period_px)
        if not clear.any():
            continue
        off = (said[..., :8].argmax(axis=-1)[clear] - label[clear].astype(np.int64)) % 8
        record["windows"][f"{pool.cells:g}"] = {
            "accuracy": round(float((off == 0).mean()), 4),
            "neighbour": round(float(np.isin(off, (1, 7)).mean()), 4),
            "opposite": round(float((off == 4).mean()), 4),
        }
    return record
