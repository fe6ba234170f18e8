"""A run that was stopped at any moment goes on, and ends as if it had never been stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import napari_polarmap
from napari_polarmap.core.data import Scan4D
from napari_polarmap.io import open_scan
from napari_polarmap.io.hdf5 import write_scan
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.models.registry import default_model, load_classifier
from napari_polarmap.pipeline import evidence, segmenting
from napari_polarmap.pipeline.inspection import inspect_scan
from napari_polarmap.pipeline.mapping import map_polarization, map_steps
from napari_polarmap.pipeline.unfinished import Place, Unfinished

TWO_DOMAINS = Path(napari_polarmap.__file__).with_name("sample_data") / "two_domains.h5"


@pytest.fixture(scope="module")
def scan():
    with open_scan(TWO_DOMAINS) as whole:
        return Scan4D(np.ascontiguousarray(whole.read(slice(0, 30), slice(20, 60))), whole.calibration, name="part")


@pytest.fixture(scope="module")
def classifier():
    return load_classifier(default_model())


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(evidence, "BLOCK_BYTES", 2 * 2**20)
    monkeypatch.setattr(evidence, "BATCH", 16)
    monkeypatch.setattr(segmenting, "BATCH", 16)


@pytest.fixture(scope="module")
def inspection(scan):
    return inspect_scan(scan)


@pytest.fixture(scope="module")
def whole(scan, classifier, inspection):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence, "BLOCK_BYTES", 2 * 2**20)
        patch.setattr(evidence, "BATCH", 16)
        patch.setattr(segmenting, "BATCH", 16)
        return map_polarization(scan, classifier, inspection=inspection)


def assert_same(one: PolarizationMap, other: PolarizationMap) -> None:
    for name, array in one.arrays().items():
        np.testing.assert_array_equal(other.arrays()[name], array, err_msg=name)
    assert {**one.provenance, "date": None} == {**other.provenance, "date": None}


def test_a_run_stopped_again_and_again_ends_as_if_it_had_never_been(scan, classifier, inspection, whole, tmp_path):
    path, result, runs, places = tmp_path / "r.h5.unfinished", None, 0, []
    while result is None:
        unfinished = Unfinished(path, resume=True, every_s=-1e9)
        steps = map_steps(scan, classifier, inspection=inspection, unfinished=unfinished)
        seen, runs = 0, runs + 1
        while result is None and seen < 5:
            try:
                seen += next(steps).stage == "classifying"
            except StopIteration as done:
                result = done.value
        steps.close()
        if result is None:
            with h5py.File(path, "r") as file:
                assert not file.attrs["complete"]
                places.append(tuple(file["place"][()]))
    assert runs > 3
    assert any(windows == 0 for _, _, windows in places)
    assert any(windows > 0 for _, _, windows in places)
    assert_same(whole, result)


def test_an_unfinished_run_is_no_result(scan, classifier, inspection, tmp_path):
    path = tmp_path / "r.h5.unfinished"
    steps = map_steps(scan, classifier, inspection=inspection, unfinished=Unfinished(path, every_s=-1e9))
    while not path.exists():
        next(steps)
    steps.close()
    with pytest.raises(ValueError, match="has not finished"):
        PolarizationMap.load(path)


def test_what_is_kept_is_not_thrown_away_nor_taken_for_another_run(tmp_path):
    path = tmp_path / "r.h5.unfinished"
    first = Unfinished(path, every_s=-1e9)
    first.begin({"model": "a", "parameters": {"pool": "auto"}})
    first.offer(Place(0, 3, 1), {"single": np.arange(4.0)})
    place, arrays = Unfinished(path, resume=True).begin({"model": "a", "parameters": {"pool": "auto"}})
    assert place == (0, 3, 1)
    np.testing.assert_array_equal(arrays["single"], np.arange(4.0))
    with pytest.raises(ValueError, match="an unfinished run; go on with --resume, or delete this file"):
        Unfinished(path).begin({"model": "a", "parameters": {"pool": "auto"}})
    with pytest.raises(ValueError, match="an unfinished run with other model; delete it"):
        Unfinished(path, resume=True).begin({"model": "b", "parameters": {"pool": "auto"}})


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n" + b"\0" * 100, b"text"])
def test_a_damaged_file_is_refused_in_one_sentence(tmp_path, content):
    path = tmp_path / "r.h5.unfinished"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not an unfinished run that can be read"):
        Unfinished(path, resume=True).begin({})


KILLED = """
import os, signal, sys
from napari_polarmap import cli
from napari_polarmap.pipeline import evidence, segmenting, unfinished
evidence.BLOCK_BYTES, evidence.BATCH, segmenting.BATCH = 2 * 2**20, 16, 16
stop = int(sys.argv.pop(1))
offer = unfinished.Unfinished.offer
def counted(self, place, arrays, n=[0]):
    n[0] += 1
    if n[0] == stop:
        os.kill(os.getpid(), signal.SIGKILL)
    self._due = 0.0
    offer(self, place, arrays)
unfinished.Unfinished.offer = counted
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kill -9 is of Unix")
def test_kill_9_and_resume_on_the_command_line(scan, whole, tmp_path):
    source, environment = tmp_path / "scan.h5", {**os.environ, "OMP_NUM_THREADS": "1"}
    known = {name: value for name, value in vars(scan.calibration).items() if isinstance(value, float | str)}
    write_scan(source, scan.data, attrs=known)

    def run(stop: int, *options: str) -> int:
        words = [str(stop), "map", str(source), "--out", str(tmp_path / "r.h5"), *options]
        return subprocess.run([sys.executable, "-c", KILLED, *words], env=environment, check=False).returncode

    assert run(9) == -signal.SIGKILL
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.h5.unfinished", "scan.h5"]
    assert run(0, "--resume") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.h5", "scan.h5"]
    result = PolarizationMap.load(tmp_path / "r.h5").arrays()
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(result[name], array, err_msg=name)
