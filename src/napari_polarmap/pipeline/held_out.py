"""How right, and how honest, a classifier is on whole specimens it has never seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.directions import ANGLES_DEG
from napari_polarmap.core.metrics import (
    accuracy,
    angular_error,
    calibration_error_by_chance,
    expected_calibration_error,
    mean_direction,
    opposite_fraction,
    roc_auc,
    set_coverage,
)
from napari_polarmap.core.symmetry import OPERATIONS
from napari_polarmap.models.registry import Classifier, Prediction
from napari_polarmap.pipeline.augmentation import to_grid
from napari_polarmap.pipeline.looks import POOLED_LOG10, draw_looks, microscopes
from napari_polarmap.pipeline.training_data import NONE, TrainingData, turn_labels
from napari_polarmap.pipeline.unfamiliar import unfamiliar_patterns

POOLED_DOSES: Final = {"exact": None, "1e7": 1e7, "1e6": 1e6, "1e5": 1e5}
SINGLE_DOSES: Final = {"exact": None, "1000": 1e3}
LEVEL: Final = 0.9
"""Of the prediction sets that are scored."""
_PATTERNS: Final = 2000
_MOST_DRAWS: Final = 8


@dataclass(frozen=True)
class Answers:
    """What a classifier says of patterns, and the truth; 8 is "none".

    `unfamiliar` are confidences for patterns it should not know, by kind.
    """

    prediction: Prediction
    truth: NDArray[np.int64]
    row: NDArray[np.int64]
    sets: NDArray[np.uint16] | None
    unfamiliar: dict[str, NDArray[np.float64]]
    thickness_nm: NDArray[np.float64] | None

    @property
    def polarised(self) -> NDArray[np.bool_]:
        """Of which specimens a direction can be asked."""
        return np.asarray(self.truth < NONE)

    @property
    def confidence(self) -> NDArray[np.float64]:
        """Probability that the direction told is right, as a map shows it."""
        return confidence(self.prediction)


def confidence(answer: Prediction) -> NDArray[np.float64]:
    """Return the probability that the most probable direction is right, shape (n,)."""
    return np.asarray(answer.informed * answer.probability.max(axis=1), dtype=np.float64)


def ask(
    classifier: Classifier, data: TrainingData, rows: NDArray[np.int64], *, seed: int = 0, patterns: int = _PATTERNS
) -> dict[str, Answers]:
    """Ask for the averages over the cell of some rows, at each of `POOLED_DOSES`.

    Every pattern is put through one operation of the square, in turn, so that all
    eight directions are asked for. Few rows are counted several times, up to eight, to
    make about so many `patterns` of each dose.
    """
    rng = np.random.default_rng(seed)
    found = {}
    for name, dose in POOLED_DOSES.items():
        draws = 1 if dose is None else int(np.clip(patterns // max(1, len(rows)), 1, _MOST_DRAWS))
        row = np.tile(rows, draws)
        grid, truth = _recorded(classifier, data.pooled[row], data, row, dose, rng)
        answer = _predict(classifier, grid, dose, pooled=True)
        strange = unfamiliar_patterns(grid[truth < NONE], dose, rng)
        unknown = {kind: confidence(_predict(classifier, part, dose, pooled=True)) for kind, part in strange.items()}
        sets = classifier.prediction_sets(answer, pooled=True, level=LEVEL) if classifier.calibration else None
        estimate = getattr(classifier.predictor, "estimate", None)
        thickness = estimate(grid).thickness_nm if estimate else None
        found[name] = Answers(answer, truth, row, sets, unknown, thickness)
    return found


def held_out_scores(
    classifier: Classifier, data: TrainingData, rows: NDArray[np.int64], *, seed: int = 0
) -> dict[str, float]:
    """Score a classifier on rows of a training set that it has not seen.

    Returns
    -------
    scores : dict of str to float
        See ``docs/confidence.md``. Electrons in the window end a name: ``exact``, ``1e7``,
        ``1e6``, ``1e5``; without them, all doses together. Figures that cannot be given
        are left out.
    """
    answers = ask(classifier, data, rows, seed=seed)
    scores = {"specimens": float(len(np.unique(data.specimen[rows]))), **pooled_scores(answers, data)}
    if classifier.calibration:
        scores |= exchangeable_coverage(classifier, data, rows, seed=seed)
    rng = np.random.default_rng(seed + 1)
    row = np.repeat(rows, data.singles.shape[1])
    singles = data.singles[rows].reshape(-1, *data.singles.shape[2:])
    for name, dose in SINGLE_DOSES.items():
        grid, truth = _recorded(classifier, singles, data, row, dose, rng)
        single, told = _predict(classifier, grid, dose, pooled=False), truth < NONE
        scores[f"accuracy_single_{name}"] = _share_right(single, truth)
        scores[f"ece_single_{name}"] = expected_calibration_error(single.probability[told], truth[told])
    return {name: round(float(value), 4) for name, value in scores.items() if np.isfinite(value)}


def exchangeable_coverage(
    classifier: Classifier, data: TrainingData, rows: NDArray[np.int64], *, seed: int = 0
) -> dict[str, float]:
    """Return how often prediction sets hold the truth where all is as it was when they were calibrated.

    That is a well kept microscope half of the time and a usual one else, at 10^4 to 10^8 electrons; `ask`
    records with a perfect one, which is easier.
    """
    rng = np.random.default_rng(seed)
    sets, truth = [], []
    for microscope in microscopes(POOLED_LOG10) * int(np.clip(_PATTERNS // max(1, 2 * len(rows)), 1, _MOST_DRAWS)):
        looks = draw_looks(data, rows, microscope, rng, grid_mrad=classifier.info.grid_mrad)
        answer = _predict(classifier, looks.patterns, looks.electrons, pooled=True)
        sets.append(classifier.prediction_sets(answer, pooled=True, level=LEVEL))
        truth.append(looks.label)
    held, label = np.concatenate(sets), np.concatenate(truth)
    kinds = {"coverage": label < NONE, "coverage_unpolarised": label == NONE}
    return {name: set_coverage(held[kind], label[kind]) for name, kind in kinds.items()}


def pooled_scores(answers: dict[str, Answers], data: TrainingData) -> dict[str, float]:
    """Score the answers of `ask`; NaN where a figure cannot be given."""
    by_dose = {
        f"{key}_{name}": value for name, answer in answers.items() for key, value in _dose_scores(answer).items()
    }
    return by_dose | _overall_scores(answers, data)


def _dose_scores(answer: Answers) -> dict[str, float]:
    told, truth, prediction = answer.polarised, answer.truth, answer.prediction
    angle = mean_direction(prediction.probability[told])
    wrong_deg = angular_error(angle, ANGLES_DEG[truth[told]])
    scores = {
        "accuracy_pooled": _share_right(prediction, truth),
        "ece_pooled": expected_calibration_error(prediction.probability[told], truth[told]),
        "angular_error_median_deg": float(np.median(wrong_deg)),
        "angular_error_p95_deg": float(np.percentile(wrong_deg, 95)),
        "ood_auc": _unfamiliar_auc([answer]),
    }
    if answer.sets is not None:
        scores["coverage"] = set_coverage(answer.sets[told], truth[told])
        scores["set_size"] = float(np.bitwise_count(answer.sets[told] & 0xFF).mean())
    return scores


def _overall_scores(answers: dict[str, Answers], data: TrainingData) -> dict[str, float]:
    every = list(answers.values())
    told = np.concatenate([answer.polarised for answer in every])
    truth = np.concatenate([answer.truth for answer in every])
    probability = np.concatenate([answer.prediction.probability for answer in every])
    row = np.concatenate([answer.row for answer in every])
    by_chance = calibration_error_by_chance(probability[told], row[told])
    exact = answers["exact"]
    right = exact.polarised
    undefined = exact.prediction.informed < 0.5
    scores = {
        "opposite_pooled": opposite_fraction(exact.prediction.probability.argmax(axis=1)[right], exact.truth[right]),
        "unpolarised_told": float(undefined[~right].mean()) if (~right).any() else float("nan"),
        "polarised_kept": float((~undefined)[right].mean()),
        "ece_pooled": expected_calibration_error(probability[told], truth[told]),
        "ece_chance_median": by_chance[0],
        "ece_chance_p95": by_chance[1],
        "ood_auc": _unfamiliar_auc(every),
    }
    for name, answer in answers.items():
        if answer.thickness_nm is not None:
            off = np.abs(answer.thickness_nm - data.thickness_nm[answer.row])
            scores[f"thickness_error_median_nm_{name}"] = float(np.nanmedian(off))
            scores[f"thickness_error_p95_nm_{name}"] = float(np.nanpercentile(off, 95))
    return scores


def _unfamiliar_auc(answers: list[Answers]) -> float:
    """How well confidence tells polarised specimens from what the classifier should not know."""
    known = np.concatenate([answer.confidence[answer.polarised] for answer in answers])
    strange = np.concatenate([part for answer in answers for part in answer.unfamiliar.values()])
    return roc_auc(np.concatenate([known, strange]), np.arange(len(known) + len(strange)) < len(known))


def _share_right(answer: Prediction, truth: NDArray[np.int64]) -> float:
    told = truth < NONE
    return accuracy(answer.probability[told].argmax(axis=1).astype(np.uint8), truth[told].astype(np.uint8))


def _recorded(
    classifier: Classifier,
    patterns: NDArray[np.floating],
    data: TrainingData,
    rows: NDArray[np.int64],
    dose: float | None,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Count patterns and bring them to the grid, one operation of the square after the other."""
    exact = np.maximum(patterns.astype(np.float32), 0)
    counted = exact if dose is None else rng.poisson(exact * (dose / data.intensity_scale)).astype(np.float32)
    grid = to_grid(counted, data.mrad_per_px[rows], grid_mrad=classifier.info.grid_mrad).numpy()
    truth = data.label[rows].copy()
    # Counted again, a row is turned again.
    number = np.arange(len(grid))
    which = (number + number // len(np.unique(rows))) % len(OPERATIONS)
    for index, operation in enumerate(OPERATIONS):
        chosen = which == index
        grid[chosen] = operation.images(grid[chosen])
        truth[chosen] = turn_labels(operation, truth[chosen])
    return grid, truth


def _predict(
    classifier: Classifier, patterns: NDArray[np.float32], dose: NDArray[np.float64] | float | None, *, pooled: bool
) -> Prediction:
    counted = np.broadcast_to(np.nan if dose is None else dose, len(patterns))
    blocks = [slice(i, i + 512) for i in range(0, len(patterns), 512)]
    parts = [classifier.predict(patterns[block], pooled=pooled, electrons=counted[block]) for block in blocks]
    return Prediction(
        np.concatenate([part.probability for part in parts]),
        np.concatenate([part.informed for part in parts]),
        np.concatenate([part.electrons for part in parts if part.electrons is not None]),
    )
