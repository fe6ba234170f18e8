"""How to choose windows: ended at walls or whole, by neighbourhood or alone, or cells whose evidence is added.

Run as ``python benchmarks/pooling.py SCAN.h5 ... [--doses 100 300 1000 4000] [--draws 2] [--model NAME]``.
Scans need labels; ones of exact intensities are recorded at each dose, others are taken as they are.
Prints a Markdown table.

Designs compared, all from the same classifier and the same averages over one cell:

segments
    windows are confined to the segment of their position; the smallest window that is 0.95 sure at half of the
    positions within four cells, else the surest; then the mean field of a Potts model (what the package does).
whole
    the same with windows that reach over walls (what it did before).
whole, alone
    as "whole", but each position asks for the smallest window that is sure there.
cells
    windows of one cell only; a Potts model (belief propagation) that adds up their log-probabilities.

Columns: share of right positions farther than one cell from a wall and nearer, share of undefined ones, and
the calibration error (10 bins) of the confidence that the design states, all farther than a cell.
"""

from __future__ import annotations

import argparse
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_polarmap import load_classifier, open_scan
from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.directions import N_DIRECTIONS, UNDEFINED
from napari_polarmap.core.domains import domains, log_softmax, smallest_sure
from napari_polarmap.core.metrics import wall_distance
from napari_polarmap.io.hdf5 import read_truth
from napari_polarmap.models.registry import Classifier, default_model
from napari_polarmap.pipeline.evidence import Evidence, classify
from napari_polarmap.pipeline.frame import Frame
from napari_polarmap.pipeline.inspection import inspect_scan
from napari_polarmap.pipeline.parameters import MapParams
from napari_polarmap.pipeline.windows import WindowPlan, plan_windows

Answer = tuple[NDArray[np.uint8], NDArray[np.floating]]
COUPLING = 2.0
"""Cost of a wall between two half cells in log-odds; 1 to 4 were tried on the validation scan."""


def add_up(evidence: NDArray[np.float32], plan: WindowPlan, coupling: float = COUPLING, rounds: int = 30) -> Answer:
    """Let half cells pass messages; each cell's evidence counts once although windows overlap."""
    rows, columns = plan.grid.axes
    overlap = plan.width_px**2 / (plan.grid.step[0] * plan.grid.step[1])
    local = evidence[np.ix_(rows, columns)] / overlap
    stay = np.exp(-coupling)

    def message(belief: NDArray[np.floating]) -> NDArray[np.float64]:
        weight = np.exp(belief - belief.max(axis=-1, keepdims=True))
        passed = np.log(weight * (1 - stay) + stay * weight.sum(axis=-1, keepdims=True))
        return np.asarray(passed - passed.max(axis=-1, keepdims=True))

    inbox = np.zeros((4, *local.shape))  # from above, below, left, right
    for _ in range(rounds):
        whole, new = local + inbox.sum(axis=0), np.zeros_like(inbox)
        new[0, 1:] = message(whole - inbox[1])[:-1]
        new[1, :-1] = message(whole - inbox[0])[1:]
        new[2, :, 1:] = message(whole - inbox[3])[:, :-1]
        new[3, :, :-1] = message(whole - inbox[2])[:, 1:]
        inbox = (inbox + new) / 2
    belief = log_softmax(local + inbox.sum(axis=0))
    places = [
        np.interp(np.arange(n), at, np.arange(len(at))) for n, at in zip(evidence.shape, (rows, columns), strict=False)
    ]
    at = np.stack(np.meshgrid(*places, indexing="ij"))
    whole = np.stack([ndimage.map_coordinates(part, at, order=1) for part in np.moveaxis(belief, -1, 0)], axis=-1)
    probability = np.exp(log_softmax(whole))
    winner, sure = probability.argmax(axis=-1), probability.max(axis=-1)
    told = (winner < N_DIRECTIONS) & (sure >= 0.5)
    return np.where(told, winner, UNDEFINED).astype(np.uint8), sure


