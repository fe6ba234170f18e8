"""The published benchmark: its parts on tiny data, and the report from records."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_polarmap.core.directions import VECTORS_YX
from napari_polarmap.io.hdf5 import write_scan

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def _benchmarks_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def disk_scan(path: Path, offset_px: float = 0.0) -> Path:
    """Eight by eight patterns that lean to the right (RM), their disk off the middle in y."""
    y, x = np.mgrid[:64, :64] - 31.5
    disk = 1 / (1 + np.exp(2 * (np.hypot(y - offset_px, x) - 20)))
    lean = disk * (1 + 0.3 * VECTORS_YX[0][1] * x / 20)
    data = np.random.default_rng(0).poisson(50 * lean, (8, 8, 64, 64)).astype(np.uint16)
    return write_scan(
        path,
        data,
        attrs={"mrad_per_px": 1.05, "convergence_mrad": 21.0, "scan_step_A": 0.5, "voltage_kV": 200.0},
        label=np.zeros((8, 8), np.uint8),
    )


def middle(patterns: np.ndarray) -> float:
    rows = np.arange(64) - 31.5
    return float((patterns.sum(axis=(0, 2)) * rows).sum() / patterns.sum())


def test_the_published_crop_moves_the_disk_to_the_mirror_side(tmp_path):
    from paper_sets import read_patterns_of

    scan = read_patterns_of(disk_scan(tmp_path / "s.h5", offset_px=-3.0))
    assert abs(middle(scan.patterns)) < 0.3
    assert middle(scan.published) == pytest.approx(-6, abs=0.5)  # twice as far out as the disk was


def test_quarter_turns_of_a_scan_give_four_directions_split_by_position(tmp_path):
    from paper_sets import published_protocol

    protocol = published_protocol([disk_scan(tmp_path / "s.h5")])
    assert np.unique(protocol.label).tolist() == [0, 2, 4, 6]
    shares = np.bincount(protocol.part) / len(protocol.part)
    np.testing.assert_allclose(shares, (0.8, 0.1, 0.1), atol=0.06)


def test_a_record_is_made_once_and_kept_whole(tmp_path):
    from paper import keep

    path, calls = tmp_path / "a.json", []

    def make():
        calls.append(1)
        return {"random_split": 0.5}

    keep(path, make)
    keep(path, make)
    assert len(calls) == 1
    assert json.loads(path.read_text())["random_split"] == 0.5
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_no_report_is_written_where_a_record_failed(tmp_path, monkeypatch):
    import paper

    def fails(*_):
        raise RuntimeError("no memory")

    table = tmp_path / "benchmark-table.md"
    table.write_text("what was measured before")
    monkeypatch.setattr(paper, "make_sets", lambda *_: None)
    monkeypatch.setattr(paper, "single_threads", lambda _: ThreadPoolExecutor(1))
    monkeypatch.setattr(paper, "_work", lambda *_: {tmp_path / "a.json": fails})
    monkeypatch.setattr("sys.argv", ["paper.py", "--out", str(tmp_path / "out"), "--report", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"not made: a; no report is written"):
        paper.main()
    assert table.read_text() == "what was measured before"


def test_a_network_of_the_quick_form_is_trained_goes_on_and_answers(tmp_path):
    from dataclasses import replace

    from paper import QUICK
    from paper_models import Cell, train_network
    from paper_sets import published_protocol

    torch.set_num_threads(1)
    protocol = published_protocol([disk_scan(tmp_path / "s.h5")])
    schooling = replace(QUICK.schooling, epochs={"published_cnn": 12}, learning_rate={"published_cnn": 1e-3}, binning=4)
    cell, checkpoint = Cell("published_cnn", "classification", "plain", 1), tmp_path / ".cell.training"
    answer, losses = train_network(cell, protocol, schooling, checkpoint)
    patterns, label = protocol.of(2)
    assert (answer(patterns) == label).mean() > 0.4  # chance is a quarter
    again, same = train_network(cell, protocol, schooling, checkpoint)  # from its last epoch: nothing is left to do
    assert same == losses
    assert (again(patterns) == answer(patterns)).all()


@pytest.mark.parametrize(("able", "cells"), [(False, 6 + 2), (True, 2 * 10)])
def test_both_forms_hold_the_published_networks_objectives_and_treatments(monkeypatch, able, cells):
    from paper import FULL, quick_form

    names = [cell.name for cell in FULL.cells]
    assert len(names) == len(set(names)) == 5 * 4 * (3 * 3 + 1)  # seeds, treatments, networks by objectives and kNN
    assert "vgg16-prototype-both-7000" in names
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": able})
    assert len({cell.name for cell in quick_form().cells}) == cells


def test_every_set_of_the_short_form_holds_few_positions_but_eight_to_a_cell():
    from paper_sets import EXPERIMENTAL, SETS, SYNTHETIC

    from napari_polarmap.simulation.config import load_config

    for name in SYNTHETIC + EXPERIMENTAL:
        config = load_config(SETS / f"{name}.toml", "quick")
        assert config.scene.rows * config.scene.columns <= 2400
        assert 3.98 / config.scene.step_A.high >= 7.99, f"{name}: averages over a cell would not cancel the lattice"


def records(folder: Path) -> Path:
    """Two seeds of one published model and one packaged classifier."""
    from paper_report import DOSES, OFFSETS_PX, POOLED_DOSES
    from paper_sets import EXPERIMENTAL, SYNTHETIC

    names = SYNTHETIC + EXPERIMENTAL
    specimens = {"right": [1, 0, 1], "thickness_nm": [10, 30, 50], "tilt_mrad": [0.1, 1, 3]}
    for seed, right in ((1, 0.98), (2, 1.0)):
        record = {
            "network": "resnet50",
            "objective": "regression",
            "treatment": "plain",
            "seed": seed,
            "random_split": right,
            "held_out": 0.3,
            "truth": dict.fromkeys(names, "RM"),
            "sets": {name: {"accuracy": 0.2, "opposite": 0.1, "majority": "LU"} for name in names},
            "published_crop": dict.fromkeys(EXPERIMENTAL, 0.1),
            "offset": [0.9] * len(OFFSETS_PX),
            "dose": [0.5] * len(DOSES),
            "specimens": specimens,
        }
        (folder / f"resnet50-{seed}.json").write_text(json.dumps(record))
    windows = {"1": {"accuracy": 0.9, "neighbour": 0.1, "opposite": 0.0}}
    windows["3"] = {"accuracy": 1.0, "neighbour": 0.0, "opposite": 0.0}
    record = {
        "title": "Templates, x",
        "sets": {name: {"single": None, "windows": windows} for name in names},
        "offset": [0.9] * len(OFFSETS_PX),
        "dose": [0.5] * len(POOLED_DOSES),
        "still": [0.5, 0.75, 0.8, 0.9, 1.0],
        "specimens": specimens,
        "single": 0.125,
    }
    (folder / "packaged-t.json").write_text(json.dumps(record))
    bound, scatter = {"at_1e5": 0.875, "electrons_for_99": 3e5}, {"at_1e5": 0.75, "electrons_for_99": None}
    record = {"ideal": True, "averages": 64, "specimens": 16, "draws": 5, "bound": bound, "scatter": scatter}
    record["windows"] = {name: {"electrons": 1e5, "bound": 0.9, "scatter": 0.6} for name in EXPERIMENTAL}
    (folder / "ideal.json").write_text(json.dumps(record))
    return folder


def test_the_report_holds_means_spreads_goals_and_a_figure_per_finding(tmp_path):
    from paper_report import write_report

    (tmp_path / "records").mkdir()
    write_report(records(tmp_path / "records"), tmp_path / "report", command="make it")
    text = (tmp_path / "report" / "benchmark-table.md").read_text()
    assert "| resnet50 | regression | plain | 99.0 ± 1.0 | 30.0 ± 0.0 | 69.0 ± 1.0 | 20.0 ± 0.0 |" in text
    assert "0.0 of 7" in text
    assert "Templates 75.0%" in text  # 10^5 electrons, no tilt
    assert "knows the specimen 87.5%, 99 % with 3.0e+05 electrons" in text
    assert "they vary 75.0%, 99 % with no dose up to 10⁷" in text
    assert "Templates says nothing" in text
    pictures = {path.name for path in (tmp_path / "report").glob("*.png")}
    assert pictures == {f"benchmark-{name}.png" for name in ("split", "thickness", "tilt", "dose", "offset")}


def test_a_few_cells_alone_give_a_table_of_their_own(tmp_path):
    from paper_report import write_report

    (tmp_path / "records").mkdir()
    for path in records(tmp_path / "records").glob("[pi]*.json"):
        path.unlink()
    write_report(tmp_path / "records", tmp_path / "report", command="make it", table="few")
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["few.md"]
    assert "written by make it" in (tmp_path / "report" / "few.md").read_text()
