"""What the commands of ``polarmap`` do; `napari_polarmap.cli` says how they are called.

Modules that take long to import are imported where they are used, so that ``--help``
is quick.
"""

from __future__ import annotations

import json
import os
from argparse import Namespace
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from napari_polarmap.core.ordered import waiting
from napari_polarmap.core.whole_file import whole_file
from napari_polarmap.terminal import ProgressLine, UsageError, say

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    import numpy as np
    from numpy.typing import NDArray

    from napari_polarmap.core.data import Scan4D
    from napari_polarmap.io import RawLayout
    from napari_polarmap.io.result import PolarizationMap
    from napari_polarmap.models.weights import ModelInfo
    from napari_polarmap.pipeline.mapping import MapParams
    from napari_polarmap.pipeline.workplace import Workplace

CALIBRATION: Final = {
    "mrad_per_px": "detector pixel [mrad]",
    "convergence_mrad": "convergence semi-angle [mrad]",
    "voltage_kV": "accelerating voltage [kV]",
    "scan_step_A": "distance of scan positions [Å]",
    "thickness_nm": "specimen thickness [nm]",
    "rotation_deg": "turn detector vectors counter-clockwise by this into the scan image [degree]",
    "crystal_angle_deg": "angle of a <100> axis against the scan columns, counter-clockwise [degree]",
}
"""Quantities that `run_map` takes as options, and what they are."""


def _samples() -> list[Traversable]:
    """Return the packaged scans."""
    from importlib.resources import files

    folder = files("napari_polarmap") / "sample_data"
    samples = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".h5")), key=lambda each: each.name)
    if not samples:
        raise FileNotFoundError("the packaged samples are missing; install napari-polarmap again")
    return samples[::-1]


def run_samples(args: Namespace) -> None:
    """Tell where the packaged scans are, or copy them."""
    for sample in _samples():
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


def run_demo(args: Namespace) -> None:
    """Map every packaged sample."""
    from importlib.resources import as_file

    from napari_polarmap.io import open_scan
    from napari_polarmap.models.registry import default_model

    args.out.mkdir(parents=True, exist_ok=True)
    samples = _samples()
    model = default_model()
    for sample in samples:
        stem = Path(sample.name).stem
        with as_file(sample) as path, open_scan(path) as scan:
            say(f"{stem}")
            result = _mapped(scan, model, None, None)
            paths = _write(result, args.out / f"{stem}.h5", args.out / f"{stem}.png")
            lines = [*_summary(result), *_compared_with_truth(result, path)]
        say("\n".join(f"  {line}" for line in [*lines, *(f"wrote {written}" for written in paths)]))


def _compared_with_truth(result: PolarizationMap, path: Path) -> list[str]:
    import numpy as np

    from napari_polarmap.core.directions import UNDEFINED
    from napari_polarmap.core.metrics import accuracy, wall_distance
    from napari_polarmap.io.hdf5 import read_truth

    label, defect = read_truth(path)
    vectors = result.provenance.get("measured", {}).get("lattice_vectors_px")
    if label is None or not vectors:
        return []
    clear = (wall_distance(label) > np.linalg.norm(vectors, axis=1).mean()) & (label != UNDEFINED)
    clear &= ~defect if defect is not None else True
    right = accuracy(result.domain, label, clear)
    return [
        f"The simulated truth is met at {right:.1%} of the positions more than one unit cell from a wall or defect."
    ]


def run_info(args: Namespace) -> None:
    """Tell what a file holds, reading no patterns."""
    from napari_polarmap.io.result import PolarizationMap, is_result

    if is_result(args.file):
        result = PolarizationMap.load(args.file)
        say(json.dumps(result.provenance, indent=1) if args.json else "\n".join(_summary(result)))
        return
    from napari_polarmap.core.calibration import Calibration

    with _open(args) as scan:
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


def _open(args: Namespace) -> Scan4D:
    return _open_as(args, args.file)


def _open_as(args: Namespace, path: Path) -> Scan4D:
    from napari_polarmap.io import AxisOrder, open_scan

    shape = None if args.scan_shape is None else (args.scan_shape[0], args.scan_shape[1])
    return open_scan(
        path,
        scan_shape=shape,
        dataset=args.dataset,
        allow_external=args.allow_external,
        axes=AxisOrder.parse(args.axes) if args.axes else None,
        raw=_raw_layout(args),
    )


def _raw_layout(args: Namespace) -> RawLayout | None:
    from napari_polarmap.io import RawLayout

    return RawLayout.parse(args.raw) if args.raw else None


