"""Simulation runs: same config, same file; a killed run goes on where it stopped."""

from __future__ import annotations

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


@pytest.fixture
def in_process(monkeypatch):
    """Run the pieces here: starting processes takes longer than the simulation."""

    class Pool:
        def __init__(self, *_args, **_options): ...

        def __enter__(self):
            return self

        def __exit__(self, *_args): ...

        def submit(self, function, *args):
            from concurrent.futures import Future

            future = Future()
            future.set_result(function(*args))
            return future

    monkeypatch.setattr(simulating, "ProcessPoolExecutor", Pool)


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
    for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-3, err_msg=name)


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("text", [SPECIMENS, SCAN], ids=["specimens", "scan"])
def test_the_same_configuration_gives_the_same_file(tmp_path, text):
    files = [simulate(config(tmp_path, text), tmp_path / name) for name in ("a.h5", "b.h5")]
    assert_same(*files)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.h5", "b.h5", "config.toml"]


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
