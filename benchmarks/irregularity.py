"""How well defects are found: ``python benchmarks/irregularity.py SCENE.h5 ... --out DIR``.

For every scene with ``/defect`` (and ``/label``) it takes our score of irregularity and the simpler ones, and
writes ``irregularity.md`` and ``irregularity.csv`` (area under the ROC curve per scene and method, share of the
regular positions that is flagged, distance of the found from the true place in unit cells, kind of the strongest
region of the map) and one figure per scene (bright field, truth, score, marked positions). Scenes without a defect
show what is flagged wrongly.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_polarmap import load_classifier, map_polarization, open_scan
from napari_polarmap.core.irregularity import Irregularity, irregularity
from napari_polarmap.core.lattice import Lattice, lattice_from_step
from napari_polarmap.core.metrics import roc_auc, wall_distance
from napari_polarmap.core.regions import find_regions
from napari_polarmap.io.error_figure import irregularity_figure
from napari_polarmap.io.hdf5 import read_truth
from napari_polarmap.models.registry import Classifier, default_model
from napari_polarmap.pipeline.anomaly import OURS, anomalies
from napari_polarmap.pipeline.review import regions_of

SPANS = 0.8
"""Along a direction in which a defect is longer than this share of the scan, it has no place."""


def distance_cells(found: Irregularity, truth: NDArray[np.bool_], lattice: Lattice) -> float:
    """Return how far the strongest region lies from the defect, in unit cells.

    Where nothing is marked, the strongest region is that of the highest scores, as many as the defect has.
    """
    mask = found.irregular if found.irregular.any() else found.score >= np.nanquantile(found.score, 1 - truth.mean())
    regions, _ = find_regions(mask, found.score, np.zeros(truth.shape, np.uint8), lattice=lattice)
    if not regions or not lattice.known:
        return float("nan")
    place = np.argwhere(truth)
    local = np.ptp(place, axis=0) + 1 < SPANS * np.array(truth.shape)
    away = (np.array(regions[0].centre_px) - place.mean(axis=0)) * local
    return float(np.linalg.norm(away) / lattice.period_px)


def score_scene(path: Path, classifier: Classifier, folder: Path) -> dict[str, float | str]:
    """Return the row of one scene and write its figure."""
    label, truth = read_truth(path)
    if truth is None:
        raise SystemExit(f"{path}: holds no /defect; nothing to compare with")
    with open_scan(path) as scan:
        answer = anomalies(scan, classifier)
        regions, _ = regions_of(map_polarization(scan, classifier))
    found, lattice = answer.found, answer.lattice
    cell = lattice.period_px if lattice.known else 0.0
    away = ndimage.distance_transform_edt(~truth) > cell if truth.any() else np.ones(truth.shape, bool)
    if label is not None:
        away &= ~(wall_distance(label) <= cell)
    row: dict[str, float | str] = {"scene": path.stem}
    row |= {name: roc_auc(score, truth) for name, score in answer.scores.items()}
    row["flagged regular"] = float(found.irregular[away].mean()) if away.any() else float("nan")
    row["found"] = float(found.irregular[truth].mean()) if truth.any() else float("nan")
    row["distance [cells]"] = distance_cells(found, truth, lattice) if truth.any() else float("nan")
    row["kind"] = regions[0].kind.value if regions else "none"
    irregularity_figure(
        folder / f"{path.stem}.png",
        image=answer.bright,
        truth=truth,
        score=found.score,
        mask=found.irregular,
        lattice=lattice,
        title=path.stem + (f": area under ROC {row[OURS]:.3f}" if truth.any() else ": no defect"),
    )
    return row


def mean_row(rows: Sequence[dict[str, float | str]], name: str) -> dict[str, float | str]:
    """Return the averages over rows."""
    numbers = [key for key, value in rows[0].items() if not isinstance(value, str)]
    values = {key: np.array([float(row[key]) for row in rows]) for key in numbers}
    means = {
        key: float(np.nanmean(value)) if np.isfinite(value).any() else float("nan") for key, value in values.items()
    }
    return {"scene": name} | means | {"kind": ""}


def as_markdown(rows: Sequence[dict[str, float | str]]) -> str:
    """Return a table."""
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    for row in rows:
        cells = [
            value if isinstance(value, str) else "" if np.isnan(value) else f"{value:.3f}" for value in row.values()
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def time_of_large_map(edge: int = 512) -> float:
    """Return the processor time of a map of this many positions along an edge [s]."""
    lattice = lattice_from_step(0.5, 4.0)
    phase = lattice.coordinates((edge, edge))
    rng = np.random.default_rng(0)
    waves = np.stack([np.cos(2 * np.pi * (phase @ rng.integers(-2, 3, 2))) for _ in range(16)], axis=-1)
    maps = (waves + rng.standard_normal(waves.shape)).astype(np.float32)
    start = time.process_time()
    irregularity(maps, lattice, embedding=maps)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+", metavar="SCENE.h5")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--model", help="classifier (default: the recommended one)")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    classifier = load_classifier(args.model or default_model())
    rows = []
    for path in args.files:
        rows.append(score_scene(path, classifier, args.out))
        print(as_markdown(rows[-1:]).splitlines()[-1], flush=True)
    groups = {
        "mean, clean": [r for r in rows if np.isfinite(float(r[OURS])) and "noisy" not in str(r["scene"])],
        "mean, noisy": [r for r in rows if np.isfinite(float(r[OURS])) and "noisy" in str(r["scene"])],
        "mean, all": [r for r in rows if np.isfinite(float(r[OURS]))],
        "mean, no defect": [r for r in rows if not np.isfinite(float(r[OURS]))],
    }
    table = rows + [mean_row(group, name) for name, group in groups.items() if group]
    text = as_markdown(table)
    (args.out / "irregularity.md").write_text(text, encoding="utf-8")
    with (args.out / "irregularity.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    print("\n" + text)
    print(f"irregularity of 512 x 512 positions with 16 features: {time_of_large_map():.1f} s of one processor")


if __name__ == "__main__":
    main()
