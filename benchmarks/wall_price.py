"""What a domain wall should cost: right, undefined and wrong positions of maps at several prices.

Run as ``python benchmarks/wall_price.py SCAN.h5:DOSE ... [--prices 1.8 3 4.5] [--draws 2]``. Scans hold exact
intensities and labels; they are recorded with DOSE electrons per pattern. Positions more than one cell from a
wall count. Prints a Markdown table.
"""

from __future__ import annotations

import argparse

import numpy as np

from napari_polarmap import load_classifier, map_polarization, open_scan
from napari_polarmap.core import segments
from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.directions import UNDEFINED
from napari_polarmap.core.metrics import wall_distance
from napari_polarmap.io.hdf5 import read_truth
from napari_polarmap.models.registry import default_model

CELL_A = 4.0


def shares(path: str, dose: float, draws: int) -> list[float]:
    """Return the shares of right, undefined and wrong positions, the mean over draws of noise."""
    label, _ = read_truth(path)
    classifier, found = load_classifier(default_model()), []
    for seed in range(draws):
        with open_scan(path) as scan:
            exact = np.maximum(scan.read(slice(None), slice(None)), 0)
            counts = np.random.default_rng(seed).poisson(exact * dose).astype(np.uint16)
            noisy = Scan4D(counts, scan.calibration, name=scan.name)
        far = (label != UNDEFINED) & (wall_distance(label) * (scan.calibration.scan_step_A or 1) > CELL_A)
        domain = map_polarization(noisy, classifier).domain[far]
        right, none = (domain == label[far]).mean(), (domain == UNDEFINED).mean()
        found.append([right, none, abs(1 - right - none)])
    return [float(share) for share in np.mean(found, axis=0)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", nargs="+", metavar="SCAN.h5:DOSE")
    parser.add_argument("--prices", type=float, nargs="+", default=[1.8, 3.0, 4.5])
    parser.add_argument("--draws", type=int, default=2)
    args = parser.parse_args()
    print("| scan | electrons per pattern | " + " | ".join(f"price {price:g}" for price in args.prices) + " |")
    print("|---" * (2 + len(args.prices)) + "|")
    for scan in args.scans:
        path, _, dose = scan.rpartition(":")
        cells = []
        for price in args.prices:
            segments._WALL = price  # type: ignore[misc]
            cells.append(", ".join(f"{100 * share:.0f}" for share in shares(path, float(dose), args.draws)) + " %")
        print(f"| {path.rsplit('/', 1)[-1].removesuffix('.h5')} | {dose} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