def designs(confined: Evidence, whole: Evidence, plan: WindowPlan) -> dict[str, Answer]:
    """Return the domains and confidence of each design."""
    found = {}
    for name, evidence, around_px in (
        ("segments", confined, plan.width_px),
        ("whole", whole, plan.width_px),
        ("whole, alone", whole, 0.0),
    ):
        best, _ = smallest_sure(evidence.pooled, around_px)
        sure = np.exp(best[..., :N_DIRECTIONS].max(axis=-1))
        found[name] = domains(best, plan.width_px)[0], sure
    return {**found, "cells": add_up(whole.pooled[0], plan)}


def scores(answer: Answer, label: NDArray[np.uint8], width_px: float) -> list[float]:
    """Return right far from walls, right near them, undefined, calibration error."""
    domain, confidence = answer
    distance = wall_distance(label)
    known = label != UNDEFINED
    far, near = known & (distance > width_px), known & (distance <= width_px)
    right = domain == label
    told = far & (domain != UNDEFINED)
    index = np.minimum((confidence[told] * 10).astype(int), 9)
    gap = np.bincount(index, right[told] - confidence[told], minlength=10)
    return [
        float(right[far].mean()),
        float(right[near].mean()) if near.any() else float("nan"),
        float((domain == UNDEFINED)[far].mean()),
        float(np.abs(gap).sum() / max(1, told.sum())),
    ]


def finish(steps: Generator[Any, None, Evidence]) -> Evidence:
    """Run a generator to its end and return its value."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]


def compare(scan: Scan4D, label: NDArray[np.uint8], classifier: Classifier) -> dict[str, list[float]]:
    """Return the scores of each design on one scan."""
    inspection, params = inspect_scan(scan), MapParams()
    plan, _ = plan_windows(scan, inspection, params)
    if plan is None:
        raise SystemExit(f"{scan.name}: smaller than one unit cell")
    frame = Frame(scan, classifier, inspection, params)
    confined = finish(classify(frame, plan, singles=False))
    frame.estimator = None
    whole = finish(classify(frame, plan, singles=False))
    return {name: scores(answer, label, plan.width_px) for name, answer in designs(confined, whole, plan).items()}


def recorded(scan: Scan4D, doses: list[float], draws: int) -> Generator[tuple[str, Scan4D], None, None]:
    """Yield the scan as it is or, if its intensities are exact, recorded at each dose."""
    if scan.dtype.kind != "f":
        yield "as recorded", scan
        return
    exact = np.maximum(scan.read(slice(None), slice(None)), 0)
    for dose in doses:
        for draw in range(draws):
            counts = np.random.default_rng(draw).poisson(exact * dose).astype(np.uint16)
            yield f"{dose:g}", Scan4D(counts, scan.calibration, name=scan.name)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--doses", type=float, nargs="+", default=[100, 300, 1000, 4000])
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--model", default=default_model())
    args = parser.parse_args()
    classifier = load_classifier(args.model)
    print("| scan | electrons per pattern | design | right, far from walls | near | undefined | calibration error |")
    print("|---|---|---|---|---|---|---|")
    for path in args.files:
        label, _ = read_truth(path)
        if label is None:
            raise SystemExit(f"{path}: holds no /label")
        found: dict[tuple[str, str], list[list[float]]] = {}
        with open_scan(path) as scan:
            for dose, shot in recorded(scan, args.doses, args.draws):
                for name, values in compare(shot, label, classifier).items():
                    found.setdefault((dose, name), []).append(values)
        for (dose, name), values in found.items():
            far, near, undefined, gap = np.mean(values, axis=0)
            print(
                f"| {path.stem} | {dose} | {name} | {far:.1%} | {near:.1%} | {undefined:.1%} | {gap:.1%} |", flush=True
            )


if __name__ == "__main__":
    main()
