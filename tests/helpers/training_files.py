"""A tiny training set with an easy answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_polarmap.core.directions import VECTORS_YX
from napari_polarmap.io.hdf5 import write_scan


def training_set(path: Path, n_specimens: int = 30) -> Path:
    """Disks whose intensity leans along P by a third: easy, and only in the odd part."""
    rng = np.random.default_rng(0)
    edge, positions = 64, 2
    y, x = np.mgrid[:edge, :edge] - edge / 2
    disk = np.hypot(y, x) < 22
    label = np.where(np.arange(n_specimens) % 5 == 4, 255, np.arange(n_specimens) % 2)
    data = np.empty((n_specimens, positions, edge, edge), np.float16)
    for row, direction in enumerate(label):
        lean = np.zeros(2) if direction == 255 else 0.3 * VECTORS_YX[direction]
        data[row] = disk * (1 + lean[0] * y / 22 + lean[1] * x / 22) * rng.uniform(0.9, 1.1)
    numbers = np.arange(n_specimens, dtype=float)
    facts = {
        "specimen": numbers,
        "thickness_nm": 10 + numbers,
        "mrad_per_px": np.full(n_specimens, 1.05),
        "convergence_mrad": np.full(n_specimens, 24.0),
        "tilt_row_mrad": np.zeros(n_specimens),
        "tilt_column_mrad": np.zeros(n_specimens),
    }
    return write_scan(
        path,
        data,
        attrs={"intensity_scale": 4096.0, "config_sha256": "abc"},
        label=np.repeat(label[:, None], positions, axis=1),
        extra={f"specimen/{name}": values for name, values in facts.items()},
    )
