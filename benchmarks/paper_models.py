"""The published models, trained on single patterns of one thickness, and what is asked of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from paper_report import DOSES, OFFSETS_PX
from paper_sets import EXPERIMENTAL, SAME_THICKNESS, Patterns, Protocol, ProtocolSource, Scan, Specimens, turned

from napari_polarmap.core.directions import LABELS
from napari_polarmap.core.resampling import resample_patterns
from napari_polarmap.models.network import DirectionNetwork, quickened
from napari_polarmap.pipeline.fitting import FitOptions, fit
from napari_polarmap.pipeline.published import PublishedAugmentation, augment_as_published

Answer = Callable[[Patterns], NDArray[np.int64]]
OBJECTIVES = ("classification", "regression", "prototype")
TREATMENTS = {
    "plain": (0, False),
    "augmented": (1, False),
    "filtered": (0, True),
    "both": (1, True),
}
"""Whether training patterns are changed at random, and whether only those with a far centre of mass are used."""


@dataclass(frozen=True)
class Cell:
    """One trained model of the table."""

    network: str
    objective: str
    treatment: str
    seed: int

    @property
    def name(self) -> str:
        """Name of its record."""
        return f"{self.network}-{self.objective}-{self.treatment}-{self.seed}"


@dataclass(frozen=True)
class Schooling:
    """How networks are trained; what a network is not named in is as published."""

    epochs: dict[str, int]
    learning_rate: dict[str, float]
    schedule: dict[str, str]
    binning: int
    batch: int


def train_model(cell: Cell, protocol: Protocol, schooling: Schooling, checkpoint: Path) -> tuple[Answer, list[float]]:
    """Return a trained model, and its losses on the validation part."""
    if cell.network == "pca_knn":
        return train_knn(cell, protocol), []
    return train_network(cell, protocol, schooling, checkpoint)


def _training_part(cell: Cell, protocol: Protocol) -> tuple[Patterns, NDArray[np.int64]]:
    patterns, label = protocol.of(0)
    if TREATMENTS[cell.treatment][1]:
        far = protocol.far[protocol.part == 0]
        return patterns[far], label[far]
    return patterns, label


def train_network(cell: Cell, protocol: Protocol, schooling: Schooling, checkpoint: Path) -> tuple[Answer, list[float]]:
    """Train as published, in the loop that `polarmap train` uses; go on from the checkpoint if there is one."""
    augmentation = PublishedAugmentation(used=TREATMENTS[cell.treatment][0])
    source = ProtocolSource(_training_part(cell, protocol), protocol.of(1), augmentation, schooling.batch)
    torch.manual_seed(cell.seed)
    model = DirectionNetwork(cell.network, cell.objective, channels=1, binning=schooling.binning, nuisance=False)
    options = FitOptions(
        epochs=schooling.epochs.get(cell.network, 20),
        learning_rate=schooling.learning_rate.get(cell.network, 2e-4),
        schedule=schooling.schedule.get(cell.network, "constant"),
        optimizer="adam",
        patience=5,
        seed=cell.seed,
    )
    key = f"{cell} {options} {schooling.binning} {schooling.batch} {len(protocol.label)}"
    steps = fit(model, source, options, checkpoint=checkpoint, key=key, resume=True)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            history = done.value
            break
    quick = quickened(model)

    def answer(asked: Patterns) -> NDArray[np.int64]:
        with torch.inference_mode():
            parts = [quick.head.logits(quick(torch.from_numpy(part))[0])[:, :8] for part in parts_of(asked)]
        return np.concatenate([part.argmax(dim=1).numpy() for part in parts])

    return answer, history["validation_loss"]


def train_knn(cell: Cell, protocol: Protocol) -> Answer:
    """Standardised pixels, 20 components, 5 neighbours; all fitted on the training part only."""
    from sklearn.decomposition import PCA
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    patterns, label = _training_part(cell, protocol)
    if TREATMENTS[cell.treatment][0]:
        options, rng = PublishedAugmentation(used=1), np.random.default_rng(cell.seed)
        patterns = augment_as_published(torch.from_numpy(patterns), options, rng).numpy()
    model = make_pipeline(StandardScaler(), PCA(20, random_state=cell.seed), KNeighborsClassifier(5))
    model.fit(_flat(patterns), label)
    return lambda asked: np.asarray(model.predict(_flat(asked)), np.int64)


def _flat(patterns: Patterns) -> Patterns:
    low, high = patterns.min(axis=(1, 2), keepdims=True), patterns.max(axis=(1, 2), keepdims=True)
    return ((patterns - low) / np.maximum(high - low, 1e-30)).reshape(len(patterns), -1)


def parts_of(patterns: Patterns) -> list[Patterns]:
    """Return patterns in parts of about 128."""
    return np.array_split(patterns, max(1, len(patterns) // 128))


def _right(answer: Answer, patterns: Patterns, label: NDArray[np.int64]) -> float:
    return round(float((answer(patterns) == label).mean()), 4)


def ask(answer: Answer, protocol: Protocol, scans: dict[str, Scan], specimens: Specimens) -> dict[str, Any]:
    """Return everything that is asked of a model of single patterns."""
    patterns, label = protocol.of(2)
    record: dict[str, Any] = {"random_split": _right(answer, patterns, label)}
    held = {name: _right(answer, *turned(scans[name].patterns, scans[name].label)) for name in SAME_THICKNESS}
    diagonal = [share for name, share in held.items() if scans[name].label[0] % 2]
    axial = [share for name, share in held.items() if scans[name].label[0] % 2 == 0]
    # As many of each family as in the split of the training specimens.
    record["held_out"] = round(float((np.mean(diagonal) + np.mean(axial)) / 2), 4)
    record["truth"] = {name: LABELS[Counter(scan.label.tolist()).most_common(1)[0][0]] for name, scan in scans.items()}
    record["sets"], record["published_crop"] = {}, {}
    for name, scan in scans.items():
        said = answer(scan.patterns)
        record["sets"][name] = {
            "accuracy": round(float((said == scan.label).mean()), 4),
            "opposite": round(float(((said - scan.label) % 8 == 4).mean()), 4),
            "majority": LABELS[Counter(said.tolist()).most_common(1)[0][0]],
        }
        if name in EXPERIMENTAL:
            record["published_crop"][name] = _right(answer, scan.published, scan.label)
    few = slice(0, None, max(1, len(label) // 128))
    record["offset"] = [_right(answer, _moved(patterns[few], step), label[few]) for step in OFFSETS_PX]
    record["dose"] = [_right(answer, _counted(patterns[few], dose), label[few]) for dose in DOSES]
    asked, truth, row = specimens.recorded()
    record["specimens"] = specimens.facts(answer(asked) == truth, row)
    return record


def _moved(patterns: Patterns, step_px: float) -> Patterns:
    middle = (np.asarray(patterns.shape[1:]) - 1) / 2
    azimuth = np.random.default_rng(0).uniform(0, 2 * np.pi, len(patterns))
    centers = middle + step_px * np.column_stack([np.sin(azimuth), np.cos(azimuth)])
    return resample_patterns(patterns, centers, mrad_per_px=1.0, size_px=patterns.shape[1], grid_mrad=1.0)


def _counted(patterns: Patterns, electrons: float) -> Patterns:
    total = patterns.sum(axis=(1, 2), keepdims=True)
    return np.random.default_rng(0).poisson(patterns / total * electrons).astype(np.float32)
