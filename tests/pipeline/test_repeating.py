"""The same file, classifier and parameters give the same map, however the work is divided; and a result says them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

import napari_polarmap
from napari_polarmap.cli import main
from napari_polarmap.core import ordered, survey
from napari_polarmap.core.data import Scan4D
from napari_polarmap.io import open_scan
from napari_polarmap.io.hdf5 import write_scan
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.models.registry import default_model, list_models, load_classifier
from napari_polarmap.pipeline import evidence, repeating, segmenting, workplace
from napari_polarmap.pipeline.mapping import map_polarization
from napari_polarmap.pipeline.repeating import TOLERANCE, Repetition, repeat

TWO_DOMAINS = Path(napari_polarmap.__file__).with_name("sample_data") / "two_domains.h5"
KNOWN = ("voltage_kV", "convergence_mrad", "mrad_per_px", "scan_step_A")


@pytest.fixture(scope="module")
def scan():
    with open_scan(TWO_DOMAINS) as whole:
        return Scan4D(np.ascontiguousarray(whole.read(slice(0, 22), slice(26, 54))), whole.calibration, name="part")


@pytest.fixture(scope="module")
def classifier():
    return load_classifier(default_model())


@pytest.fixture(scope="module")
def whole(scan, classifier):
    return map_polarization(scan, classifier)


@pytest.fixture(scope="module")
def saved(scan, tmp_path_factory):
    """A scan in a file and the result that the command line made of it."""
    folder = tmp_path_factory.mktemp("saved")
    attrs = {name: getattr(scan.calibration, name) for name in KNOWN}
    write_scan(folder / "scan.h5", scan.data, attrs=attrs)
    words = ["map", str(folder / "scan.h5"), "--out", str(folder / "result.h5"), "--reference", "RU", "--fdr", "0.1"]
    assert main([*words, "--rotation-deg", "1", "--lattice", "8", "0"]) == 0
    return folder


def assert_identical(one: PolarizationMap, other: PolarizationMap) -> None:
    assert Repetition(one, other).differences == {}


@pytest.mark.parametrize("n", [1, 3])
def test_the_number_of_threads_changes_no_bit(scan, classifier, whole, monkeypatch, n):
    for module in (workplace, ordered):
        monkeypatch.setattr(module, "processors", lambda: n)
    assert_identical(whole, map_polarization(scan, classifier))


def test_blocks_of_the_survey_and_batches_of_windows_change_no_bit(scan, classifier, whole, monkeypatch):
    monkeypatch.setattr(survey, "_BLOCK_BYTES", 2**19)
    for module in (evidence, segmenting):
        monkeypatch.setattr(module, "BATCH", 16)
    assert_identical(whole, map_polarization(scan, classifier))


@pytest.mark.parametrize("block_bytes", [2**17, 2**19, 3 * 2**20])
def test_other_blocks_change_no_bit_of_what_the_physical_templates_say(
    scan, classifier, whole, monkeypatch, block_bytes
):
    monkeypatch.setattr(evidence, "BLOCK_BYTES", block_bytes)
    assert Repetition(whole, map_polarization(scan, classifier)).differences.keys() <= {"irregularity"}


@pytest.mark.parametrize("name", [info.name for info in list_models()])
def test_no_probability_of_any_classifier_depends_on_threads_and_blocks_by_more_than_1e_5(scan, monkeypatch, name):
    corner = replace(scan, data=scan.data[:14, 8:24])
    classifier = load_classifier(name)
    first = map_polarization(corner, classifier)
    monkeypatch.setattr(evidence, "BLOCK_BYTES", 37 * 4 * 64**2)  # two of its rows, as 37 are no multiple of 16
    monkeypatch.setattr(workplace, "processors", lambda: 3)
    found = Repetition(first, map_polarization(corner, classifier))
    assert found.agrees
    assert max(found.differences.get(of, 0) for of in ("probability", "confidence", "single_confidence")) <= TOLERANCE


@pytest.mark.parametrize("chunks", [(1, 1, 64, 64), (5, 7, 64, 32), None])
def test_chunks_of_the_file_and_memory_change_no_bit(scan, classifier, whole, tmp_path, chunks):
    size = scan.detector_shape[0]
    chunks = chunks and (*chunks[:2], *(min(edge, size) for edge in chunks[2:]))
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_dataset("data", data=scan.data, chunks=chunks, compression="gzip" if chunks else None)
    with open_scan(tmp_path / "scan.h5") as lazy:
        again = map_polarization(replace(lazy, calibration=scan.calibration), classifier)
    assert_identical(whole, again)


def test_a_result_is_repeated_from_its_provenance_alone(saved, capsys):
    assert main(["repeat", str(saved / "result.h5"), "--out", str(saved / "again.h5")]) == 0
    said = capsys.readouterr().out
    maps = PolarizationMap.load(saved / "result.h5").arrays()
    assert "misclassified" in maps
    assert f"{len(maps)} of {len(maps)} maps are the same bit for bit" in said
    assert_identical(PolarizationMap.load(saved / "result.h5"), PolarizationMap.load(saved / "again.h5"))


def test_a_moved_scan_is_found_beside_the_result_or_named(saved, tmp_path):
    result = (saved / "result.h5").read_bytes()
    (tmp_path / "moved.h5").write_bytes(result)
    first = PolarizationMap.load(saved / "result.h5")
    stated = {**first.provenance["input"], "path": "/gone/scan.h5"}
    replace(first, provenance={**first.provenance, "input": stated}).save(tmp_path / "moved.h5")
    with pytest.raises(FileNotFoundError, match=r"/gone/scan\.h5: not there any more.*--file"):
        repeat(tmp_path / "moved.h5")
    (tmp_path / "other.h5").write_bytes((saved / "scan.h5").read_bytes() + b" ")
    with pytest.raises(ValueError, match=r"is not the file that .* was made from"):
        repeat(tmp_path / "moved.h5", source=tmp_path / "other.h5")
    (tmp_path / "scan.h5").write_bytes((saved / "scan.h5").read_bytes())
    assert repeating._source(tmp_path / "moved.h5", stated) == tmp_path / "scan.h5"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": None}, "lacks model"),
        (
            {"model": {"name": "mine", "sha256": "0" * 64}},
            "made with mine .* not installed; name its file",
        ),
        ({"parameters": {"colour": "red"}}, "cannot be followed"),
        ({"input": {"path": None}}, "scan in memory; name its file with --file"),
    ],
)
def test_what_cannot_be_repeated_is_said_in_one_sentence(saved, tmp_path, changes, message):
    first = PolarizationMap.load(saved / "result.h5")
    replace(first, provenance={**first.provenance, **changes}).save(tmp_path / "result.h5")
    with pytest.raises(ValueError, match=message):
        repeat(tmp_path / "result.h5")


def test_another_map_is_told_with_what_differs(saved, monkeypatch, capsys):
    first = PolarizationMap.load(saved / "result.h5")
    turned = replace(first, domain=first.domain ^ 1, provenance={**first.provenance, "versions": {"numpy": "1.0"}})
    monkeypatch.setattr(repeating, "repeat", lambda *_, **__: Repetition(first, turned))
    assert main(["repeat", str(saved / "result.h5")]) == 2
    out, err = capsys.readouterr()
    assert "domain differs by up to 1" in out
    assert "numpy" in out
    assert err.count("\n") == 1
    assert "another one" in err


def test_a_scan_that_changes_during_the_run_is_told(saved, classifier, tmp_path):
    path = tmp_path / "scan.h5"
    path.write_bytes((saved / "scan.h5").read_bytes())
    with open_scan(path) as opened:
        path.touch()
        with pytest.raises(ValueError, match="has changed since it was opened"):
            map_polarization(opened, classifier)
