"""`make bench-paper`: the published comparison of ten models, done again, and the packaged models beside it.

Run as ``python benchmarks/paper.py [--quick] [--sets DIR] [--out DIR] [--report DIR] [--only TEXT]``.

Each model of Martinc et al., Sci. Rep. 16, 27448 (2026), is trained on single patterns at one thickness, 20 nm, with
and without the published augmentation and filter, and asked for the directions of the sets S1 to S7 and E1 to E5.
Every trained model is one JSON file below `--out`; those that are there are not trained again, so that a run goes on
where it was stopped. Sets that are missing below `--sets` are simulated first, which takes an hour or two.

The quick form trains ResNet-18 and VGG-11 in place of ResNet-50 and VGG-16, all at half the pixels, on a quarter of
the positions, in 12 (CNN) or 2 epochs of batches of 32 at a higher rate, with one seed; plain, and for
classification with both treatments.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from paper_report import DOSES, OFFSETS_PX, POOLED_DOSES, WIDE, write_report
from paper_sets import (
    EXPERIMENTAL,
    SAME_THICKNESS,
    SYNTHETIC,
    Patterns,
    Protocol,
    ProtocolSource,
    Scan,
    Specimens,
    made,
    published_protocol,
    read_patterns_of,
    turned,
)

from napari_polarmap import open_scan
from napari_polarmap.core.directions import LABELS
from napari_polarmap.core.metrics import wall_distance
from napari_polarmap.core.resampling import resample_patterns
from napari_polarmap.io.hdf5 import read_truth
from napari_polarmap.models.network import DirectionNetwork, quickened
from napari_polarmap.models.registry import BUNDLED, list_models, load_classifier
from napari_polarmap.pipeline.evidence import classify
from napari_polarmap.pipeline.fitting import FitOptions, fit
from napari_polarmap.pipeline.frame import Frame
from napari_polarmap.pipeline.inspection import inspect_scan
from napari_polarmap.pipeline.parameters import MapParams
from napari_polarmap.pipeline.published import PublishedAugmentation, augment_as_published
from napari_polarmap.pipeline.windows import plan_windows

Answer = Callable[[Patterns], NDArray[np.int64]]
OBJECTIVES = ("classification", "regression", "prototype")
TREATMENTS = {
    "plain": (0, False),
    "augmented": (1, False),
    "filtered": (0, True),
    "both": (1, True),
}
SEEDS = (888, 1212, 3000, 5000, 7000)


@dataclass(frozen=True)
class Scope:
    """What a form of the benchmark trains and asks."""

    networks: tuple[str, ...]
    treatments: dict[str, tuple[str, ...]]
    seeds: tuple[int, ...]
    epochs: dict[str, int]
    learning_rate: dict[str, float]
    schedule: dict[str, str]
    binning: int
    batch: int
    positions: int
    variant: str


FULL = Scope(
    networks=("published_cnn", "resnet50", "vgg16"),
    treatments=dict.fromkeys(TREATMENTS, OBJECTIVES),
    seeds=SEEDS,
    epochs={},
    learning_rate={},
    schedule={},
    binning=1,
    batch=128,
    positions=2000,
    variant="",
)
QUICK = Scope(
    networks=("published_cnn", "resnet18", "vgg11"),
    treatments={"plain": OBJECTIVES, "both": OBJECTIVES[:1]},
    seeds=SEEDS[:1],
    epochs={"published_cnn": 12, "vgg11": 2, "resnet18": 2},
    learning_rate={"published_cnn": 3e-4, "vgg11": 1e-3, "resnet18": 1e-3},
    schedule={"vgg11": "one-cycle", "resnet18": "one-cycle"},
    binning=2,
    batch=32,
    positions=100,
    variant="quick",
)


def _trained(network: str, objective: str, treatment: str, seed: int, protocol: Protocol, scope: Scope) -> Answer:
    if network == "pca_knn":
        return train_knn(treatment, seed, protocol)
    return train_network(network, objective, treatment, seed, protocol, scope)


def train_network(network: str, objective: str, treatment: str, seed: int, protocol: Protocol, scope: Scope) -> Answer:
    """Train as published, in the loop that `polarmap train` uses."""
    used, filtered = TREATMENTS[treatment]
    patterns, label = protocol.of(0)
    if filtered:
        patterns, label = (part[protocol.far[protocol.part == 0]] for part in (patterns, label))
    source = ProtocolSource((patterns, label), protocol.of(1), PublishedAugmentation(used=used), scope.batch)
    torch.manual_seed(seed)
    model = DirectionNetwork(network, objective, channels=1, binning=scope.binning, nuisance=False)
    options = FitOptions(
        epochs=scope.epochs.get(network, 20),
        learning_rate=scope.learning_rate.get(network, 1e-4),
        schedule=scope.schedule.get(network, "constant"),
        optimizer="adam",
        patience=5,
        seed=seed,
    )
    for _ in fit(model, source, options):
        pass
    model = quickened(model)

    def answer(asked: Patterns) -> NDArray[np.int64]:
        with torch.inference_mode():
            parts = [model.head.logits(model(torch.from_numpy(part))[0])[:, :8] for part in _parts(asked)]
        return np.concatenate([part.argmax(dim=1).numpy() for part in parts])

    return answer


def train_knn(treatment: str, seed: int, protocol: Protocol) -> Answer:
    """Standardised pixels, 20 components, 5 neighbours; all fitted on the training part only."""
    from sklearn.decomposition import PCA
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    used, filtered = TREATMENTS[treatment]
    patterns, label = protocol.of(0)
    if filtered:
        patterns, label = (part[protocol.far[protocol.part == 0]] for part in (patterns, label))
    if used:
        options, rng = PublishedAugmentation(used=1), np.random.default_rng(seed)
        patterns = augment_as_published(torch.from_numpy(patterns), options, rng).numpy()
    model = make_pipeline(StandardScaler(), PCA(20, random_state=seed), KNeighborsClassifier(5))
    model.fit(_flat(patterns), label)
    return lambda asked: np.asarray(model.predict(_flat(asked)), np.int64)


def _flat(patterns: Patterns) -> Patterns:
    low, high = patterns.min(axis=(1, 2), keepdims=True), patterns.max(axis=(1, 2), keepdims=True)
    return ((patterns - low) / np.maximum(high - low, 1e-30)).reshape(len(patterns), -1)


def _parts(patterns: Patterns) -> list[Patterns]:
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
    data = specimens.data
    record["specimens"] = _by_specimen(answer(asked) == truth, row, data)
    return record


def _moved(patterns: Patterns, step_px: float) -> Patterns:
    middle = (np.asarray(patterns.shape[1:]) - 1) / 2
    azimuth = np.random.default_rng(0).uniform(0, 2 * np.pi, len(patterns))
    centers = middle + step_px * np.column_stack([np.sin(azimuth), np.cos(azimuth)])
    return resample_patterns(patterns, centers, mrad_per_px=1.0, size_px=patterns.shape[1], grid_mrad=1.0)


def _counted(patterns: Patterns, electrons: float) -> Patterns:
    total = patterns.sum(axis=(1, 2), keepdims=True)
    return np.random.default_rng(0).poisson(patterns / total * electrons).astype(np.float32)


def _by_specimen(right: NDArray[np.bool_], row: NDArray[np.int64], data: Any) -> dict[str, list[float]]:
    return {
        "right": right.astype(int).tolist(),
        "thickness_nm": data.thickness_nm[row].round(1).tolist(),
        "tilt_mrad": np.hypot(*data.tilt_mrad[row].T).round(2).tolist(),
    }


def ask_packaged(name: str, paths: dict[str, Path], specimens: Specimens, singles: Specimens) -> dict[str, Any]:
    """Return the same of a packaged classifier, of averages over cells."""
    classifier = load_classifier(name)
    record: dict[str, Any] = {"title": classifier.info.title, "sha256": classifier.info.sha256, "sets": {}}
    for key, path in paths.items():
        record["sets"][key] = _ask_scan(classifier, path)

    def pooled(asked: Patterns, electrons: float | None = None) -> NDArray[np.int64]:
        said = [classifier.predict(part, pooled=True, electrons=electrons).probability for part in _parts(asked)]
        return np.concatenate(said).argmax(axis=1)

    record["offset"], record["dose"] = [], []
    for step in OFFSETS_PX:
        asked, truth, row = specimens.recorded(offset_px=step)
        record["offset"].append(round(float((pooled(asked) == truth).mean()), 4))
        if step == 0:
            said = pooled(asked)
            record["specimens"] = _by_specimen(said == truth, row, specimens.data)
            record["specimens"]["opposite"] = ((said - truth) % 8 == 4).astype(int).tolist()
    for dose in POOLED_DOSES:
        asked, truth, row = specimens.recorded(dose=dose)
        right = pooled(asked, dose) == truth
        record["dose"].append(round(float(right.mean()), 4))
        still = np.hypot(*specimens.data.tilt_mrad[row].T) < 0.5
        record.setdefault("dose_still", []).append(round(float(right[still].mean()), 4) if still.any() else None)
    asked, truth, _ = singles.recorded()
    single = np.concatenate([classifier.predict(part, pooled=False).probability for part in _parts(asked)])
    record["single"] = round(float((single.argmax(axis=1) == truth).mean()), 4)
    return record


def _ask_scan(classifier: Any, path: Path) -> dict[str, Any]:
    """Return how often windows of one, two, three ... cells, and single patterns, are right."""
    label, _ = read_truth(path)
    with open_scan(path) as scan:
        inspection = inspect_scan(scan)
        params = MapParams(pool="auto")
        plan, _ = plan_windows(scan, inspection, params)
        frame = Frame(scan, classifier, inspection, params)
        wide = [pool for pool in plan.pools if pool.cells >= WIDE] or plan.pools[-1:]
        few = replace(plan, pools=plan.pools[:1] + [pool for pool in wide[:1] if pool is not plan.pools[0]])
        steps = classify(frame, few, singles=False)
        while True:
            try:
                next(steps)
            except StopIteration as done:
                evidence = done.value
                break
        rows = np.linspace(0, label.shape[0] - 1, min(8, label.shape[0])).astype(int)
        patterns = np.concatenate([frame.patterns(slice(r, r + 1), slice(0, label.shape[1])) for r in rows])
        counts = frame.electrons(patterns)
        answer = classifier.predict(patterns, pooled=False, electrons=counts)
    single = answer.probability.argmax(axis=1)
    # A classifier that finds all eight alike says nothing; its first class is no answer.
    tells = float(np.ptp(classifier.predictor.predict_logits(patterns[:8], pooled=False)[:, :8])) > 1e-6
    record: dict[str, Any] = {"single": round(float((single == label[rows].ravel()).mean()), 4) if tells else None}
    record["windows"] = {}
    for pool, said in zip(evidence.pools, evidence.pooled, strict=True):
        # Away from walls, so that a window holds one direction.
        clear = (label < 8) & (wall_distance(label) > max(1.0, pool.cells / 2) * plan.lattice.period_px)
        if not clear.any():
            continue
        off = (said[..., :8].argmax(axis=-1)[clear] - label[clear].astype(np.int64)) % 8
        record["windows"][f"{pool.cells:g}"] = {
            "accuracy": round(float((off == 0).mean()), 4),
            "neighbour": round(float(np.isin(off, (1, 7)).mean()), 4),
            "opposite": round(float((off == 4).mean()), 4),
        }
    return record


def keep(path: Path, make: Callable[[], dict[str, Any]]) -> None:
    """Make a record unless it is there; write it whole or not at all."""
    if path.exists():
        return
    start = time.perf_counter(), time.process_time()
    record = make()
    record["seconds"] = round(time.perf_counter() - start[0], 1)
    record["cpu_seconds"] = round(time.process_time() - start[1], 1)
    partial = path.with_suffix(f".{os.getpid()}.part")
    partial.write_text(json.dumps(record))
    partial.replace(path)
    print(f"{path.stem}: {record['seconds']:.0f} s", flush=True)


def _published(scope: Scope, sets: Path, paths: dict[str, Path], held: Path, out: Path, only: str) -> None:
    """Train and ask the published models that have no record yet."""
    todo = [
        {"network": network, "objective": objective, "treatment": treatment, "seed": seed}
        for treatment, objectives in scope.treatments.items()
        for seed in scope.seeds
        for objective, network in [("classification", "pca_knn"), *product(objectives, scope.networks)]
    ]
    files = {out / f"{'-'.join(str(value) for value in told.values())}.json": told for told in todo}
    files = {path: told for path, told in files.items() if only in path.stem and not path.exists()}
    if not files:
        return
    protocol = published_protocol([made(name, sets, scope.variant) for name in ("P1", "P2")])
    scans = {name: read_patterns_of(path, scope.positions) for name, path in paths.items()}
    singles = Specimens.load(held, pooled=False)
    for path, told in files.items():
        keep(
            path,
            lambda told=told: told | ask(_trained(**told, protocol=protocol, scope=scope), protocol, scans, singles),
        )


def _packaged(paths: dict[str, Path], held: Path, out: Path, only: str) -> None:
    """Ask the packaged classifiers that have no record yet."""
    names = [info.name for info in list_models() if info.path and info.path.parent == BUNDLED]
    files = {out / f"packaged-{name}.json": name for name in names}
    files = {path: name for path, name in files.items() if only in path.stem and not path.exists()}
    if not files:
        return
    singles, specimens = (Specimens.load(held, pooled=pooled) for pooled in (False, True))
    for path, name in files.items():
        keep(path, lambda name=name: ask_packaged(name, paths, specimens, singles))


def main() -> None:
    """Train, ask, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="smaller networks, fewer positions, epochs and seeds")
    parser.add_argument("--sets", type=Path, default=Path("build/bench-sets"), help="folder of simulated sets")
    parser.add_argument("--out", type=Path, help="folder for records (default: build/bench-paper or ...-quick)")
    parser.add_argument("--report", type=Path, help="folder for the table and the figures (default: that of --out)")
    parser.add_argument("--only", default="", help="part of a record's name; others are left as they are")
    args = parser.parse_args()
    scope = QUICK if args.quick else FULL
    out = args.out or Path("build/bench-paper-quick" if args.quick else "build/bench-paper")
    out.mkdir(parents=True, exist_ok=True)
    paths = {name: made(name, args.sets) for name in SYNTHETIC + EXPERIMENTAL}
    held = made("holdout", args.sets)
    _published(scope, args.sets, paths, held, out, args.only)
    _packaged(paths, held, out, args.only)
    write_report(out, args.report or out, quick=args.quick)


if __name__ == "__main__":
    main()
