"""Commands about files: samples, what a file holds, its calibration, export."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import TYPE_CHECKING

from napari_polarmap.commands.arguments import calibrated, check_output, open_file
from napari_polarmap.core.whole_file import whole_file
from napari_polarmap.terminal import ProgressLine, say

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


def packaged_samples() -> list[Traversable]:
    """Return the packaged scans."""
    from importlib.resources import files

    folder = files("napari_polarmap") / "sample_data"
    samples = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".h5")), key=lambda each: each.name)
    if not samples:
        raise FileNotFoundError("the packaged samples are missing; install napari-polarmap again")
    return samples[::-1]


def run_samples(args: Namespace) -> None:
    """Tell where the packaged scans are, or copy them."""
    for sample in packaged_samples():
        if args.to is None:
            say(str(sample))
            continue
        args.to.mkdir(parents=True, exist_ok=True)
        target = args.to / sample.name
        if target.exists():
            raise FileExistsError(f"{target}: exists already; name another folder with --to")
        with whole_file(target) as partial:
            partial.write_bytes(sample.read_bytes())
        say(f"wrote {target}")


def run_info(args: Namespace) -> None:
    """Tell what a file holds, reading no patterns."""
    from napari_polarmap.io.result import PolarizationMap, is_result

    if is_result(args.file):
        from napari_polarmap.pipeline.summary import summarize

        result = PolarizationMap.load(args.file)
        say(json.dumps(result.provenance, indent=1) if args.json else "\n".join(summarize(result)))
        return
    from napari_polarmap.core.calibration import Calibration

    with open_file(args) as scan:
        unset = Calibration()
        known = {name: value for name, value in vars(scan.calibration).items() if value != getattr(unset, name)}
        if args.json:
            record = {"file": str(args.file), "dataset": scan.dataset, "shape": scan.shape, "dtype": str(scan.dtype)}
            say(json.dumps({**record, "calibration": known, "missing": scan.calibration.missing}, indent=1))
            return
        scan_y, scan_x, det_y, det_x = scan.shape
        lines = [f"{args.file}" + (f", dataset {scan.dataset}" if scan.dataset else "")]
        lines.append(f"scan       {scan_y} x {scan_x} positions (y, x)")
        lines.append(f"detector   {det_y} x {det_x} px (y, x)")
        lines.append(f"numbers    {scan.dtype}, {scan.nbytes / 2**20:.1f} MiB unpacked")
        lines += [
            f"found      {name} = {value:g}" if isinstance(value, float) else f"found      {name} = {value}"
            for name, value in known.items()
        ]
        lines.append(f"missing    {', '.join(scan.calibration.missing) or 'nothing'}")
    say("\n".join(lines))


def run_measure(args: Namespace) -> None:
    """Measure the calibration of a scan."""
    if args.out is not None:
        check_output(args.out, args.file, *([args.reference] if args.reference else []))
    from napari_polarmap.io import open_scan
    from napari_polarmap.io.calibration_file import save_calibration
    from napari_polarmap.pipeline.inspection import inspect_scan
    from napari_polarmap.pipeline.measuring import measure_all, measure_reference
    from napari_polarmap.pipeline.scan_calibration import apply

    with open_file(args) as opened, ProgressLine() as line:
        scan = calibrated(args, opened)
        found, reasons = measure_all(scan, inspect_scan(scan, progress=line.step))
        if args.reference is not None:
            with open_scan(args.reference, scan_shape=scan.scan_shape if args.scan_shape else None) as reference:
                seen = measure_reference(reference, inspect_scan(reference, progress=line.step), scan.scan_shape)
            found = [measured for measured in found if measured.part != "descan"] + [seen]
    calibration = scan.calibration
    for measured in found:
        calibration = apply(calibration, measured) if measured.good or args.all else calibration
        kept = "" if measured.good or args.all else " (left out: --all takes it)"
        say(f"{measured.part.replace('_', ' '):<13}{measured.value}\n{'':<13}{measured.residual}{kept}")
    for part, reason in reasons.items():
        say(f"{part.replace('_', ' '):<13}not measured: {reason}")
    if args.out is not None:
        say(f"wrote {save_calibration(calibration, args.out)}")


def run_export(args: Namespace) -> None:
    """Export a result."""
    from dataclasses import replace

    from napari_polarmap.io.display import display_of
    from napari_polarmap.io.export import export_map
    from napari_polarmap.io.result import PolarizationMap

    formats = [name.strip().lower() for name in args.formats.split(",") if name.strip()]
    result = PolarizationMap.load(args.result)
    given = {name: value for name in ("colors", "lightness") if (value := getattr(args, name)) is not None}
    display = replace(display_of(result), **given)
    paths = export_map(result, args.to, formats, stem=args.stem or args.result.stem, display=display)
    say("\n".join(f"wrote {path}" for path in paths))
