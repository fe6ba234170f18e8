"""Simulation runs: same config, same file; a killed run goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_polarmap.core.config import ConfigError
from napari_polarmap.io import open_scan
from napari_polarmap.pipeline import simulating
from napari_polarmap.pipeline.simulating import simulate

pytest.importorskip("abtem")

SPECIMENS = """
seed = 3
[specimen]
count = 3
cells = 2
unpolarised_fraction = 0.3
[thickness]
low_nm = 1
high_nm = 3
count = 2
[microscope]
tilt_mrad = [0, 3]
[multislice]
gpts = 64
crop_px = 16
phonons = 2
[probe]
per_cell = 3
spread_cells = [1, 2]
"""

MANY = SPECIMENS.replace("count = 3", "count = 12")
SETS = Path(__file__).parents[2] / "benchmarks" / "sets"

SCAN = """
kind = "scan"
seed = 4
[scene]
rows = 9
columns = 10
first = "RU"
second = "LU"
wall_deg = 0
[thickness]
low_nm = 1
high_nm = 1
[multislice]
gpts = 128
crop_px = 64
phonons = 1
[detector]
size_px = 32
mrad_per_px = 2.1
dose_electrons = 500
rotation_deg = 10
"""


def config(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    return path


def contents(path: Path) -> dict[str, np.ndarray]:
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def assert_same(first: Path, second: Path) -> None:
    a, b = contents(first), contents(second)
    assert a.keys() == b.keys()
    for name in a.keys() - {"manifest"}:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-3, err_msg=name)


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("text", [SPECIMENS, SCAN], ids=["specimens", "scan"])
def test_the_same_configuration_gives_the_same_file(tmp_path, text):
    files = [simulate(config(tmp_path, text), tmp_path / name) for name in ("a.h5", "b.h5")]
    assert_same(*files)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("a.h5", "a.manifest.json", "b.h5", "b.manifest.json", "config.toml")
    ]


@pytest.mark.usefixtures("in_process")
def test_a_run_that_was_killed_goes_on_and_ends_in_the_same_file(tmp_path, monkeypatch):
    whole = simulate(config(tmp_path, SPECIMENS), tmp_path / "whole.h5")
    make = simulating._make_piece
    made = []

    def die_at_the_second(config, index, path):
        if len(made) == 1:
            raise KeyboardInterrupt
        made.append(index)
        make(config, index, path)

    monkeypatch.setattr(simulating, "_make_piece", die_at_the_second)
    out = tmp_path / "resumed.h5"
    with pytest.raises(KeyboardInterrupt):
        simulate(config(tmp_path, SPECIMENS), out)
    assert not out.exists()
    monkeypatch.setattr(simulating, "_make_piece", make)
    with pytest.raises(ConfigError, match="--resume"):
        simulate(config(tmp_path, SPECIMENS), out)
    assert_same(simulate(config(tmp_path, SPECIMENS), out, resume=True), whole)


def start_simulation(folder: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    """Run the command line with one worker in a process group of its own, until the first piece is there."""
    command = [sys.executable, "-m", "napari_polarmap", "simulate", str(config(folder, MANY)), "--out", str(out)]
    process = subprocess.Popen(
        [*command, "--workers", "1", *options],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Tests started in the background of a shell inherit that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 240
    while not list(folder.glob("*.pieces/*.npz")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="process groups and their signals are POSIX")
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
def test_a_stopped_process_group_leaves_its_pieces_and_the_run_ends_in_the_same_file(
    tmp_path, monkeypatch, request, blow
):
    out = tmp_path / "stopped.h5"
    process = start_simulation(tmp_path, out)
    os.killpg(process.pid, blow)
    _, message = process.communicate(timeout=120)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.pieces/*.npz")}
    assert not out.exists()
    assert 1 <= len(kept) < 12
    if blow == signal.SIGINT:
        assert process.returncode == 130
        assert f"{len(kept)} pieces are kept in" in message
        assert "go on with --resume" in message
        assert "Traceback" not in message
    request.getfixturevalue("in_process")
    made = []
    make = simulating._make_piece
    monkeypatch.setattr(simulating, "_make_piece", lambda *args: (made.append(args[1]), make(*args)))
    simulate(tmp_path / "config.toml", out, resume=True)
    assert len(made) == 12 - len(kept)
    whole = simulate(tmp_path / "config.toml", tmp_path / "whole.h5")
    assert_same(out, whole)
    digests = [json.loads((tmp_path / f"{name}.manifest.json").read_text())["data"] for name in ("stopped", "whole")]
    assert digests[0] == digests[1]


@pytest.mark.usefixtures("in_process")
def test_the_manifest_tells_how_the_file_was_made_and_what_is_in_it(tmp_path):
    out = simulate(config(tmp_path, SPECIMENS), tmp_path / "set.h5")
    manifest = json.loads((tmp_path / "set.manifest.json").read_text())
    assert manifest["config"] == SPECIMENS
    assert manifest["seed"] == 3
    assert manifest["file"]["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert set(manifest["versions"]) >= {"napari-polarmap", "abtem", "numpy", "torch"}
    with h5py.File(out) as file:
        inside = json.loads(file["manifest"][()])
        data = file["data"][()]
    assert hashlib.sha256(data.tobytes()).hexdigest() == manifest["data"]["sha256"]
    assert list(data.shape) == manifest["data"]["shape"]
    assert inside == {key: value for key, value in manifest.items() if key != "file"}


@pytest.mark.usefixtures("in_process")
def test_a_set_of_another_material_carries_its_name_and_its_cif(tmp_path):
    """Only axis-like directions exist in tetragonal lead titanate, so every specimen is one or unpolarised."""
    cif = SETS / "pbtio3.cif"
    shutil.copy(cif, tmp_path)
    rms = "rms_A = { Pb = 0.1, Ti = 0.07, O = 0.09 }"
    text = SPECIMENS.replace("[specimen]", f"[specimen]\ncif = 'pbtio3.cif'\n{rms}")
    out = simulate(config(tmp_path, text), tmp_path / "set.h5")
    with h5py.File(out) as file:
        assert file["data"].attrs["material"] == "PbTiO3"
        assert set(np.unique(file["label"][()]).tolist()) <= {0, 255}
        assert np.unique(file["specimen/lattice_A"][()]) == pytest.approx(3.9869)
        manifest = json.loads(file["manifest"][()])
    assert manifest["cif"] == cif.read_text()
    assert manifest["cif_sha256"] == hashlib.sha256(cif.read_bytes()).hexdigest()


@pytest.mark.usefixtures("in_process")
def test_both_engines_give_the_same_set(tmp_path):
    ours = simulate(config(tmp_path, SPECIMENS), tmp_path / "torch.h5")
    theirs = simulate(config(tmp_path, SPECIMENS.replace("gpts", "engine = 'abtem'\ngpts")), tmp_path / "abtem.h5")
    a, b = (contents(path)["data"].astype(float) for path in (ours, theirs))
    assert np.abs(a - b).sum() / b.sum() < 0.005


@pytest.mark.usefixtures("in_process")
def test_pieces_of_another_configuration_are_refused(tmp_path):
    (tmp_path / "x.h5.pieces").mkdir()
    (tmp_path / "x.h5.pieces" / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="another configuration"):
        simulate(config(tmp_path, SPECIMENS), tmp_path / "x.h5", resume=True)


@pytest.mark.usefixtures("in_process")
def test_a_simulated_scan_opens_with_its_calibration(tmp_path):
    with open_scan(simulate(config(tmp_path, SCAN), tmp_path / "scan.h5")) as scan:
        assert scan.shape == (9, 10, 32, 32)
        assert scan.calibration.convergence_mrad == 24
        assert scan.calibration.mrad_per_px == pytest.approx(2.1)
        assert scan.calibration.rotation_deg == pytest.approx(10)
        assert scan.read(slice(0, 9), slice(0, 10)).sum(axis=(2, 3)).mean() == pytest.approx(490, rel=0.05)


def test_a_missing_folder_is_refused_before_computing(tmp_path):
    with pytest.raises(ConfigError, match="no such folder"):
        simulate(config(tmp_path, SPECIMENS), tmp_path / "nowhere" / "x.h5")


@pytest.mark.usefixtures("in_process")
def test_sets_made_in_a_pool_that_was_handed_in_are_the_same_and_leave_it_open(tmp_path):
    path = config(tmp_path, SPECIMENS)
    own = simulate(path, tmp_path / "own.h5")
    with ThreadPoolExecutor(1) as pool:
        for name in ("a", "b"):
            assert_same(own, simulate(path, tmp_path / f"{name}.h5", pool=pool))
        assert pool.submit(int, "1").result() == 1
