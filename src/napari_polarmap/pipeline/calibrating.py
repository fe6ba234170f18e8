"""Calibrate a classifier on the validation specimens of its training set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.config import ConfigError, Uniform
from napari_polarmap.models.calibration import Calibration
from napari_polarmap.models.familiarity import Familiarity, electrons_behind
from napari_polarmap.models.registry import Classifier, load_classifier
from napari_polarmap.models.weights import FAMILIARITY_PREFIX, ModelInfo, read_arrays, save_model
from napari_polarmap.pipeline.held_out import held_out_scores
from napari_polarmap.pipeline.looks import POOLED_LOG10, SINGLE_LOG10, draw_looks, microscopes
from napari_polarmap.pipeline.training_data import TrainingData, load_training_data

Report = Callable[[str, int, int], None]
_LOOKS: Final = 6
_BATCH: Final = 256
_MAX_BLUR_PX: Final = 1.5


def calibrate(
    classifier: Classifier,
    data: TrainingData,
    rows: dict[str, NDArray[np.int64]],
    *,
    more: TrainingData | None = None,
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
    more : TrainingData, optional
        Further specimens that the classifier has not seen, used as the validation ones.
    seed : int
    report : callable
        Called with the stage, steps done and steps in all.
    """
    rng = np.random.default_rng(seed)
    unseen = [(data, rows["validation"])] + (_whole(more) if more else [])
    familiarity = _fit_familiarity(data, rows["train"], unseen, rng, classifier.info.grid_mrad)
    report("what is familiar", 1, 1)
    return _with_probabilities(replace(classifier, familiarity=familiarity), unseen, rng, report)


def recalibrate(
    classifier: Classifier,
    unseen: TrainingData,
    *,
    seed: int = 0,
    report: Report = lambda stage, done, total: None,
) -> Classifier:
    """Return the classifier with probabilities and prediction sets fitted to specimens it has not seen.

    What is familiar to it stays as it is.

    Raises
    ------
    ConfigError
        If it does not know yet what is familiar, which only its training set tells.
    """
    if classifier.familiarity is None:
        raise ConfigError(f"{classifier.info.name}: was never calibrated; that takes its training set too")
    return _with_probabilities(classifier, _whole(unseen), np.random.default_rng(seed), report)


def _whole(data: TrainingData) -> list[tuple[TrainingData, NDArray[np.int64]]]:
    return [(data, np.arange(len(data.label)))]


