"""How close the pooled classifiers come to the limit that counting sets.

``python benchmarks/noise_limit.py holdout.h5 --out docs/images/noise-limit.png``

For every held-out specimen the share of right directions is measured at a number of
electrons in the window, and set against two matched filters that know thickness, tilt,
convergence and amplitude and only choose among the eight directions:

- *bound*: the specimen is known too, so that counting is the only noise;
- *disorder*: the specimen is one of many, whose odd parts scatter with the covariance of
  the training specimens.

Both take the polarization's pattern from the templates of the physical estimator, as a
specimen is simulated in one direction only.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from napari_polarmap.core.directions import ANGLES_DEG, N_DIRECTIONS
from napari_polarmap.core.odd_part import (
    CONVERGENCE_MRAD,
    CONVERGENCE_SCALE_MRAD,
    TILT_SCALE_MRAD,
    odd_terms,
    polarization_axes,
)
from napari_polarmap.core.template_fit import PhysicalModel
from napari_polarmap.models.registry import list_models, load_classifier
from napari_polarmap.models.template import load_estimator
from napari_polarmap.pipeline.augmentation import to_grid
from napari_polarmap.pipeline.training_data import NONE, TrainingData, load_training_data

DOSES = 10 ** np.arange(4.0, 8.01, 0.5)
LEVELS = (0.5, 0.75, 0.9, 0.95)


@dataclass(frozen=True, eq=False)
class Conditions:
    """What the filters know of each row; a `TrainingData` has the same and more."""

    label: np.ndarray
    thickness_nm: np.ndarray
    tilt_mrad: np.ndarray
    convergence_mrad: np.ndarray
    amplitude: np.ndarray


def templates(model: PhysicalModel, data: TrainingData | Conditions, row: int) -> tuple[np.ndarray, int]:
    """Return the odd pattern of each direction in this specimen, shape (8, 2 modes), and the thickness used."""
    node = int(np.abs(model.thickness_nm - data.thickness_nm[row]).argmin())
    parameters = np.zeros((N_DIRECTIONS, 8))
    parameters[:, :2] = data.tilt_mrad[row] / TILT_SCALE_MRAD
    parameters[:, 4:] = data.amplitude[row] * polarization_axes(ANGLES_DEG)
    c = np.full(N_DIRECTIONS, (data.convergence_mrad[row] - CONVERGENCE_MRAD) / CONVERGENCE_SCALE_MRAD)
    return (odd_terms(parameters, c) @ model.odd_terms[node]).reshape(N_DIRECTIONS, -1), node


def filter_accuracy(
    model: PhysicalModel,
    data: TrainingData | Conditions,
    rows: np.ndarray,
    dose: float,
    *,
    disorder: bool,
    draws: int = 40,
) -> float:
    """Return how often a matched filter that knows all but the direction is right."""
    rng = np.random.default_rng(1)
    right = []
    for row in rows:
        patterns, node = templates(model, data, row)
        if disorder:
            axes = model.odd_axes[node]
            patterns = (patterns.reshape(N_DIRECTIONS, 2, -1) @ axes).reshape(N_DIRECTIONS, -1)
            variance = np.tile(model.odd_variance[node], 2) + 1 / dose
        else:
            variance = np.full(patterns.shape[1], 1 / dose)
        scaled = patterns / np.sqrt(variance)
        truth = data.label[row]
        seen = scaled[truth] + rng.standard_normal((draws, scaled.shape[1]))
        score = seen @ scaled.T - 0.5 * (scaled**2).sum(axis=1)
        right.append((score.argmax(axis=1) == truth).mean())
    return float(np.mean(right))


def classifier_accuracy(
    name: str, data: TrainingData, rows: np.ndarray, dose: float | None, *, draws: int, seed: int = 0
) -> float:
    """Return how often a classifier is right with this many electrons in the window."""
    classifier, rng, right = load_classifier(name), np.random.default_rng(seed), []
    exact = np.maximum(data.pooled[rows], 0)
    for _ in range(draws if dose else 1):
        counted = rng.poisson(exact * (dose / data.intensity_scale)).astype(np.float32) if dose else exact
        grid = to_grid(counted, data.mrad_per_px[rows], grid_mrad=classifier.info.grid_mrad).numpy()
        answer = classifier.predict(grid, pooled=True, electrons=dose or np.inf)
        right.append((answer.probability.argmax(axis=1) == data.label[rows]).mean())
    return float(np.mean(right))


def dose_for(accuracy: np.ndarray, level: float, doses: np.ndarray = DOSES) -> float:
    """Return the electrons at which an accuracy is first reached, between the doses tried; NaN if never."""
    above = np.flatnonzero(accuracy >= level)
    if not len(above):
        return float("nan")
    i = int(above[0])
    if i == 0:
        return float(doses[0])
    share = (level - accuracy[i - 1]) / (accuracy[i] - accuracy[i - 1])
    return float(10 ** np.interp(share, [0, 1], np.log10(doses[i - 1 : i + 1])))


def dose_ratio(accuracy: np.ndarray, other: np.ndarray, level: float) -> float | None:
    """Return how many times the electrons of `other` are needed for a level; None where it is never reached."""
    ratio = dose_for(accuracy, level) / dose_for(other, level)
    return round(ratio, 2) if np.isfinite(ratio) else None


def draw(curves: dict[str, np.ndarray], ceilings: dict[str, float], out: Path) -> None:
    figure = Figure(figsize=(7.2, 4.6), dpi=130, layout="constrained")
    axes = figure.subplots()
    for name, accuracy in curves.items():
        ideal = name.startswith("matched")
        (line,) = axes.semilogx(DOSES, 100 * accuracy, "--" if ideal else "o-", ms=4, label=name)
        if name in ceilings:
            axes.plot(DOSES[-1] * 2, 100 * ceilings[name], "D", ms=5, color=line.get_color(), clip_on=False)
    axes.axhline(12.5, color="0.7", lw=1)
    axes.text(DOSES[0], 13.5, "chance", color="0.5", fontsize=8)
    axes.set(
        xlabel="electrons in the window", ylabel="direction right [%]", ylim=(0, 101), xlim=(DOSES[0], DOSES[-1] * 2.2)
    )
    axes.legend(
        framealpha=1,
        edgecolor="none",
        fontsize=8,
        loc="lower right",
        title="diamonds: exact intensities",
        title_fontsize=8,
    )
    axes.grid(alpha=0.25)
    FigureCanvasAgg(figure).print_png(str(out))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="training-like set with specimens that no model has seen")
    parser.add_argument("--out", type=Path, default=Path("noise-limit.png"))
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--models", nargs="*", help="names; default: every packaged one")
    parser.add_argument("--tilt-below", type=float, default=np.inf, metavar="MRAD", help="of the specimens asked")
    arguments = parser.parse_args()
    data, model = load_training_data([arguments.data], singles=1), load_estimator().model
    rows = np.flatnonzero((data.label < NONE) & (np.hypot(*data.tilt_mrad.T) < arguments.tilt_below))
    curves = {
        "matched filter, specimen known (bound)": np.array(
            [filter_accuracy(model, data, rows, dose, disorder=False) for dose in DOSES]
        ),
        "matched filter, specimens scatter": np.array(
            [filter_accuracy(model, data, rows, dose, disorder=True) for dose in DOSES]
        ),
    }
    bound, scattered = (curves[name] for name in curves)
    ceilings = {}
    for name in arguments.models or [info.name for info in list_models()]:
        curves[name] = np.array([classifier_accuracy(name, data, rows, dose, draws=arguments.draws) for dose in DOSES])
        ceilings[name] = classifier_accuracy(name, data, rows, None, draws=1)
    draw(curves, ceilings, arguments.out)
    report = {
        "averages": len(rows),
        "specimens": len(np.unique(data.specimen[rows])),
        "doses": [f"{dose:.3g}" for dose in DOSES],
        "accuracy": {name: np.round(values, 4).tolist() for name, values in curves.items()},
        "accuracy_exact": {name: round(value, 4) for name, value in ceilings.items()},
        "dose_factor": {
            name: {
                f"{level:.0%}": {
                    "to the bound": dose_ratio(curves[name], bound, level),
                    "to the filter with scatter": dose_ratio(curves[name], scattered, level),
                }
                for level in LEVELS
            }
            for name in ceilings
        },
        "electrons_for_99": {
            name: told for name, curve in curves.items() if np.isfinite(told := dose_for(curve, 0.99))
        },
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
