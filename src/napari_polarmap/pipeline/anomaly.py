"""All scores of irregularity of one scan: ours, and the simpler ones that it must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.baselines import (
    dark_field_anomaly,
    distance_to_mean,
    lack_of_confidence,
    neighbour_disagreement,
    over_a_patch,
)
from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.directions import N_DIRECTIONS
from napari_polarmap.core.irregularity import Irregularity, irregularity
from napari_polarmap.core.lattice import Lattice
from napari_polarmap.models.registry import Classifier
from napari_polarmap.pipeline.evidence import classify
from napari_polarmap.pipeline.frame import Frame
from napari_polarmap.pipeline.inspection import inspect_scan
from napari_polarmap.pipeline.mapping import signature
from napari_polarmap.pipeline.parameters import MapParams
from napari_polarmap.pipeline.windows import lattice_used, plan_windows

OURS: Final = "irregularity"
_PATCH_CELLS: Final = 0.3
_FREE_PATCH_PX: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class Anomalies:
    """Scores of one scan, by the name of the method; each map has the shape (scan_y, scan_x).

    Attributes
    ----------
    scores : dict of str to ndarray
        `OURS` first. The baselines are averaged over the same patch as ours.
    found : Irregularity
        Of ours.
    lattice : Lattice
    bright : ndarray
        Counts inside the disk.
    """

    scores: dict[str, NDArray[np.floating]]
    found: Irregularity
    lattice: Lattice
    bright: NDArray[np.float64]


def anomalies(scan: Scan4D, classifier: Classifier, *, fdr: float = 0.05, seed: int = 0) -> Anomalies:
    """Return every score of irregularity of a scan."""
    params = MapParams(pool="none", fdr=fdr)
    inspection = inspect_scan(scan)
    frame = Frame(scan, classifier, inspection, params)
    plan, _ = plan_windows(scan, inspection, params)
    steps = classify(frame, None)
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            evidence = finished.value
            break
    lattice = lattice_used(plan, inspection)
    statistics = inspection.statistics
    empty = ~(statistics.total > 0)[..., None]
    probability = np.where(empty, np.nan, np.exp(evidence.single))
    outputs = classifier.embed(frame.patterns(slice(0, 1), slice(0, 1)))
    found, alone = (
        irregularity(probability, lattice if lattice.known else None, embedding=np.where(empty, np.nan, each), fdr=fdr)
        for each in (signature(evidence, statistics), evidence.embedding[..., : outputs.shape[1]])
    )
    patterns = frame.patterns(slice(None), slice(None))
    directions = np.nan_to_num(probability[..., :N_DIRECTIONS], nan=0)
    baselines = {
        "confidence": lack_of_confidence(probability[..., :N_DIRECTIONS]),
        "neighbour disagreement": neighbour_disagreement(directions.argmax(axis=-1)),
        "virtual ADF": dark_field_anomaly(statistics.total - statistics.bright),
        "distance to mean pattern": distance_to_mean(patterns, scan.scan_shape),
        "isolation forest": isolation_forest(signature(evidence, statistics), seed=seed),
    }
    sigma_px = _PATCH_CELLS * lattice.period_px if lattice.known else _FREE_PATCH_PX
    return Anomalies(
        scores={
            OURS: found.score,
            f"{OURS}, classifier alone": alone.score,
            **{name: over_a_patch(score, sigma_px) for name, score in baselines.items()},
        },
        found=found,
        lattice=lattice,
        bright=statistics.bright,
    )


def isolation_forest(embedding: NDArray[np.floating], *, seed: int = 0) -> NDArray[np.float64]:
    """Return the anomaly score of scikit-learn's isolation forest for maps of features, shape (scan_y, scan_x, k)."""
    from sklearn.ensemble import IsolationForest

    flat = embedding.reshape(-1, embedding.shape[-1])
    seen = np.isfinite(flat).all(axis=1)
    score = np.full(len(flat), np.nan)
    if seen.any():
        score[seen] = -IsolationForest(n_estimators=200, random_state=seed).fit(flat[seen]).score_samples(flat[seen])
    return score.reshape(embedding.shape[:-1])
