"""Calibrate a classifier on the validation specimens of its training set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.config import ConfigError, Uniform
from napari_polarmap.core.symmetry import OPERATIONS
from napari_polarmap.models.calibration import Calibration
from napari_polarmap.models.familiarity import Familiarity, electrons_seen
from napari_polarmap.models.registry import Classifier, load_classifier
from napari_polarmap.models.weights import FAMILIARITY_PREFIX, ModelInfo, read_arrays, save_model
from napari_polarmap.pipeline.augmentation import Augmentation, augment
from napari_polarmap.pipeline.held_out import held_out_scores
from napari_polarmap.pipeline.training_data import TrainingData, load_training_data, turn_labels

Report = Callable[[str, int, int], None]
POOLED_LOG10: Final = (4.0, 8.0)
SINGLE_LOG10: Final = (2.3, 5.0)
_EXACT: Final = Uniform(0.15, 0.15)
_STILL: Final = {
    "shift_px": Uniform(0.0, 0.0),
    "scale": Uniform(1.0, 1.0),
    "rotation_deg": Uniform(0.0, 0.0),
    "blur_px": Uniform(0.0, 0.0),
}
_LOOKS: Final = 6
_BATCH: Final = 256
_MAX_BLUR_PX: Final = 1.5


@dataclass(frozen=True)
class Looks:
    """Patterns as a microscope would give them, shape (n, edge, edge), and what is true of each.

    `label` is 8 for an unpolarised specimen; `row` counts in the training data.
    """

    patterns: NDArray[np.float32]
    label: NDArray[np.int64]
    row: NDArray[np.int64]


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
    parts = []
    for first in range(0, len(row), _BATCH):
        part = slice(first, first + _BATCH)
        scale, sampling = data.intensity_scale, data.mrad_per_px[row[part]]
        recorded = augment(source[part], sampling, options, grid_mrad=grid_mrad, intensity_scale=scale, rng=rng)
        parts.append(recorded.numpy())
    patterns, label = np.concatenate(parts), data.label[row]
    which = rng.integers(len(OPERATIONS), size=len(row))
    for index, operation in enumerate(OPERATIONS):
        turned = np.flatnonzero(which == index)
        patterns[turned] = operation.images(patterns[turned])
        label[turned] = turn_labels(operation, label[turned])
    return Looks(np.maximum(patterns, 0), label, row)


def _conditions(log10_electrons: tuple[float, float], *, blur_px: float = 0.8) -> tuple[Augmentation, Augmentation]:
    """Return a well kept microscope and a usual one, both at every dose."""
    dose = Uniform(*log10_electrons)
    usual = Augmentation(log10_dose=dose, exact_fraction=_EXACT, blur_px=Uniform(0.0, blur_px))
    return replace(usual, **_STILL), usual


def calibrate(
    classifier: Classifier,
    data: TrainingData,
    rows: dict[str, NDArray[np.int64]],
    *,
    seed: int = 0,
    report: Report = lambda stage, done, total: None,
) -> Classifier:
    """Return the classifier with calibrated probabilities, prediction sets and a sense of the unfamiliar.

    Parameters
    ----------
    classifier : Classifier
    data : TrainingData
    rows : dict of str to ndarray
        As from `TrainingData.split`. What is familiar is learnt from ``train``; everything
        else from ``validation``, which the classifier must not have seen.
    seed : int
    report : callable
        Called with the stage, steps done and steps in all.
    """
    rng = np.random.default_rng(seed)
    plain = replace(classifier, calibration={}, familiarity=None)
    familiarity = _fit_familiarity(data, rows, rng, classifier.info.grid_mrad)
    report("what is familiar", 1, 1)
    found = {}
    for pooled, span in ((True, POOLED_LOG10), (False, SINGLE_LOG10)):
        stage = "averages over the cell" if pooled else "single patterns"
        logits, label, electrons, known = [], [], [], []
        options = _conditions(span) * (_LOOKS // 2 if pooled else 1)
        for step, conditions in enumerate(options):
            looks = draw_looks(
                data, rows["validation"], conditions, rng, grid_mrad=classifier.info.grid_mrad, pooled=pooled
            )
            for first in range(0, len(looks.label), _BATCH):
                part = looks.patterns[first : first + _BATCH]
                logits.append(plain.predictor.predict_logits(part, pooled=pooled))
                known.append(familiarity(part) if pooled else np.ones(len(part)))
            label.append(looks.label)
            electrons.append(electrons_seen(looks.patterns))
            report(stage, step + 1, len(options))
        truth, seen = np.concatenate(label), np.concatenate(electrons)
        fitted = Calibration.fit(np.concatenate(logits), truth, seen)
        fitted = replace(fitted, specimens=len(np.unique(data.specimen[rows["validation"]])))
        probability, informed = fitted.apply(np.concatenate(logits), seen)
        found[pooled] = fitted.with_sets(probability, informed * np.concatenate(known), truth, seen)
    return replace(classifier, calibration=found, familiarity=familiarity)


def _fit_familiarity(
    data: TrainingData, rows: dict[str, NDArray[np.int64]], rng: np.random.Generator, grid_mrad: float
) -> Familiarity:
    still, usual = _conditions(POOLED_LOG10, blur_px=_MAX_BLUR_PX)
    exact = {"exact_fraction": Uniform(1.0, 1.0)}
    known = [
        draw_looks(data, rows["train"], replace(options, **exact), rng, grid_mrad=grid_mrad)
        for options in (still, usual, usual, usual)
    ]
    patterns = np.concatenate([looks.patterns for looks in known])
    fitted = Familiarity.fit(patterns, np.concatenate([data.thickness_nm[looks.row] for looks in known]))
    new = [
        draw_looks(data, rows["validation"], options, rng, grid_mrad=grid_mrad).patterns
        for options in (still, usual) * (_LOOKS // 2)
    ]
    return fitted.with_limits(np.concatenate(new), np.linspace(4.0, 7.5, 8))


def calibrate_file(
    path: Path,
    data_paths: list[Path],
    out: Path,
    *,
    seed: int | None = None,
    report: Report = lambda stage, done, total: None,
) -> ModelInfo:
    """Calibrate a model file on its own training set and write it anew, with its scores.

    Parameters
    ----------
    path : Path
        Model file.
    data_paths : list of Path
        The training set of the model, the same files in the same order.
    out : Path
        Model file to write; may be `path`.
    seed : int, optional
        Of the split into training, validation and test specimens, where the file does
        not tell it.

    Raises
    ------
    ConfigError
        If the split is not known, or the data are not the model's training set.
    """
    classifier = load_classifier(str(path))
    info = classifier.info
    chosen = info.seed if seed is None else seed
    if chosen is None:
        raise ConfigError(f"{path}: does not say how its training set was split; give --seed")
    data = load_training_data(data_paths, seed=chosen)
    for source in data.sources:
        if training_set_name(source) not in info.training_set:
            raise ConfigError(
                f"{source['file']}: {training_set_name(source)} is not what {info.name} was trained on "
                f"({info.training_set}); only there are its validation specimens known"
            )
    rows = data.split(chosen)
    calibrated = calibrate(classifier, data, rows, seed=chosen, report=report)
    scores = held_out_scores(calibrated, data, rows["test"], seed=chosen)
    return save_calibrated(out, replace(calibrated, info=replace(info, scores=scores, seed=chosen)), read_arrays(path))


def training_set_name(source: dict[str, Any]) -> str:
    """Return how a model file names one file of its training set."""
    return f"{source['specimens']} specimens of {source['file']} ({source['config_sha256'][:12]})"


def save_calibrated(out: Path, classifier: Classifier, arrays: dict[str, NDArray[Any]]) -> ModelInfo:
    """Write a model file of the classifier, whose network has these arrays."""
    known: dict[str, NDArray[Any]] = {}
    if classifier.familiarity is not None:
        known = {FAMILIARITY_PREFIX + key: value for key, value in classifier.familiarity.arrays().items()}
    names = {True: "pooled", False: "single"}
    record = {names[pooled]: fitted.as_dict() for pooled, fitted in classifier.calibration.items()}
    info = replace(classifier.info, calibration=record)
    save_model(out, info, arrays | known)
    return info
