"""Exported scripts and notebooks repeat the run."""

from __future__ import annotations

import json
import runpy
from dataclasses import replace

import h5py
import numpy as np
import pytest

from napari_polarmap import load_classifier, map_polarization, open_scan
from napari_polarmap.io import RawLayout
from napari_polarmap.io.export import export_map
from napari_polarmap.io.script import _opening
from napari_polarmap.io.source import describe_source
from napari_polarmap.pipeline.mapping import MapParams
from napari_polarmap.plugin import sample_path


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    """The map of a corner of a sample, made with options and calibration that are not the defaults."""
    folder = tmp_path_factory.mktemp("corner")
    with h5py.File(sample_path("two_domains")) as sample, h5py.File(folder / "corner.h5", "w") as file:
        file["deep/data"] = sample["data"][:24, :24]
        file["other"] = np.zeros((2, 2, 4, 4))
    with open_scan(folder / "corner.h5", dataset="deep/data", scan_shape=(24, 24)) as scan:
        scan = scan.calibrated(convergence_mrad=24.0, scan_step_A=0.5, bad_pixels=((3, 4),), voltage_kV=200.0)
        params = MapParams(pool="cell", center="global", fdr=0.1, lattice_px=(0.0, 7.96, 7.96, 0.0))
        return map_polarization(scan, load_classifier("template-niobate"), params)


def test_the_script_repeats_the_run(mapped, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (script,) = export_map(mapped, tmp_path, ["py"], stem="corner_map")
    mapped.save(tmp_path / "corner_map.h5")
    again = runpy.run_path(str(script))["result"]
    for name, array in mapped.arrays().items():
        np.testing.assert_array_equal(getattr(again, name), array, err_msg=name)
    assert {**again.provenance, "date": 0} == {**mapped.provenance, "date": 0}
    assert capsys.readouterr().out == "100.00% of the positions have the same direction as in corner_map.h5\n"


def test_the_notebook_holds_the_same_code(mapped, tmp_path):
    script, notebook = export_map(mapped, tmp_path, ["py", "ipynb"], stem="corner_map")
    book = json.loads(notebook.read_text(encoding="utf-8"))
    code = [cell["source"] for cell in book["cells"] if cell["cell_type"] == "code"]
    assert all(part in script.read_text(encoding="utf-8") for part in code[:-1])
    assert "draw_map(result)" in code[-1]
    assert len({cell["id"] for cell in book["cells"]}) == len(book["cells"])
    for part in code:
        compile(part, "cell", "exec")


def test_axes_and_scans_in_memory_are_told(mapped, tmp_path):
    source = {**mapped.provenance["input"], "axes": {"stored": ["scan_x", "scan_y", "det_y", "det_x"], "mirrored": []}}
    turned = replace(mapped, provenance={**mapped.provenance, "input": source})
    nameless = replace(mapped, provenance={**mapped.provenance, "input": {"path": None, "shape": [2, 3, 4, 5]}})
    (first,) = export_map(turned, tmp_path, ["py"], stem="turned")
    (second,) = export_map(nameless, tmp_path, ["py"], stem="nameless")
    assert "axes=AxisOrder(stored=('scan_x', 'scan_y', 'det_y', 'det_x'), mirrored=())" in first.read_text()
    assert "name its file here" in second.read_text()
    for path in (first, second):
        compile(path.read_text(), str(path), "exec")


def test_a_quote_in_a_name_stays_a_name(mapped, tmp_path):
    evil = {**mapped.provenance, "model": {"name": "x'); import os; ('", "sha256": "'"}, "date": '"""\nimport os\n"""'}
    (script,) = export_map(replace(mapped, provenance=evil), tmp_path, ["py"], stem="evil")
    names = [node for node in __import__("ast").parse(script.read_text()).body if type(node).__name__ == "Import"]
    assert [alias.name for node in names for alias in node.names] == ["numpy"]


def test_the_script_opens_a_file_without_header_as_it_was_opened(tmp_path, monkeypatch):
    np.arange(2 * 3 * 8 * 8, dtype=np.uint16).tofile(tmp_path / "scan.raw")
    layout = RawLayout(dtype="uint16", detector_shape=(8, 8))
    with open_scan(tmp_path / "scan.raw", scan_shape=(2, 3), raw=layout) as scan:
        how = _opening({**describe_source(scan)})
    known = {}
    exec(how, {"RawLayout": RawLayout}, known)  # noqa: S102 -- code of our own
    with open_scan(known["SCAN"], **known["HOW"]) as again:
        assert again.shape == (2, 3, 8, 8)
