"""A viewer without a window, and small scans and results to show in it."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from napari.components import ViewerModel

from napari_polarmap.core.data import Calibration, Scan4D
from napari_polarmap.core.directions import Direction
from napari_polarmap.io.result import PolarizationMap

CALIBRATION = {"voltage_kV": 200.0, "convergence_mrad": 24.0, "mrad_per_px": 2.1, "scan_step_A": 0.995}


def disk_patterns(shape=(8, 9), size=32) -> np.ndarray:
    """Poisson counts in a disk that drifts over the scan, radius 11.4 px, brighter every fourth position."""
    y, x = np.mgrid[:size, :size]
    data = np.empty((*shape, size, size), np.uint16)
    rng = np.random.default_rng(5)
    for row in range(shape[0]):
        for column in range(shape[1]):
            distance = np.hypot(y - 15 - 0.1 * row, x - 16.2 + 0.1 * column)
            atoms = 1 + 0.3 * np.cos(np.pi * row / 2) * np.cos(np.pi * column / 2)
            data[row, column] = rng.poisson(40 * atoms / (1 + np.exp(3 * (distance - 11.4))) + 0.2)
    return data


def write_scan_file(path: Path, data: np.ndarray, **attributes: float) -> Path:
    """Write a scan in the layout of the package."""
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=data, chunks=(1, 1, *data.shape[2:]), compression="gzip")
        file["data"].attrs.update(attributes)
    return path


def make_result(shape=(8, 9), provenance=None) -> PolarizationMap:
    """A map with RM on the left, LU on the right and one irregular position."""
    domain = np.full(shape, Direction.RM, np.uint8)
    domain[:, shape[1] // 2 :] = Direction.LU
    probability = np.full((*shape, 8), 0.2 / 7, np.float32)
    np.put_along_axis(probability, domain[..., None].astype(int), 0.8, axis=2)
    score = np.random.default_rng(0).chisquare(4, shape).astype(np.float32) / 4
    score[2, 3], score[5, 6] = 200, 4.5
    return PolarizationMap(
        direction=domain,
        probability=probability,
        angle_deg=(45.0 * domain).astype(np.float32),
        confidence=probability.max(axis=-1),
        irregularity=score,
        irregular=score > 50,
        com_px=np.zeros((*shape, 2), np.float32),
        domain=domain,
        provenance=provenance or {"calibration": {"scan_step_A": 0.995}},
    )


@pytest.fixture
def viewer() -> ViewerModel:
    """A viewer without a window."""
    return ViewerModel()


@pytest.fixture
def scan() -> Scan4D:
    """A small calibrated scan in memory."""
    return Scan4D(disk_patterns(), Calibration(**CALIBRATION), "film")


@pytest.fixture
def scan_file(tmp_path) -> Path:
    """A small calibrated scan as a file."""
    return write_scan_file(tmp_path / "film.h5", disk_patterns(), **CALIBRATION)


@pytest.fixture
def result() -> PolarizationMap:
    """A small map."""
    return make_result()


@pytest.fixture
def calibration() -> dict[str, float]:
    """Attributes of a calibrated file."""
    return dict(CALIBRATION)


@pytest.fixture
def patterns():
    """`patterns(shape)` returns the patterns of a small scan."""
    return disk_patterns


@pytest.fixture
def write_scan(tmp_path):
    """`write_scan(name, data, **attributes)` writes a scan file into the folder of the test."""
    return lambda name, data, **attributes: write_scan_file(tmp_path / name, data, **attributes)


@pytest.fixture
def make_map():
    """`make_map(shape)` returns a small map."""
    return make_result