def run_map(args: Namespace) -> None:
    """Map one scan and write its result."""
    _check_target(args.out, args.file, (".h5", ".hdf5"))
    if args.png is not None:
        _check_target(args.png, args.file, (".png", ".svg", ".pdf"))
    from napari_polarmap.models.registry import default_model
    from napari_polarmap.pipeline.unfinished import Unfinished

    params = _params(args)
    with _open(args) as opened:
        scan = _calibrated(args, opened)
        reference = None if args.reference is None else _reference(args.reference, scan.scan_shape)
        unfinished = Unfinished(args.out.with_name(f"{args.out.name}.unfinished"), resume=args.resume)
        try:
            with _workplace(args) as workplace:
                how = {"workplace": workplace, "unfinished": unfinished}
                result = _mapped(scan, args.model or default_model(), params, reference, **how)
        except KeyboardInterrupt:
            if not unfinished.path.exists():
                raise
            raise KeyboardInterrupt(f"interrupted; {unfinished.path} keeps the run, go on with --resume") from None
    paths = _write(result, args.out, args.png)
    unfinished.done()
    say("\n".join([*_summary(result), *(f"wrote {path}" for path in paths)]))


def _params(args: Namespace) -> MapParams:
    """Return the options of a run."""
    from napari_polarmap.pipeline.parameters import MapParams

    given = {name: getattr(args, name) for name in ("pool", "center", "crop_px", "fdr", "radius_px")}
    given["lattice_px"] = None if args.lattice is None else _lattice(args.lattice)
    return MapParams(**{name: value for name, value in given.items() if value is not None})


def run_batch(args: Namespace) -> None:
    """Map all scans of a folder."""
    from napari_polarmap.models.registry import default_model, load_classifier
    from napari_polarmap.pipeline.batch import TABLE, batch_steps, find_scans

    params, formats = _params(args), [name.strip().lower() for name in args.formats.split(",") if name.strip()]
    paths = [path for given in args.paths for path in (find_scans(given) if given.is_dir() else [given])]
    if not paths:
        raise UsageError(f"{args.paths[0]}: holds no scan of a known format")
    steps = batch_steps(
        paths,
        load_classifier(args.model or default_model()),
        params,
        args.out,
        calibration=_calibration_changes(args),
        formats=formats,
        resume=args.resume,
        opener=lambda path: _open_as(args, path),
    )
    told = 0
    with ProgressLine() as line:
        for at in steps:
            line(f"{min(at.index + 1, at.total)} of {at.total}: {at.step.stage}", at.step.done, at.step.total)
            for item in at.items[told:]:
                say(f"{item.path.name}: {item.error or f'{item.state}, {item.result}'}")
            told = len(at.items)
            items = at.items
    failed = sum(item.state == "failed" for item in items)
    say(f"wrote {args.out / TABLE}")
    if failed:
        raise UsageError(f"{failed} of {len(items)} scans could not be mapped; {args.out / TABLE} says why")


def _workplace(args: Namespace) -> AbstractContextManager[Workplace | None]:
    """Return where to work: on the cluster asked for, or None for here."""
    if not args.scheduler:
        return nullcontext()
    try:
        from napari_polarmap.pipeline.cluster import Cluster
    except ImportError as error:
        raise UsageError(f"--scheduler: needs napari-polarmap[distributed] ({error})") from None
    return Cluster(args.scheduler, raw=_raw_layout(args))


def _calibrated(args: Namespace, scan: Scan4D) -> Scan4D:
    """Return the scan with the calibration of a file, and then that of single options."""
    return scan.calibrated(**_calibration_changes(args))


def _calibration_changes(args: Namespace) -> dict[str, Any]:
    from napari_polarmap.io.calibration_file import load_calibration

    known = {} if args.calibration is None else load_calibration(args.calibration)
    given = {name: getattr(args, name) for name in (*CALIBRATION, "flip")}
    return {**known, **{name: value for name, value in given.items() if value is not None}}


def run_measure(args: Namespace) -> None:
    """Measure the calibration of a scan."""
    if args.out is not None:
        _check_output(args.out, args.file, *([args.reference] if args.reference else []))
    from napari_polarmap.io import open_scan
    from napari_polarmap.io.calibration_file import save_calibration
    from napari_polarmap.pipeline.inspection import inspect_scan
    from napari_polarmap.pipeline.measuring import measure_all, measure_reference
    from napari_polarmap.pipeline.scan_calibration import apply

    with _open(args) as opened, ProgressLine() as line:
        scan = _calibrated(args, opened)
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