def _with_probabilities(
    classifier: Classifier,
    unseen: list[tuple[TrainingData, NDArray[np.int64]]],
    rng: np.random.Generator,
    report: Report,
) -> Classifier:
    grid_mrad, found = classifier.info.grid_mrad, {}
    for pooled, span in ((True, POOLED_LOG10), (False, SINGLE_LOG10)):
        stage = "averages over the cell" if pooled else "single patterns"
        asked: list[tuple[NDArray[Any], ...]] = []
        options = [(part, each) for each in microscopes(span) * (_LOOKS // 2 if pooled else 1) for part in unseen]
        for step, ((source, chosen), conditions) in enumerate(options):
            looks = draw_looks(source, chosen, conditions, rng, grid_mrad=grid_mrad, pooled=pooled)
            for first in range(0, len(looks.label), _BATCH):
                part = slice(first, first + _BATCH)
                said = _ask(classifier, looks.patterns[part], looks.electrons[part], pooled=pooled)
                asked.append((*said, looks.label[part]))
            report(stage, step + 1, len(options))
        logits, behind, known, thickness, truth = (np.concatenate(values) for values in zip(*asked, strict=True))
        fitted = Calibration.fit(logits, truth, behind, thickness)
        fitted = replace(fitted, specimens=sum(len(np.unique(part.specimen[chosen])) for part, chosen in unseen))
        probability, informed = fitted.apply(logits, behind, thickness)
        found[pooled] = fitted.with_sets(probability, informed * known, truth, behind)
    return replace(classifier, calibration=found)


def _ask(
    classifier: Classifier,
    patterns: NDArray[np.float32],
    electrons: NDArray[np.float64],
    *,
    pooled: bool,
) -> tuple[NDArray[np.floating], ...]:
    """Return log-odds, electrons behind, familiarity and place in the range of thicknesses of patterns."""
    behind = electrons_behind(patterns, electrons)
    known, thickness = np.ones(len(patterns)), np.zeros(len(patterns))
    if pooled and classifier.familiarity is not None:
        known, thickness = classifier.familiarity.look(patterns, behind)
    return classifier.predictor.predict_logits(patterns, pooled=pooled, electrons=electrons), behind, known, thickness


def _fit_familiarity(
    data: TrainingData,
    rows: NDArray[np.int64],
    unseen: list[tuple[TrainingData, NDArray[np.int64]]],
    rng: np.random.Generator,
    grid_mrad: float,
) -> Familiarity:
    still, usual = microscopes(POOLED_LOG10, blur_px=_MAX_BLUR_PX)
    exact = {"exact_fraction": Uniform(1.0, 1.0)}
    known = [
        draw_looks(data, rows, replace(options, **exact), rng, grid_mrad=grid_mrad)
        for options in (still, usual, usual, usual)
    ]
    patterns = np.concatenate([looks.patterns for looks in known])
    fitted = Familiarity.fit(patterns, np.concatenate([data.thickness_nm[looks.row] for looks in known]))
    new = [
        draw_looks(part, chosen, options, rng, grid_mrad=grid_mrad)
        for options in (still, usual) * (_LOOKS // 2)
        for part, chosen in unseen
    ]
    new_patterns = np.concatenate([looks.patterns for looks in new])
    behind = electrons_behind(new_patterns, np.concatenate([looks.electrons for looks in new]))
    return fitted.with_limits(new_patterns, np.linspace(4.0, 7.5, 8), behind)


def calibrate_file(
    path: Path,
    data_paths: list[Path],
    out: Path,
    *,
    more_paths: list[Path] | None = None,
    test_paths: list[Path] | None = None,
    seed: int | None = None,
    report: Report = lambda stage, done, total: None,
) -> ModelInfo:
    """Calibrate a model file and write it anew, with its scores.

    Parameters
    ----------
    path : Path
        Model file.
    data_paths : list of Path
        The training set of the model, the same files in the same order. Without, only the probabilities
        and prediction sets are fitted, to the specimens of `more_paths`.
    out : Path
        Model file to write; may be `path`.
    more_paths : list of Path, optional
        Training sets of further specimens, which the model has never seen.
    test_paths : list of Path, optional
        Training sets of other specimens, never seen and not calibrated on, to score it on in place of the
        test specimens of its training set. Without either it has no scores; with them alone it is scored only.
    seed : int, optional
        Of the split into training, validation and test specimens, where the file does
        not tell it.

    Raises
    ------
    ConfigError
        If the split is not known, the data are not the model's training set, those of other specimens are of
        another material, or there is nothing to fit to.
    """
    classifier = load_classifier(str(path))
    info = classifier.info
    chosen = info.seed if seed is None else seed
    if not (data_paths or more_paths or test_paths):
        raise ConfigError(
            f"{path}: needs its training set (--data) or specimens it has not seen (--more, or --test to score it only)"
        )
    if data_paths and chosen is None:
        raise ConfigError(f"{path}: does not say how its training set was split; give --seed")
    seed = chosen or 0
    more, test = (_others(info, paths, seed) if paths else None for paths in (more_paths, test_paths))
    calibrated, scores = classifier, {}
    if data_paths:
        data = _training_set(info, data_paths, seed)
        rows = data.split(seed)
        calibrated = calibrate(classifier, data, rows, more=more, seed=seed, report=report)
        if not test:
            scores = held_out_scores(calibrated, data, rows["test"], seed=seed)
    elif more:
        calibrated = recalibrate(classifier, more, seed=seed, report=report)
    if test:
        scores = held_out_scores(calibrated, test, np.arange(len(test.label)))
    return save_calibrated(out, replace(calibrated, info=replace(info, scores=scores, seed=chosen)), read_arrays(path))


def _others(info: ModelInfo, paths: list[Path], seed: int) -> TrainingData:
    data = load_training_data(paths, seed=seed)
    for source in data.sources:
        if info.material and source["material"] != info.material:
            raise ConfigError(f"{source['file']}: is of {source['material']}; {info.name} is for {info.material}")
    return data


def _training_set(info: ModelInfo, paths: list[Path], seed: int) -> TrainingData:
    data = load_training_data(paths, seed=seed)
    for source in data.sources:
        if training_set_name(source) not in info.training_set:
            raise ConfigError(
                f"{source['file']}: {training_set_name(source)} is not what {info.name} was trained on "
                f"({info.training_set}); only there are its validation specimens known"
            )
    return data


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
