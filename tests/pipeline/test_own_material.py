"""From a CIF file to a map by the three commands, on a tiny set: the path of docs/own-material.md."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_polarmap.cli import main
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.models.registry import load_classifier
from napari_polarmap.models.weights import read_info

pytest.importorskip("abtem")

SETS = Path(__file__).parents[2] / "benchmarks" / "sets"

PEROVSKITE = """
[specimen]
cif = "pbtio3.cif"
cells = 3
"""

WURTZITE = """
[cell]
zone_axis = "2 1 0"
box_A = [12, 18]
[specimen]
cif = "aln.cif"
"""

NUMERICS = """
[multislice]
gpts = 96
crop_px = 64
phonons = 0
"""

SET = f"""
seed = 1
SPECIMEN
count = 20
unpolarised_fraction = 0.2
amplitude = 1.2
[thickness]
low_nm = 4
high_nm = 5
[probe]
per_cell = PER_CELL
spread_cells = 1
{NUMERICS}
"""

SCAN = f"""
kind = "scan"
seed = 2
SPECIMEN
amplitude = 1.2
[scene]
rows = 12
columns = 20
step_A = 1.0
first = "RM"
second = "MU"
[thickness]
low_nm = 4.5
high_nm = 4.5
{NUMERICS}
"""

TRAIN = """
name = "titanate"
network = "pca_knn"
components = 6
neighbours = 3
singles = 1
"""


@pytest.mark.parametrize(("material", "specimen", "per_cell"), [("PbTiO3", PEROVSKITE, 4), ("AlN", WURTZITE, 9)])
def test_simulate_train_and_map_a_material_with_four_directions(
    tmp_path, in_process, capsys, material, specimen, per_cell
):
    shutil.copy(SETS / f"{material.lower()}.cif", tmp_path)
    for name, text in (("set", SET), ("scan", SCAN), ("train", TRAIN)):
        (tmp_path / f"{name}.toml").write_text(text.replace("SPECIMEN", specimen).replace("PER_CELL", str(per_cell)))
    paths = {name: tmp_path / name for name in ("set.h5", "scan.h5", "titanate.safetensors", "map.h5")}
    commands = [
        ["simulate", tmp_path / "set.toml", "--out", paths["set.h5"]],
        ["simulate", tmp_path / "scan.toml", "--out", paths["scan.h5"]],
        ["train", tmp_path / "train.toml", "--data", paths["set.h5"], "--out", paths["titanate.safetensors"]],
        ["map", paths["scan.h5"], "--model", paths["titanate.safetensors"], "--out", paths["map.h5"]],
    ]
    for command in commands:
        assert main([str(part) for part in command]) == 0, capsys.readouterr().err
    patterns = np.random.default_rng(0).random((5, 64, 64), dtype=np.float32)
    probability = load_classifier(paths["titanate.safetensors"]).predict(patterns, pooled=True).probability
    assert (probability[:, ::2].max(axis=1) >= probability[:, 1::2].max(axis=1)).all()
    assert read_info(paths["titanate.safetensors"]).material == material
    crystal = json.loads((tmp_path / "scan.manifest.json").read_text())["crystal"]
    assert crystal["classes"] == ["RM"]
    result = PolarizationMap.load(paths["map.h5"])
    assert set(np.unique(result.domain).tolist()) <= {0, 2, 4, 6, 255}
