"""Patterns for the published protocol: what it trains on, what it is tested on, and what is done to them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_polarmap import open_scan
from napari_polarmap.core.resampling import resample_patterns
from napari_polarmap.core.survey import center_of_mass
from napari_polarmap.core.symmetry import OPERATIONS
from napari_polarmap.io.hdf5 import read_truth
from napari_polarmap.pipeline.augmentation import to_grid
from napari_polarmap.pipeline.fitting import Batch
from napari_polarmap.pipeline.inspection import inspect_scan
from napari_polarmap.pipeline.published import PublishedAugmentation, augment_as_published, far_from_middle
from napari_polarmap.pipeline.simulating import simulate
from napari_polarmap.pipeline.training import GRID_MRAD, GRID_PX
from napari_polarmap.pipeline.training_data import TrainingData, load_training_data

SETS = Path(__file__).parent / "sets"
SYNTHETIC = tuple(f"S{i}" for i in range(1, 8))
EXPERIMENTAL = tuple(f"E{i}" for i in range(1, 6))
SAME_THICKNESS = ("S1", "S3", "S5", "S6", "S7")
"""At the thickness that is trained on, other specimens."""

Patterns = NDArray[np.float32]


def made(name: str, folder: Path, variant: str = "", pool: Executor | None = None) -> Path:
    """Return a set of `benchmarks/sets`, simulated first where it is not in the folder."""
    path = folder / f"{name}{'_' + variant if variant else ''}.h5"
    if not path.exists():
        print(f"simulating {path.name}", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        simulate(SETS / f"{name}.toml", path, variant=variant, resume=True, pool=pool)
    return path


@dataclass(frozen=True)
class Scan:
    """A scan of one direction, or of several, as patterns on the grid.

    Attributes
    ----------
    patterns : ndarray, shape (n, 64, 64)
        Around the disk.
    published : ndarray, shape (n, 64, 64)
        As the published crop would have them: moved to the mirror side of the middle.
    label : ndarray of int, shape (n,)
    """

    patterns: Patterns
    published: Patterns
    label: NDArray[np.int64]


def read_patterns_of(path: Path, most: int | None = None, seed: int = 0) -> Scan:
    """Read patterns of a scan, at most so many at random positions."""
    label, _ = read_truth(path)
    with open_scan(path) as scan:
        inspection = inspect_scan(scan)
        known = np.flatnonzero(label.ravel() < 8)
        if most is not None and most < len(known):
            known = np.sort(np.random.default_rng(seed).choice(known, most, replace=False))
        place = np.unravel_index(known, label.shape)
        raw = np.stack([np.asarray(scan.data[y, x], np.float32) for y, x in zip(*place, strict=True)])
        middle = (np.asarray(scan.detector_shape) - 1) / 2
        center = np.asarray(inspection.disk.center_px)
    grids = [
        resample_patterns(raw, at, mrad_per_px=inspection.mrad_per_px, size_px=GRID_PX, grid_mrad=GRID_MRAD)
        for at in (center, 2 * middle - center)
    ]
    return Scan(grids[0], grids[1], label.ravel()[known].astype(np.int64))


@dataclass(frozen=True)
class Protocol:
    """Patterns of the eight directions at one thickness, split by random positions as published."""

    patterns: Patterns
    label: NDArray[np.int64]
    part: NDArray[np.int64]
    """0 training (80 %), 1 validation (10 %), 2 test (10 %)."""

    def of(self, part: int) -> tuple[Patterns, NDArray[np.int64]]:
        """Return patterns and labels of one part."""
        return self.patterns[self.part == part], self.label[self.part == part]

    @cached_property
    def far(self) -> NDArray[np.bool_]:
        """Which patterns the published filter keeps: by scan, the centre of mass farther out than the mean."""
        kept = np.zeros(len(self.label), bool)
        for direction in np.unique(self.label):
            mine = np.flatnonzero(self.label == direction)
            middle = np.nanmean(center_of_mass(self.patterns[mine]), axis=0)
            kept[mine] = far_from_middle(self.patterns[mine], middle)
        return kept


def published_protocol(paths: list[Path]) -> Protocol:
    """Return the training patterns: each scan turned by quarter turns, so that all eight directions are there."""
    patterns, label = [], []
    for path in paths:
        scan = read_patterns_of(path)
        for operation in OPERATIONS[:4]:
            patterns.append(np.ascontiguousarray(operation.images(scan.patterns)))
            label.append(operation.classes(scan.label).astype(np.int64))
    joined, labels = np.concatenate(patterns), np.concatenate(label)
    draw = np.random.default_rng(42).random(len(labels))  # 42 is the published seed of the split
    return Protocol(joined, labels, np.where(draw < 0.8, 0, np.where(draw < 0.9, 1, 2)))


def turned(patterns: Patterns, label: NDArray[np.int64], seed: int = 0) -> tuple[Patterns, NDArray[np.int64]]:
    """Put every pattern through a random operation of the square, so that all eight directions are asked."""
    which = np.random.default_rng(seed).integers(len(OPERATIONS), size=len(label))
    out, classes = np.empty_like(patterns), label.copy()
    for index, operation in enumerate(OPERATIONS):
        chosen = which == index
        out[chosen] = operation.images(patterns[chosen])
        classes[chosen] = operation.classes(label[chosen])
    return out, classes


@dataclass(frozen=True)
class ProtocolSource:
    """Batches of the published protocol."""

    train: tuple[Patterns, NDArray[np.int64]]
    watch: tuple[Patterns, NDArray[np.int64]]
    published: PublishedAugmentation
    batch: int

    @property
    def steps(self) -> int:
        """Batches of one epoch."""
        return len(self.train[1]) // self.batch

    def training(self, rng: np.random.Generator) -> Iterator[Batch]:
        """Yield the batches of one epoch in a new order."""
        order = rng.permutation(len(self.train[1]))
        for first in range(0, self.steps * self.batch, self.batch):
            chosen = order[first : first + self.batch]
            patterns = torch.from_numpy(self.train[0][chosen])
            if self.published.used:
                patterns = augment_as_published(patterns, self.published, rng)
            yield Batch(patterns, torch.from_numpy(self.train[1][chosen]))

    def validation(self) -> Iterator[Batch]:
        """Yield the validation patterns."""
        for first in range(0, len(self.watch[1]), self.batch):
            part = slice(first, first + self.batch)
            yield Batch(torch.from_numpy(self.watch[0][part]), torch.from_numpy(self.watch[1][part]))


@dataclass(frozen=True)
class Specimens:
    """Specimens of a training set, one pattern of each thickness: averages over a cell or single patterns."""

    data: TrainingData
    pooled: bool

    def facts(self, right: NDArray[np.bool_], row: NDArray[np.int64]) -> dict[str, list[float]]:
        """Return which rows were right, beside their thickness and tilt."""
        return {
            "right": right.astype(int).tolist(),
            "thickness_nm": self.data.thickness_nm[row].round(1).tolist(),
            "tilt_mrad": np.hypot(*self.data.tilt_mrad[row].T).round(2).tolist(),
        }

    @staticmethod
    def load(path: Path, *, pooled: bool) -> Specimens:
        """Read specimens of other seeds; a few single patterns of each."""
        return Specimens(load_training_data([path], singles=4, seed=0), pooled)

    def recorded(
        self, *, dose: float | None = None, offset_px: float = 0.0, seed: int = 0
    ) -> tuple[Patterns, NDArray[np.int64], NDArray[np.int64]]:
        """Return polarised patterns with so many electrons in the window, shifted that far at a random azimuth.

        Returns
        -------
        patterns, label, row
        """
        data, rng = self.data, np.random.default_rng(seed)
        row = np.flatnonzero(data.label < 8)
        source = data.pooled[row]
        if not self.pooled:
            source, row = np.concatenate(data.singles[row]), np.repeat(row, data.singles.shape[1])
        exact = np.maximum(source.astype(np.float32), 0)
        counted = exact if dose is None else rng.poisson(exact * (dose / data.intensity_scale)).astype(np.float32)
        azimuth = rng.uniform(0, 2 * np.pi, len(row))
        shift = offset_px * np.column_stack([np.sin(azimuth), np.cos(azimuth)])
        grid = to_grid(counted, data.mrad_per_px[row], grid_mrad=GRID_MRAD, shift_px=shift).numpy()
        patterns, label = turned(grid, data.label[row], seed)
        return patterns, label, row
