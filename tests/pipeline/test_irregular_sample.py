"""The missing columns of the packaged sample are found, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap import load_classifier, open_scan
from napari_polarmap.core.kinds import Kind
from napari_polarmap.core.metrics import roc_auc
from napari_polarmap.io.hdf5 import read_truth
from napari_polarmap.models.registry import default_model
from napari_polarmap.pipeline.anomaly import OURS, anomalies
from napari_polarmap.pipeline.mapping import map_polarization
from napari_polarmap.plugin import sample_path


@pytest.mark.slow
def test_the_defect_of_the_sample_is_one_region_within_half_a_cell_of_its_place():
    path = sample_path("defect")
    _, truth = read_truth(path)
    with open_scan(path) as scan:
        result = map_polarization(scan, load_classifier(default_model()))
    assert roc_auc(result.irregularity, truth) > 0.95
    table = result.provenance["regions"]
    first = table[0]
    assert first["kind"] == Kind.DEFECT.value
    period = np.linalg.norm(result.provenance["measured"]["lattice_vectors_px"], axis=1).mean()
    assert np.linalg.norm(np.argwhere(truth).mean(axis=0) - first["centre_px"]) < period / 2
    assert first["area_nm2"] == pytest.approx(first["positions"] * 0.05**2)
    assert result.irregular[~truth].mean() < 0.02


@pytest.mark.slow
def test_ours_finds_the_defect_of_the_sample_better_than_every_simple_score():
    path = sample_path("defect")
    _, truth = read_truth(path)
    with open_scan(path) as scan:
        scores = anomalies(scan, load_classifier(default_model())).scores
    areas = {name: roc_auc(score, truth) for name, score in scores.items()}
    # The same score of fewer features is no baseline.
    assert all(areas[OURS] > area for name, area in areas.items() if not name.startswith(OURS)), areas
