"""What the divergence of the centres of mass looks like over the unit cell; makes the table in `core/polarity.py`.

python benchmarks/polarity.py training.h5 holdout.h5
"""

from __future__ import annotations

import argparse
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_polarmap.core.field import FieldWaves
from napari_polarmap.core.polarity import _COVARIANCE, _HIGHEST, _MEAN, divergence_at_orbits

SOURCE_A = (0.0, 0.7)
CELL_A = 3.98
DISK_PX = 23.0
HELD_OUT = 100


def cells(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Return counts, moments and bright field (rows, 8, 8, 4) of every row, its specimen and thickness."""
    with h5py.File(path) as file:
        data, facts = file["data"], file["specimen"]
        y, x = np.indices(data.shape[2:]) - data.shape[2] / 2
        near = np.hypot(y, x) < 1.4 * DISK_PX
        disk = np.hypot(y, x) < 0.9 * DISK_PX
        weights = np.stack([near, near * y, near * x, disk], axis=-1).reshape(-1, 4).astype(np.float32)
        found = [
            data[row : row + 8].astype(np.float32).reshape(-1, data.shape[1], weights.shape[0]) @ weights
            for row in range(0, len(data), 8)
        ]
        sums = np.concatenate(found).reshape(len(data), 8, 8, 4).astype(np.float64)
        return sums, facts["specimen"][()].astype(np.int64), facts["thickness_nm"][()]


def features(sums: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return `divergence_at_orbits` of each row, seen with a source of random size."""
    orders = np.arange(-_HIGHEST, _HIGHEST + 1)
    index = np.array([(h, k) for h in orders for k in orders if h > 0 or (h == 0 and k > 0)])
    out = []
    for cell in sums:
        sigma_px = rng.uniform(*SOURCE_A) / CELL_A * 8
        total, down, across, bright = (
            ndimage.gaussian_filter(part, sigma_px, mode="wrap") for part in np.moveaxis(cell, -1, 0)
        )
        maps = np.fft.fft2(np.stack([down / total, across / total, bright]))[:, index[:, 1], index[:, 0]]
        waves = FieldWaves(index=index, frequency=index[:, ::-1] / 8, field=maps[:2].T, image=maps[2])
        out.append(divergence_at_orbits(waves, 0.0, False)[0])
    return np.array(out)


def main() -> None:
    """Print the table and how often the sign is right in specimens that were not used for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("training", type=Path)
    parser.add_argument("holdout", type=Path)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    sums, specimen, _ = cells(args.training)
    left_out = np.isin(specimen, np.random.default_rng(1).permutation(np.unique(specimen))[:HELD_OUT])
    table = np.concatenate([features(sums[~left_out], rng) for _ in range(3)])
    print("mean", np.round(table.mean(axis=0), 5).tolist())
    print("covariance", np.round(np.cov(table.T), 5).tolist())
    weights = 2 * np.linalg.solve(_COVARIANCE, _MEAN)
    held, _, thickness = cells(args.holdout)
    odds = np.concatenate([features(held, rng) @ weights for _ in range(3)])
    sure = 1 / (1 + np.exp(-np.abs(odds))) > 0.95
    right = odds > 0
    print(f"holdout: right {right.mean():.3f}; sure {sure.mean():.2f}, of these right {right[sure].mean():.4f}")
    for low, high in ((0, 10), (10, 20), (20, 30), (30, 45), (45, 70)):
        part = np.tile((thickness >= low) & (thickness < high), 3)
        print(f"  {low}-{high} nm: right {right[part].mean():.3f}, sure {sure[part].mean():.2f}")


if __name__ == "__main__":
    main()
