"""Are probabilities right where specimens are recorded as E1 to E5 are: many specimens in place of the one of each set.

``python benchmarks/experimental.py holdout.h5 [--models NAME ...]``; with the templates also the estimator's angle

Every held-out average over the cell is blurred, displaced, multiplied by the gain of the camera and counted as
``sets/E?.toml`` say, with the electrons of windows of 1, 2, 4 and 6 cells; then its disk is sought, it is brought to
the classifier's grid and classified, as in a map. A window's own walls and the lattice are no part of this.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.calibration import Calibration
from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.directions import ANGLES_DEG
from napari_polarmap.core.metrics import (
    angular_error,
    calibration_error_by_chance,
    expected_calibration_error,
    set_coverage,
)
from napari_polarmap.core.symmetry import OPERATIONS
from napari_polarmap.models.registry import Classifier, list_models, load_classifier
from napari_polarmap.models.template import load_estimator
from napari_polarmap.pipeline.frame import Frame
from napari_polarmap.pipeline.inspection import inspect_scan
from napari_polarmap.pipeline.parameters import MapParams
from napari_polarmap.pipeline.training_data import NONE, TrainingData, load_training_data, turn_labels
from napari_polarmap.simulation.config import SimulationConfig, load_config
from napari_polarmap.simulation.detector import Recorder, draw_camera

CELLS = (1, 2, 4, 6)
SETS = Path(__file__).parent / "sets"
HEAD = (
    "| recorded as | classifier | right | calibration error | of honest probabilities, 95 % below | sets at 90 % that "
    "hold the truth |\n|---|---|---|---|---|---|"
)


class Recorded(NamedTuple):
    """Patterns on the grid, shape (n, edge, edge), their classes, rows of the data, electrons and windows."""

    patterns: NDArray[np.float32]
    label: NDArray[np.int64]
    row: NDArray[np.int64]
    electrons: NDArray[np.float64]
    cells: NDArray[np.int64]


def record(config: SimulationConfig, data: TrainingData, classifier: Classifier) -> Recorded:
    """Record the polarised specimens as one set is, each turned by an operation of the square."""
    rng = np.random.default_rng(config.seed)
    camera = replace(draw_camera(config, rng), source_A=0.0)  # over whole cells the size of the source averages out
    lattice_A, step_A = config.specimen.lattice_A.draw(rng), config.scene.step_A.draw(rng)
    parts = []
    for specimen in np.unique(data.specimen[data.label < NONE]):
        rows = np.flatnonzero(data.specimen == specimen)
        fractions = data.pooled[rows][None] / data.intensity_scale
        sampling = float(data.mrad_per_px[rows[0]])
        counts = []
        for cells in CELLS:
            dose = camera.dose_electrons * (cells * lattice_A / step_A) ** 2
            recorder = Recorder(replace(camera, dose_electrons=dose), mrad_per_px=sampling, step_A=step_A, rng=rng)
            counts.append(recorder.record(fractions)[0])
        scan = Scan4D(np.concatenate(counts)[None], Calibration(mrad_per_px=camera.mrad_per_px))
        frame = Frame(scan, classifier, inspect_scan(scan), MapParams())
        grid = frame.patterns(slice(0, 1), slice(0, scan.scan_shape[1]))
        operation = OPERATIONS[rng.integers(len(OPERATIONS))]
        label = np.tile(turn_labels(operation, data.label[rows].copy()), len(CELLS))
        electrons = frame.electrons(grid)
        every = np.tile(rows, len(CELLS))
        parts.append(Recorded(operation.images(grid), label, every, electrons, np.repeat(CELLS, len(rows))))
    return Recorded(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def score(classifier: Classifier, recorded: Recorded) -> tuple[NDArray[np.float64], NDArray[np.uint16]]:
    """Return probabilities and prediction sets."""
    probability, sets = [], []
    for first in range(0, len(recorded.label), 256):
        some = slice(first, first + 256)
        answer = classifier.predict(recorded.patterns[some], pooled=True, electrons=recorded.electrons[some])
        probability.append(answer.probability)
        sets.append(classifier.prediction_sets(answer, pooled=True, level=0.9))
    return np.concatenate(probability), np.concatenate(sets)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+", help="held-out specimens")
    parser.add_argument("--models", nargs="+", default=[info.name for info in list_models()])
    args = parser.parse_args()
    data = load_training_data(args.data)
    classifiers = [load_classifier(name) for name in args.models]
    recorded = {path.stem: record(load_config(path), data, classifiers[0]) for path in sorted(SETS.glob("E?.toml"))}
    print(HEAD)
    for classifier in classifiers:
        said = {name: score(classifier, each) for name, each in recorded.items()}
        for names in [[name] for name in recorded] + [list(recorded)]:
            label = np.concatenate([recorded[name].label for name in names])
            row = np.concatenate([recorded[name].row for name in names])
            probability, sets = (np.concatenate([said[name][k] for name in names]) for k in (0, 1))
            print(
                f"| {names[0] if len(names) == 1 else 'all'} | `{classifier.info.name}` | "
                f"{100 * (probability.argmax(axis=1) == label).mean():.1f} % | "
                f"{100 * expected_calibration_error(probability, label):.1f} % | "
                f"{100 * calibration_error_by_chance(probability, row)[1]:.1f} % | "
                f"{100 * set_coverage(sets, label):.1f} % |",
                flush=True,
            )
    if any(classifier.info.network == "template" for classifier in classifiers):
        angles(recorded)


def angles(recorded: dict[str, Recorded]) -> None:
    """Print how far the angle of the physical estimator is off, by the width of the window."""
    print(f"\n| recorded as | {' | '.join(f'{cells} cells' for cells in CELLS)} |\n|---|{'---|' * len(CELLS)}")
    for name, each in recorded.items():
        found = load_estimator().estimate(each.patterns, each.electrons)
        off = angular_error(found.angle_deg, ANGLES_DEG[each.label])
        medians = [f"{np.median(off[each.cells == cells]):.1f}°" for cells in CELLS]
        print(f"| {name} | {' | '.join(medians)} |", flush=True)


if __name__ == "__main__":
    main()