def _lattice(numbers: list[float]) -> tuple[float, ...]:
    """Return lattice vectors ``(y1, x1, y2, x2)`` from these, or from period and angle of a square lattice."""
    from napari_polarmap.core.lattice import square_vectors

    if len(numbers) not in (2, 4):
        raise UsageError(f"--lattice: {len(numbers)} numbers; period and angle, or y1 x1 y2 x2, are needed")
    return square_vectors(*numbers) if len(numbers) == 2 else tuple(numbers)


def _check_target(target: Path, source: Path, suffixes: tuple[str, ...]) -> None:
    """Refuse, before any work, targets that cannot be written or would destroy something."""
    if target.suffix.lower() not in suffixes:
        raise UsageError(f"{target}: the name must end in {' or '.join(suffixes)}")
    if not target.parent.is_dir():
        raise UsageError(f"{target.parent}: no such folder to write {target.name} into")
    if not os.access(target.parent, os.W_OK):
        raise UsageError(f"{target.parent}: not allowed to write into this folder")
    if target.is_dir():
        raise UsageError(f"{target}: a folder; name a file")
    if not target.exists():
        return
    if source.exists() and target.samefile(source):
        raise UsageError(f"{target}: the scan itself; choose another name for the result")
    from napari_polarmap.io.result import is_result

    if target.suffix.lower() in (".h5", ".hdf5") and not is_result(target):
        raise UsageError(f"{target}: exists and is no result of polarmap; choose another name, or move it away")


def _reference(text: str, scan_shape: tuple[int, int]) -> int | NDArray[np.uint8]:
    """Return the class or map of classes that `text` names."""
    from napari_polarmap.core.directions import LABELS, parse_direction

    path = Path(text)
    if not path.exists():
        try:
            return int(parse_direction(text))
        except ValueError:
            raise UsageError(
                f"--reference {text}: neither a class ({', '.join(LABELS)}) nor a file that is there"
            ) from None
    from napari_polarmap.pipeline.review import read_reference

    try:
        return read_reference(path, scan_shape)
    except ValueError as error:
        raise UsageError(f"--reference {error}") from None


def _mapped(
    scan: Scan4D, model: str, params: MapParams | None, reference: int | NDArray[np.uint8] | None, **how: Any
) -> PolarizationMap:
    from napari_polarmap.models.registry import load_classifier
    from napari_polarmap.pipeline.mapping import map_polarization

    classifier = load_classifier(model)
    with ProgressLine() as line, waiting(line.waiting):
        return map_polarization(scan, classifier, params, reference=reference, progress=line.step, **how)


def _write(result: PolarizationMap, out: Path, picture: Path | None) -> list[Path]:
    result.save(out)
    if picture is None:
        return [out]
    from napari_polarmap.io.figure import map_figure

    return [out, map_figure(result, picture)]


def _summary(result: PolarizationMap) -> list[str]:
    from napari_polarmap.pipeline.summary import summarize

    return summarize(result)


def run_information(args: Namespace) -> None:
    """Draw which probe positions inside the unit cell carry information."""
    if not args.file.is_file() and not args.file.is_dir():
        raise FileNotFoundError(f"{args.file}: no such file")
    _check_target(args.out, args.file, (".png", ".svg", ".pdf"))
    from napari_polarmap.io.information_figure import information_figure
    from napari_polarmap.io.result import PolarizationMap, is_result
    from napari_polarmap.models.registry import default_model
    from napari_polarmap.pipeline.informing import information_of
    from napari_polarmap.pipeline.parameters import MapParams

    if is_result(args.file):
        result = PolarizationMap.load(args.file)
    else:
        with _open(args) as scan:
            result = _mapped(scan, args.model or default_model(), MapParams(), None)
    reference = None if args.reference is None else _reference(args.reference, result.scan_shape)
    found = information_of(result, reference, bins=args.bins)
    title = str(result.provenance.get("model", {}).get("title", ""))
    path = information_figure(found.information, args.out, reference=found.reference, title=title)
    say(f"{found.information.overall}\nwrote {path}")


def run_models(args: Namespace) -> None:
    """List the models."""
    from dataclasses import asdict

    from napari_polarmap.models.registry import list_models, user_models

    models = list_models()
    if args.json:
        say(json.dumps([asdict(info) for info in models], indent=1, default=str))
        return
    if not models:
        say(f"no models; put .safetensors files into {user_models()}")
        return
    say("\n\n".join(_described(info) for info in models))


