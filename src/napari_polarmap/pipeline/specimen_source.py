"""Batches of simulated specimens, recorded anew every time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from napari_polarmap.core.config import ConfigError
from napari_polarmap.core.survey import center_of_mass
from napari_polarmap.core.symmetry import OPERATIONS
from napari_polarmap.pipeline.augmentation import Augmentation, augment
from napari_polarmap.pipeline.fitting import Batch
from napari_polarmap.pipeline.published import PublishedAugmentation, augment_as_published, far_from_middle
from napari_polarmap.pipeline.training_data import TrainingData, turn_labels

_VALIDATION_SEED: Final = 4711


@dataclass(frozen=True)
class Samples:
    """Patterns to train on, and the row of the training data that each belongs to."""

    patterns: NDArray[np.floating]
    row: NDArray[np.int64]


def draw_samples(data: TrainingData, rows: NDArray[np.int64], *, pooled: bool, filtered: bool = False) -> Samples:
    """Return averages over the cell, or single patterns; `filtered` keeps single ones with a far centre of mass."""
    if pooled:
        return Samples(data.pooled[rows], rows)
    singles, row = data.singles[rows].reshape(-1, *data.singles.shape[2:]), np.repeat(rows, data.singles.shape[1])
    if not filtered:
        return Samples(singles, row)
    kept = far_from_middle(singles, center_of_mass(np.maximum(data.pooled[row], 0)))
    return Samples(singles[kept], row[kept])


@dataclass(frozen=True)
class SpecimenSource:
    """Batches of the training and the validation specimens.

    Attributes
    ----------
    data : TrainingData
    train, watch : Samples
    options : Augmentation
    published : PublishedAugmentation
    batch : int
    grid_mrad : float
    """

    data: TrainingData
    train: Samples
    watch: Samples
    options: Augmentation
    published: PublishedAugmentation
    batch: int
    grid_mrad: float

    def __post_init__(self) -> None:
        if self.steps == 0:
            raise ConfigError(f"batch = {self.batch} is more than the {len(self.train.row)} training patterns")

    @property
    def steps(self) -> int:
        """Batches of one epoch."""
        return len(self.train.row) // self.batch

    def training(self, rng: np.random.Generator) -> Iterator[Batch]:
        """Yield the batches of one epoch in a new order."""
        order = rng.permutation(len(self.train.row))
        for step in range(self.steps):
            chosen = order[step * self.batch : (step + 1) * self.batch]
            drawn = self._draw(self.train, chosen, rng)
            if self.published.used:
                changed = augment_as_published(drawn.patterns, self.published, rng)
                drawn = Batch(changed, drawn.label, drawn.nuisance)
            yield drawn

    def validation(self) -> Iterator[Batch]:
        """Yield the validation specimens, recorded the same way every time."""
        rng = np.random.default_rng(_VALIDATION_SEED)
        for first in range(0, len(self.watch.row), self.batch):
            chosen = np.arange(first, min(first + self.batch, len(self.watch.row)))
            yield self._draw(self.watch, chosen, rng)

    def _draw(self, samples: Samples, chosen: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        row, data = samples.row[chosen], self.data
        patterns = augment(
            samples.patterns[chosen],
            data.mrad_per_px[row],
            self.options,
            grid_mrad=self.grid_mrad,
            intensity_scale=data.intensity_scale,
            rng=rng,
        ).numpy()
        label, tilt = data.label[row].copy(), data.tilt_mrad[row].copy()
        turn = rng.random(len(row)) < self.options.symmetry.low
        which = np.where(turn, rng.integers(len(OPERATIONS), size=len(row)), 0)
        for index, operation in enumerate(OPERATIONS):
            turned = np.flatnonzero(which == index)
            patterns[turned] = operation.images(patterns[turned])
            label[turned] = turn_labels(operation, label[turned])
            tilt[turned] = operation.vectors(tilt[turned])
        nuisance = np.column_stack([tilt / 2, np.log(data.thickness_nm[row] / 25)])
        return Batch(torch.from_numpy(patterns), torch.from_numpy(label), torch.from_numpy(nuisance).float())
