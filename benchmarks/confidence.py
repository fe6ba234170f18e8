"""Figures of ``docs/confidence.md``: are stated probabilities right, do sets cover, is the unknown told from the known.

``python benchmarks/confidence.py holdout.h5 --out docs/images`` on specimens that no classifier has seen
(``benchmarks/sets/holdout.toml``); some minutes of one processor core. Prints the numbers as JSON too.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from napari_polarmap.core.metrics import expected_calibration_error, roc_auc, set_coverage
from napari_polarmap.models.calibration import LEVELS
from napari_polarmap.models.registry import Classifier, list_models, load_classifier
from napari_polarmap.pipeline.held_out import Answers, ask, exchangeable_coverage, pooled_scores
from napari_polarmap.pipeline.training_data import TrainingData, load_training_data

DOSES = {"exact": "#0b3c5d", "1e7": "#2a7fb8", "1e6": "#e08a1e", "1e5": "#b5302a"}
GREY = "#8a8a8a"
_BINS = 10


def reliability(axes: Axes, answers: dict[str, Answers]) -> None:
    """Share of right directions against the stated probability, in bins of equal count."""
    axes.plot([0, 1], [0, 1], color=GREY, lw=1, zorder=0)
    for dose, answer in answers.items():
        told = answer.polarised
        stated = answer.prediction.probability[told].max(axis=1)
        right = answer.prediction.probability[told].argmax(axis=1) == answer.truth[told]
        groups = np.array_split(np.argsort(stated, kind="stable"), _BINS)
        error = expected_calibration_error(answer.prediction.probability[told], answer.truth[told])
        points = np.array([[stated[group].mean(), right[group].mean()] for group in groups])
        label = f"{_electrons(dose)}: {100 * error:.1f} %"
        axes.plot(*points.T, "o-", ms=3.5, lw=1.2, color=DOSES[dose], label=label)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="stated probability", aspect="equal")
    axes.legend(frameon=False, fontsize=7, title="calibration error", title_fontsize=7, loc="upper left")


def coverage(axes: Axes, classifier: Classifier, answers: dict[str, Answers]) -> None:
    """Share of sets that hold the true direction against the level asked for."""
    axes.fill_between([0.75, 1], [0.73, 0.98], [0.77, 1.02], color=GREY, alpha=0.2, lw=0, label="within 2 %")
    for dose, answer in answers.items():
        told = answer.polarised
        held, size = [], 0.0
        for level in LEVELS:
            sets = classifier.prediction_sets(answer.prediction, pooled=True, level=level)[told]
            held.append(set_coverage(sets, answer.truth[told]))
            if level == 0.9:
                size = float(np.bitwise_count(sets & 0xFF).mean())
        label = f"{_electrons(dose)}: {size:.1f} directions"
        axes.plot(LEVELS, held, "o-", ms=3.5, lw=1.2, color=DOSES[dose], label=label)
    axes.set(xlim=(0.77, 1), ylim=(0.7, 1.01), xlabel="level asked for")
    axes.legend(frameon=False, fontsize=7, title="mean size at 90 %", title_fontsize=7, loc="lower right")


def unfamiliar(axes: Axes, answers: dict[str, Answers]) -> None:
    """Confidence of what should be known, by dose, and of what should not, by kind."""
    kinds = list(next(iter(answers.values())).unfamiliar)
    known = {dose: answer.confidence[answer.polarised] for dose, answer in answers.items()}
    every = np.concatenate(list(known.values()))
    rows: list[tuple[str, NDArray[np.float64], str]] = [
        (f"niobate [001], {_electrons(dose)}", values, DOSES[dose]) for dose, values in known.items()
    ]
    for kind in kinds:
        strange = np.concatenate([answer.unfamiliar[kind] for answer in answers.values()])
        area = roc_auc(np.concatenate([every, strange]), np.arange(len(every) + len(strange)) < len(every))
        axes.text(1.03, len(rows), f"{area:.3f}", fontsize=7, va="center")
        rows.append((kind, strange, GREY))
    rng = np.random.default_rng(0)
    for place, (_, values, color) in enumerate(rows):
        shown = rng.permutation(values)[:150]
        axes.plot(shown, place + rng.uniform(-0.28, 0.28, len(shown)), ".", ms=2, color=color, alpha=0.6)
        axes.plot([np.median(values)] * 2, [place - 0.4, place + 0.4], color="black", lw=1.5)
    axes.text(1.03, len(known) - 1, "AUC", fontsize=7, va="center")
    axes.set(xlim=(-0.02, 1.2), xticks=np.linspace(0, 1, 6), xlabel="confidence", yticks=range(len(rows)))
    axes.set_yticklabels([name for name, _, _ in rows], fontsize=7)
    axes.axhline(len(known) - 0.5, color="black", lw=0.6)
    axes.invert_yaxis()


def write_slice(path: Path, data: TrainingData) -> None:
    """Keep three of four thicknesses of every specimen."""
    kept = np.flatnonzero(np.arange(len(data.label)) % 4 != 3)
    facts = ("label", "specimen", "thickness_nm", "mrad_per_px", "convergence_mrad", "tilt_mrad")
    arrays = {name: getattr(data, name)[kept] for name in facts}
    np.savez_compressed(
        path, pooled=data.pooled[kept].astype(np.float16), intensity_scale=data.intensity_scale, **arrays
    )


def _electrons(dose: str) -> str:
    return "exact" if dose == "exact" else f"$10^{dose[-1]}$"


def _figure(title: list[str], height: float) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(3.4 * len(title), height), layout="constrained", dpi=130)
    axes = figure.subplots(1, len(title), sharey=True, squeeze=False)[0]
    for part, name in zip(axes, title, strict=True):
        part.set_title(name, fontsize=9)
        part.spines[["top", "right"]].set_visible(False)
        part.tick_params(labelsize=8)
    return figure, list(axes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="+", help="held-out specimens")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--slice", type=Path, help="write the averages here for the tests, as half floats, and stop")
    parser.add_argument("--models", nargs="+", default=[info.name for info in list_models()])
    args = parser.parse_args()
    data = load_training_data(args.data)
    rows = np.arange(len(data.label))
    if args.slice:
        write_slice(args.slice, data)
        return
    classifiers = [load_classifier(name) for name in args.models]
    answers = [ask(classifier, data, rows) for classifier in classifiers]
    names = [classifier.info.name for classifier in classifiers]

    table = {
        each.info.name: pooled_scores(answer, data) | exchangeable_coverage(each, data, rows)
        for each, answer in zip(classifiers, answers, strict=True)
    }
    print(json.dumps(table, indent=1))

    figure, axes = _figure(names, 3.7)
    for part, answer in zip(axes, answers, strict=True):
        reliability(part, answer)
    axes[0].set_ylabel("share right")
    figure.savefig(args.out / "reliability.png")

    figure, axes = _figure(names, 3.4)
    for part, classifier, answer in zip(axes, classifiers, answers, strict=True):
        coverage(part, classifier, answer)
    axes[0].set_ylabel("true direction in the set")
    figure.savefig(args.out / "coverage.png")

    figure, axes = _figure(names, 4.2)
    for part, answer in zip(axes, answers, strict=True):
        unfamiliar(part, answer)
    figure.savefig(args.out / "unfamiliar.png")
    print("\n".join(str(args.out / f"{name}.png") for name in ("reliability", "coverage", "unfamiliar")))


if __name__ == "__main__":
    main()