def _described(info: ModelInfo) -> str:
    scores = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in info.scores.items()) or "none"
    rows = {
        "network": f"{info.network}, {info.objective}",
        "trained on": info.training_set or "not stated",
        "range": f"{info.material} {info.zone_axis}, {info.voltage_kV:g} kV, {_span(info.convergence_mrad)} mrad, "
        f"{_span(info.thickness_nm)} nm, tilt {_span(info.tilt_mrad)} mrad",
        "held out": scores,
        "licence": info.licence or "not stated",
        "SHA-256": info.sha256,
        "file": str(info.path),
    }
    head = f"{info.name}{' (recommended)' if info.recommended else ''}: {info.title}"
    return "\n".join([head, *(f"  {name:<11}{value}" for name, value in rows.items())])


def _span(limits: tuple[float, float]) -> str:
    low, high = limits
    return f"{low:g}" if low == high else f"{low:g}-{high:g}"


def run_simulate(args: Namespace) -> None:
    """Simulate what a configuration file asks for."""
    _check_output(args.out, args.config)
    from napari_polarmap.pipeline.simulating import simulate

    with ProgressLine() as line:
        path = simulate(
            args.config,
            args.out,
            variant=args.variant,
            resume=args.resume,
            workers=args.workers,
            progress=lambda done, total: line("simulating", done, total),
        )
    say(f"wrote {path}")


def run_repeat(args: Namespace) -> None:
    """Make a result again and compare."""
    from napari_polarmap.pipeline.repeating import TOLERANCE, repeat

    if args.out is not None:
        _check_target(args.out, args.result, (".h5", ".hdf5"))
    with ProgressLine() as line:
        found = repeat(args.result, source=args.file, model=args.model, progress=line.step)
    if args.out is not None:
        say(f"wrote {found.second.save(args.out)}")
    differences, count = found.differences, len(found.second.arrays())
    say(f"{args.result}: {count - len(differences)} of {count} maps are the same bit for bit")
    say(*(f"  {name} differs by up to {value:.2g}" for name, value in differences.items()))
    say(*(f"  left out: {reason}" for reason in found.left_out), *(f"  {version}" for version in found.versions))
    if not found.agrees:
        worst = ", ".join(f"{name} by {value:.2g}" for name, value in differences.items())
        raise ValueError(f"{args.result}: the repeated map is another one beyond {TOLERANCE:g}: {worst}")


def _check_output(target: Path, *sources: Path) -> None:
    if target.is_dir():
        raise UsageError(f"{target}: a folder; name a file")
    for source in sources:
        if target.exists() and source.exists() and target.samefile(source):
            raise UsageError(f"{target}: one of the input files; choose another name for --out")


def run_train(args: Namespace) -> None:
    """Train one classifier."""
    _check_output(args.out, args.config, *args.data)
    if args.curve is not None:
        _check_target(args.curve, args.config, (".png", ".svg", ".pdf"))
    from napari_polarmap.io.training_figure import loss_figure
    from napari_polarmap.pipeline.training import train

    with ProgressLine() as line:
        info = train(
            args.config,
            args.data,
            args.out,
            resume=args.resume,
            progress=lambda at: line(
                " ".join([at.stage, *(f"{name} {values[-1]:.3g}" for name, values in at.history.items() if values)]),
                at.done,
                at.total,
            ),
        )
    if args.curve is not None:
        say(f"wrote {loss_figure(info.options.get('history', {}), args.curve)}")
    say(f"wrote {args.out}: {info.name}")
    say("\n".join(f"  {name.replace('_', ' ')} {value:g}" for name, value in info.scores.items()))


def run_calibrate(args: Namespace) -> None:
    """Calibrate one classifier."""
    _check_output(args.out, *args.data)
    from napari_polarmap.pipeline.calibrating import calibrate_file

    with ProgressLine() as line:
        report = lambda stage, done, total: line(f"calibrating, {stage}", done, total)  # noqa: E731
        info = calibrate_file(args.model, args.data, args.out, more_paths=args.more, seed=args.seed, report=report)
    say(f"wrote {args.out}: {info.name}")
    say("\n".join(f"  {name.replace('_', ' ')} {value:g}" for name, value in info.scores.items()))


def run_evaluate(args: Namespace) -> None:
    """Score a classifier."""
    for path in args.files:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
    if args.figures is not None and args.figures.exists() and not args.figures.is_dir():
        raise UsageError(f"--figures {args.figures}: a file; name a folder")
    from napari_polarmap.models.registry import default_model, load_classifier
    from napari_polarmap.pipeline.evaluation import evaluate_files

    records = evaluate_files(load_classifier(args.model or default_model()), args.files, figures=args.figures)
    if args.json:
        say(json.dumps(records, indent=1, default=str))
        return
    for record in records:
        say(f"{record['file']} ({record['model']})")
        for name, value in record.items():
            if name not in ("file", "model"):
                say(f"  {name.replace('_', ' '):<28} {'-' if value is None else f'{value:g}'}")


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
