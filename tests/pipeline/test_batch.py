"""A folder of scans with one set of parameters."""

from __future__ import annotations

import csv
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from napari_polarmap import cli, load_classifier
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.pipeline.batch import COLUMNS, batch_steps, find_scans
from napari_polarmap.pipeline.mapping import MapParams
from napari_polarmap.plugin import sample_path


@pytest.fixture(scope="module")
def scans(tmp_path_factory) -> Path:
    """Two corners of a sample, a broken file between them, and files that are no scans."""
    folder = tmp_path_factory.mktemp("session")
    with h5py.File(sample_path("two_domains")) as sample:
        for name, columns in (("film2", slice(0, 24)), ("film10", slice(56, 80))):
            with h5py.File(folder / f"{name}.h5", "w") as file:
                file["data"] = sample["data"][:24, columns]
                file["data"].attrs.update({"voltage_kV": 200.0, "convergence_mrad": 24.0, "scan_step_A": 0.5})
    (folder / "film3.h5").write_bytes(b"not a scan")
    (folder / "notes.txt").write_text("mine")
    (folder / ".hidden.h5").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def classifier():
    return load_classifier("template-niobate")


def finish(steps):
    """Return what a generator of steps returns, and what it yields."""
    seen = []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as end:
            return end.value, seen


def table(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def batch(scans, classifier, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    items, seen = finish(batch_steps(find_scans(scans), classifier, MapParams(fdr=0.1), out))
    return out, items, seen


def test_scans_are_found_in_the_order_of_their_numbers(scans):
    assert [path.name for path in find_scans(scans)] == ["film2.h5", "film3.h5", "film10.h5"]


def test_results_companions_and_hidden_files_are_no_scans(batch, tmp_path):
    out, *_ = batch
    assert find_scans(out) == []
    for name in ("a_master.h5", "a_data_000001.h5", "b.xml", "b.raw", "c.mib"):
        (tmp_path / name).touch()
    (tmp_path / "tiffs").mkdir()
    (tmp_path / "tiffs" / "1.tif").touch()
    (tmp_path / "empty").mkdir()
    assert [path.name for path in find_scans(tmp_path)] == ["a_master.h5", "b.xml", "c.mib", "tiffs"]


def test_one_broken_file_does_not_stop_the_others(batch, scans):
    out, items, _ = batch
    assert [item.state for item in items] == ["mapped", "failed", "mapped"]
    assert "film3.h5" in items[1].error
    assert sorted(path.name for path in out.iterdir()) == [
        "batch.csv", "batch.png", "film10_map.h5", "film10_map.png", "film2_map.h5", "film2_map.png",
    ]  # fmt: skip
    assert PolarizationMap.load(out / "film2_map.h5").provenance["parameters"]["fdr"] == 0.1


def test_the_table_tells_what_each_map_holds(batch):
    out, items, _ = batch
    lines = table(out / "batch.csv")
    assert tuple(lines[0]) == COLUMNS
    assert [line["state"] for line in lines] == ["mapped", "failed", "mapped"]
    domain = PolarizationMap.load(out / "film2_map.h5").domain
    assert float(lines[0]["RU"]) == pytest.approx((domain == 1).mean(), abs=1e-5)
    assert float(lines[0]["thickness_nm"]) == pytest.approx(18, abs=4)
    assert lines[1]["error"] == items[1].error
    assert lines[1]["RU"] == ""


def test_thumbnails_and_sheet_show_the_maps(batch):
    out, items, _ = batch
    assert items[0].thumbnail.shape == (24, 24, 3)
    assert items[1].thumbnail is None
    assert np.asarray(Image.open(out / "batch.png")).std() > 10


def test_progress_tells_the_scan_and_what_is_done(batch):
    _, _, seen = batch
    assert all(before.index <= after.index for before, after in pairwise(seen))
    assert {at.total for at in seen} == {3}
    assert [len(at.items) for at in seen if at.step.stage == "next scan"] == [1, 2, 3]


def test_a_stopped_batch_leaves_whole_results_and_a_table_and_is_resumed(scans, classifier, tmp_path):
    paths = find_scans(scans)[:1] + find_scans(scans)[2:]
    steps = batch_steps(paths, classifier, MapParams(), tmp_path, formats=())
    while next(steps).step.stage != "next scan":
        pass
    steps.close()
    assert [line["file"] for line in table(tmp_path / "batch.csv")] == ["film2.h5"]
    first = PolarizationMap.load(tmp_path / "film2_map.h5").provenance["date"]
    items, _ = finish(batch_steps(paths, classifier, MapParams(), tmp_path, formats=(), resume=True))
    assert [item.state for item in items] == ["kept", "mapped"]
    assert PolarizationMap.load(tmp_path / "film2_map.h5").provenance["date"] == first
    items, _ = finish(batch_steps(paths, classifier, MapParams(pool="cell"), tmp_path, formats=(), resume=True))
    assert [item.state for item in items] == ["mapped", "mapped"]


def test_files_of_others_are_never_overwritten(scans, classifier, tmp_path):
    (tmp_path / "film2_map.h5").write_text("mine")
    (item,), _ = finish(batch_steps(find_scans(scans)[:1], classifier, MapParams(), tmp_path))
    assert item.state == "failed"
    assert "is no result of polarmap" in item.error
    assert (tmp_path / "film2_map.h5").read_text() == "mine"


def test_scans_of_one_name_get_files_of_their_own(scans, classifier, tmp_path):
    first = find_scans(scans)[0]
    paths = [tmp_path / "a" / "x.h5", tmp_path / "b" / "x.h5", tmp_path / "x.mib"]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(first.read_bytes() if path.suffix == ".h5" else b"")
    items, _ = finish(batch_steps(paths, classifier, MapParams(), tmp_path / "out", formats=()))
    assert [item.result and item.result.name for item in items] == ["x_h5_map.h5", "x_h5_2_map.h5", None]


@pytest.mark.parametrize(("paths", "folder", "match"), [([], "out", "no scans"), (["x"], "file", "name a folder")])
def test_a_batch_that_cannot_begin_says_why(classifier, tmp_path, paths, folder, match):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=match):
        next(batch_steps([Path(path) for path in paths], classifier, MapParams(), tmp_path / folder))


def test_the_command_maps_a_folder_and_names_what_failed(scans, tmp_path, capsys):
    code = cli.main(
        ["batch", str(scans), "--out", str(tmp_path), "--formats", "", "--pool", "cell", "--thickness-nm", "17"]
    )
    out, error = capsys.readouterr()
    assert code == 2
    assert "film2.h5: mapped" in out
    assert f"1 of 3 scans could not be mapped; {tmp_path / 'batch.csv'} says why" in error
    result = PolarizationMap.load(tmp_path / "film10_map.h5")
    assert result.provenance["calibration"]["thickness_nm"] == 17
    assert cli.main(["batch", str(tmp_path / "empty"), "--out", str(tmp_path)]) == 2


def test_an_unforeseen_error_is_told_by_its_kind(scans, classifier, tmp_path):
    def opener(path):
        raise KeyError("lost")

    (item,), _ = finish(batch_steps(find_scans(scans)[:1], classifier, MapParams(), tmp_path, opener=opener))
    assert item.error == "KeyError: 'lost'"
    assert replace(item, state="failed") == item
