"""How well the physical estimator tells angle and thickness on scans with known truth, in the windows of the map.

``python benchmarks/angular_error.py E1.h5 E2.h5 ... [--model NAME]``

One line per file, positions more than one unit cell from a wall: width of the window, electrons in it, median and
95 % of the angle between estimate and truth, the spread stated, the share of truths within it, and the thickness.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from napari_polarmap import load_classifier, map_polarization, open_scan
from napari_polarmap.core.directions import ANGLES_DEG, UNDEFINED
from napari_polarmap.core.metrics import angular_error, wall_distance
from napari_polarmap.io.hdf5 import read_truth, read_truth_maps
from napari_polarmap.models.registry import Classifier

HEAD = "| scan | cells | angle off, median | 95 % | stated spread | thickness (truth) |\n|---|---|---|---|---|---|"


def score(classifier: Classifier, path: Path) -> str:
    """Return the line of one scan."""
    label, defect = read_truth(path)
    truth = read_truth_maps(path)
    with open_scan(path) as scan:
        thickness_nm = truth.get("thickness_nm", scan.calibration.thickness_nm)
        result = map_polarization(scan, classifier)
    if label is None or result.estimated_angle_deg is None or result.window_cells is None:
        raise SystemExit(f"{path}: no truth, or no window fits")
    vectors = result.provenance["measured"]["lattice_vectors_px"]
    clear = (label != UNDEFINED) & (wall_distance(label) > np.linalg.norm(vectors, axis=1).mean())
    if defect is not None:
        clear &= ~defect
    exact = truth.get("angle_deg", ANGLES_DEG[np.minimum(label, 7)])
    off = angular_error(result.estimated_angle_deg, exact)[clear]
    return (
        f"| {path.stem} | {np.median(result.window_cells[clear]):g} | {np.median(off):.1f}° | "
        f"{np.percentile(off, 95):.1f}° | {np.median(result.estimated_angle_error_deg[clear]):.1f}° | "
        f"{np.median(result.thickness_nm[clear]):.1f} ({np.mean(thickness_nm):.1f}) nm |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", type=Path, nargs="+")
    parser.add_argument("--model", default="template-niobate")
    args = parser.parse_args()
    classifier = load_classifier(args.model)
    print(HEAD)
    for path in args.scans:
        print(score(classifier, path), flush=True)


if __name__ == "__main__":
    main()
