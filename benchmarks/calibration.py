"""How well the automatic calibration finds what is known of simulated scans.

python benchmarks/calibration.py v_rot15.h5 E1.h5 ... --out docs/calibration-table.md

Files are scans by ``polarmap simulate``; besides, the packaged sample is recorded again by detectors that are
turned, mirrored, distorted, drifting, blurred and broken.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_polarmap.core.calibration import Calibration
from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.metrics import wall_distance
from napari_polarmap.io import open_scan
from napari_polarmap.io.hdf5 import read_truth
from napari_polarmap.models.registry import default_model, load_classifier
from napari_polarmap.pipeline.inspection import inspect_scan
from napari_polarmap.pipeline.mapping import map_polarization
from napari_polarmap.pipeline.measuring import measure, measure_all
from napari_polarmap.pipeline.scan_calibration import Measured, apply
from napari_polarmap.plugin import sample_path
from napari_polarmap.simulation.rerecord import rerecord

BROKEN = ((18, 20), (20, 33), (30, 12), (40, 40), (25, 25), (33, 30))
VARIANTS: dict[str, dict[str, object]] = {
    "as it is": {},
    "turned by 15°": {"rotation_deg": 15.0},
    "turned by 90°": {"rotation_deg": 90.0},
    "turned by -160°": {"rotation_deg": -160.0},
    "mirrored, turned by 115°": {"rotation_deg": 115.0, "flip": True},
    "off by (5, -4) px": {"center_px": (33.8, 21.4)},
    "drifting": {"descan": (0.02, -0.01, 0.015, 0.03)},
    "2 % ellipse at -40°": {"ellipse_ratio": 1.02, "ellipse_angle_deg": -40.0},
    "5 % ellipse at 30°": {"ellipse_ratio": 1.05, "ellipse_angle_deg": 30.0},
    "10 % ellipse at 70°": {"ellipse_ratio": 1.10, "ellipse_angle_deg": 70.0},
    "6 broken pixels": {"bad_pixels": BROKEN},
}
WORSE: dict[str, dict[str, float]] = {
    "blurred by 1.5 px": {"blur_px": 1.5},
    "a tenth of the dose": {"dose_scale": 0.1},
    "a hundredth of the dose": {"dose_scale": 0.01},
}
HEAD = (
    "| scan | centre off [px] | radius off | descan off [px over the scan] | mrad/px off | step off | rotation off "
    "| stated | hand | side | axis off | ellipse off | bad pixels found/false |"
)


def recorded() -> Iterator[tuple[str, Scan4D, Calibration]]:
    """Yield the sample as other detectors show it, with the truth."""
    with open_scan(sample_path("two_domains")) as opened:
        data, center = opened.read(slice(0, 56), slice(0, 80)), inspect_scan(opened).disk.center_px
        known = opened.calibration
    bare = Calibration(convergence_mrad=known.convergence_mrad)
    for name, changes in [*VARIANTS.items(), *((name, {}) for name in WORSE)]:
        values = {"mrad_per_px": known.mrad_per_px, "scan_step_A": known.scan_step_A, "center_px": center} | changes
        truth = Calibration(**values)  # type: ignore[arg-type]
        yield name, Scan4D(rerecord(data, center, truth, hot=500.0, **WORSE.get(name, {})), bare), truth


def simulated(path: Path) -> tuple[str, Scan4D, Calibration]:
    """Return a simulated scan that knows its convergence angle only, and the truth."""
    scan = open_scan(path)
    center = None
    config = Path(__file__).parent / "sets" / f"{path.stem}.toml"
    if config.is_file():
        detector = tomllib.loads(config.read_text(encoding="utf-8"))["detector"]
        y, x = ((size - 1) / 2 for size in scan.detector_shape)
        center = (y + detector.get("offset_row_px", 0.0), x + detector.get("offset_column_px", 0.0))
    known = scan.calibration
    truth = Calibration(
        mrad_per_px=known.mrad_per_px,
        scan_step_A=known.scan_step_A,
        rotation_deg=known.rotation_deg,
        crystal_angle_deg=known.crystal_angle_deg,
        center_px=center,
    )
    return path.stem, Scan4D(scan.data, Calibration(convergence_mrad=known.convergence_mrad)), truth


def row(name: str, scan: Scan4D, truth: Calibration) -> str:
    """Return one line of the table."""
    found, reasons = measure_all(scan, inspect_scan(scan))
    parts: dict[str, Measured] = {measured.part: measured for measured in found}
    values = {key: value for measured in found for key, value in measured.changes.items()}
    center = np.linalg.norm(np.subtract(values["center_px"], truth.center_px)) if truth.center_px else np.nan
    radius = float(scan.calibration.convergence_mrad or np.nan) / float(truth.mrad_per_px or np.nan)
    drift = np.reshape(values.get("descan", np.full(4, np.nan)), (2, 2)) - np.reshape(
        truth.descan or np.zeros(4), (2, 2)
    )
    turn = values.get("rotation_deg", np.nan) - truth.rotation_deg
    if "rotation" in parts:
        said = parts["rotation"].residual
        hand = "not told" if "handedness" in said else ("right" if values["flip"] == truth.flip else "WRONG")
        side = "right" if abs((turn + 180) % 360 - 180) < 90 else "WRONG"
        side = f"not told ({side.lower()})" if "may be right" in said else side
    else:
        print(f"{name}: {reasons['rotation']}")
        said = hand = side = "not stated"
    ellipse = [
        _vector(ratio, angle)
        for ratio, angle in (
            (values["ellipse_ratio"], values["ellipse_angle_deg"]),
            (truth.ellipse_ratio, truth.ellipse_angle_deg),
        )
    ]
    bad, true = set(values.get("bad_pixels", ())), set(truth.bad_pixels)
    step = values.get("scan_step_A", np.nan) / (truth.scan_step_A or np.nan) - 1
    axis = (values.get("crystal_angle_deg", np.nan) - truth.crystal_angle_deg + 45) % 90 - 45
    cells = [
        name,
        f"{center:.2f}",
        f"{100 * (values['radius_px'] / radius - 1):+.1f} %",
        f"{np.abs(drift * scan.scan_shape).max():.2f}",
        f"{100 * (values['mrad_per_px'] / (truth.mrad_per_px or np.nan) - 1):+.1f} %",
        f"{100 * step:+.2f} %",
        f"{abs((turn + 90) % 180 - 90):.1f}°",
        said.split(",")[0],
        hand,
        side,
        f"{abs(axis):.2f}°",
        f"{100 * np.linalg.norm(np.subtract(*ellipse)):.2f} %",
        f"{len(bad & true)} of {len(true)} / {len(bad - true)}",
    ]
    return f"| {' | '.join(cells)} |"


def _vector(ratio: float, angle_deg: float) -> tuple[float, float]:
    """Return an ellipse as a vector whose angle is double: ellipses differ as these do."""
    return (ratio - 1) * np.cos(np.deg2rad(2 * angle_deg)), (ratio - 1) * np.sin(np.deg2rad(2 * angle_deg))


def compare_maps() -> None:
    """Map the sample as a turned, mirrored, drifting, distorted and broken detector shows it, with and without."""
    truth = Calibration(
        rotation_deg=115.0,
        flip=True,
        center_px=(30.1, 25.4),
        descan=(0.02, -0.01, 0.015, 0.03),
        ellipse_ratio=1.05,
        ellipse_angle_deg=30,
        bad_pixels=BROKEN,
    )
    path = sample_path("two_domains")
    label, _ = read_truth(path)
    with open_scan(path) as opened:
        data, center = opened.read(slice(None), slice(None)), inspect_scan(opened).disk.center_px
    scan = Scan4D(rerecord(data, center, truth, hot=600.0), Calibration(voltage_kV=200, convergence_mrad=24.0))
    pixels = measure("bad_pixels", scan, inspect_scan(scan))
    calibrated = replace(scan, calibration=apply(scan.calibration, pixels))
    calibration = calibrated.calibration
    for measured in measure_all(calibrated, inspect_scan(calibrated))[0]:
        calibration = apply(calibration, measured) if measured.good else calibration
    clear = wall_distance(label) > 8
    for name, case in (("as opened", scan), ("calibrated", replace(scan, calibration=calibration))):
        domain = map_polarization(case, load_classifier(default_model())).domain[clear]
        print(
            f"{name}: {np.mean(domain == label[clear]):.1%} right, {np.mean(domain == 255):.1%} undefined", flush=True
        )


def main() -> None:
    """Print the table, or write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="*")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--maps", action="store_true", help="compare maps with and without calibration instead")
    args = parser.parse_args()
    if args.maps:
        compare_maps()
        return
    lines = [HEAD, "|---" * (HEAD.count("|") - 1) + "|"]
    for case in (*recorded(), *map(simulated, args.files)):
        lines.append(row(*case))
        print(lines[-1], flush=True)
    if args.out is not None:
        args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
