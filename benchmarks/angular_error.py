"""How well the physical estimator tells angle, thickness and tilt on scans with known truth.

``python benchmarks/angular_error.py E1.h5 E2.h5 ...``

One line per file and window size: median and 95 % of the angle between estimate and truth
over all windows that lie in one domain, the errors stated, and the thickness.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import h5py
import numpy as np

from napari_polarmap.core.directions import ANGLES_DEG, UNDEFINED, angle_between_deg
from napari_polarmap.core.metrics import wall_distance
from napari_polarmap.core.pooling import centre_axes, pooling_matrix
from napari_polarmap.io import open_scan
from napari_polarmap.io.hdf5 import read_truth
from napari_polarmap.models.registry import load_classifier
from napari_polarmap.models.template import load_estimator
from napari_polarmap.pipeline.frame import Frame
from napari_polarmap.pipeline.inspection import inspect_scan
from napari_polarmap.pipeline.parameters import MapParams
from napari_polarmap.pipeline.windows import plan_windows

HEAD = "file cells electrons windows | off median 95 % | stated counting all | thickness (truth) | misfit | tilt | P"


def score(path: Path, most: int = 300) -> None:
    """Print the lines of one scan."""
    estimator, params = load_estimator(), MapParams()
    label, defect = read_truth(path)
    with h5py.File(path, "r") as file:
        thickness = file["data"].attrs.get("thickness_nm", np.nan)
    with open_scan(path) as scan:
        inspection = inspect_scan(scan)
        frame = Frame(scan, load_classifier("template-niobate"), inspection, params)
        plan, _ = plan_windows(scan, inspection, params)
        patterns = frame.patterns(*(slice(0, n) for n in scan.scan_shape))
        per_pattern = float(np.median(inspection.statistics.total))
        crystal_deg = frame.crystal_angle_deg
        counted = frame.counted
    if label is None or plan is None:
        print(f"{path.name}: no truth, or no window fits")
        return
    clear = wall_distance(label)
    if defect is not None:
        clear = np.where(defect, 0, clear)
    matrix = pooling_matrix(label.shape, *plan.grid.axes, plan.base.weights)
    averages = (matrix @ patterns.reshape(len(patterns), -1)).reshape(*plan.grid.shape, -1)
    for pool in plan.pools:
        rows, columns = centre_axes(plan.grid, pool)
        half_px = max(plan.width_px, pool.cells * plan.width_px) / 2
        places = [
            (y, x)
            for y in rows
            for x in columns
            if clear[plan.grid.axes[0][y], plan.grid.axes[1][x]] > half_px
            and label[plan.grid.axes[0][y], plan.grid.axes[1][x]] != UNDEFINED
        ]
        places = places[:: max(1, len(places) // most)]
        if not places:
            continue
        (half_y, half_x), edge = pool.half, frame.classifier.info.grid_px
        pooled = np.stack(
            [
                np.tensordot(pool.weights, averages[y - half_y : y + half_y + 1, x - half_x : x + half_x + 1], 2)
                for y, x in places
            ]
        ).reshape(-1, edge, edge)
        electrons = pool.effective_positions * per_pattern if counted else np.inf
        found = estimator.estimate(np.maximum(pooled, 0), electrons=electrons)
        truth = np.array([ANGLES_DEG[label[plan.grid.axes[0][y], plan.grid.axes[1][x]]] for y, x in places])
        # Labels count in steps of 45 degrees from the crystal axis nearest to the scan's columns.
        off = angle_between_deg(found.angle_deg + 45 * round(crystal_deg / 45), truth)
        print(
            f"{path.stem:<12}{pool.cells:3.0f} {electrons:9.2g} {len(places):6d} | {np.median(off):6.1f} "
            f"{np.percentile(off, 95):6.1f} | {np.median(found.angle_error_deg):6.1f} "
            f"{np.median(found.angle_spread_deg):6.1f} | {np.median(found.thickness_nm):5.1f} "
            f"+- {np.median(found.thickness_error_nm):.1f} ({thickness}) | {np.median(found.misfit):.1f}"
            f" | {np.hypot(*np.median(found.tilt_mrad, axis=0)):.2f} mrad | {np.median(found.amplitude):.2f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", type=Path, nargs="+")
    print(HEAD)
    for path in parser.parse_args().scans:
        score(path)


if __name__ == "__main__":
    main()
