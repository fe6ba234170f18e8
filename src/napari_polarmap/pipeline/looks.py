"""Specimens as microscopes of all kinds would record them, to calibrate a classifier and to test it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.config import Uniform
from napari_polarmap.core.symmetry import OPERATIONS
from napari_polarmap.pipeline.augmentation import Augmentation, augment, draw_electrons
from napari_polarmap.pipeline.training_data import TrainingData, turn_labels

POOLED_LOG10: Final = (4.0, 8.0)
SINGLE_LOG10: Final = (2.3, 5.0)
_EXACT: Final = Uniform(0.15, 0.15)
_STILL: Final = {
    "shift_px": Uniform(0.0, 0.0),
    "scale": Uniform(1.0, 1.0),
    "rotation_deg": Uniform(0.0, 0.0),
    "blur_px": Uniform(0.0, 0.0),
}
_BATCH: Final = 256


@dataclass(frozen=True)
class Looks:
    """Patterns as a microscope would give them, shape (n, edge, edge), and what is true of each.

    `label` is 8 for an unpolarised specimen; `row` counts in the training data. `electrons`
    are those counted, NaN for exact intensities, which count nothing.
    """

    patterns: NDArray[np.float32]
    label: NDArray[np.int64]
    row: NDArray[np.int64]
    electrons: NDArray[np.float64]


def draw_looks(
    data: TrainingData,
    rows: NDArray[np.int64],
    options: Augmentation,
    rng: np.random.Generator,
    *,
    grid_mrad: float,
    pooled: bool = True,
) -> Looks:
    """Record each row once (or each of its single patterns), turned by a random operation of the square."""
    source: NDArray[np.floating]
    if pooled:
        source, row = data.pooled[rows], rows
    else:
        source = data.singles[rows].reshape(-1, *data.singles.shape[2:])
        row = np.repeat(rows, data.singles.shape[1])
    parts, dose = [], draw_electrons(options, len(row), rng)
    for first in range(0, len(row), _BATCH):
        part = slice(first, first + _BATCH)
        recorded = augment(
            source[part],
            data.mrad_per_px[row[part]],
            options,
            grid_mrad=grid_mrad,
            intensity_scale=data.intensity_scale,
            rng=rng,
            electrons=dose[part],
        )
        parts.append(recorded.numpy())
    patterns, label = np.maximum(np.concatenate(parts), 0), data.label[row]
    which = rng.integers(len(OPERATIONS), size=len(row))
    for index, operation in enumerate(OPERATIONS):
        turned = np.flatnonzero(which == index)
        patterns[turned] = operation.images(patterns[turned])
        label[turned] = turn_labels(operation, label[turned])
    counted = np.where(np.isinf(dose), np.nan, dose) * patterns.sum(axis=(1, 2), dtype=np.float64)
    return Looks(patterns, label, row, counted)


def microscopes(log10_electrons: tuple[float, float], *, blur_px: float = 0.8) -> tuple[Augmentation, Augmentation]:
    """Return a well kept microscope and a usual one, both at every dose of a range."""
    dose = Uniform(*log10_electrons)
    usual = Augmentation(log10_dose=dose, exact_fraction=_EXACT, blur_px=Uniform(0.0, blur_px))
    return replace(usual, **_STILL), usual
