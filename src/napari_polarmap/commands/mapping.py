"""Commands that map scans."""

from __future__ import annotations

from argparse import Namespace
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_polarmap.commands.arguments import (
    calibrated,
    calibration_changes,
    check_target,
    map_params,
    open_as,
    open_file,
    raw_layout,
    reference_of,
)
from napari_polarmap.commands.files import packaged_samples
from napari_polarmap.core.ordered import waiting
from napari_polarmap.terminal import ProgressLine, UsageError, say

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_polarmap.core.data import Scan4D
    from napari_polarmap.io.result import PolarizationMap
    from napari_polarmap.pipeline.parameters import MapParams
    from napari_polarmap.pipeline.workplace import Workplace


def run_demo(args: Namespace) -> None:
    """Map every packaged sample."""
    from importlib.resources import as_file

    from napari_polarmap.io import open_scan
    from napari_polarmap.models.registry import default_model
    from napari_polarmap.pipeline.summary import summarize

    args.out.mkdir(parents=True, exist_ok=True)
    samples = packaged_samples()
    model = default_model()
    for sample in samples:
        stem = Path(sample.name).stem
        with as_file(sample) as path, open_scan(path) as scan:
            say(f"{stem}")
            result = _mapped(scan, model, None, None)
            paths = _write(result, args.out / f"{stem}.h5", args.out / f"{stem}.png")
            lines = [*summarize(result), *_compared_with_truth(result, path)]
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


def run_map(args: Namespace) -> None:
    """Map one scan and write its result."""
    check_target(args.out, args.file, (".h5", ".hdf5"))
    if args.png is not None:
        check_target(args.png, args.file, (".png", ".svg", ".pdf"))
    from napari_polarmap.models.registry import default_model
    from napari_polarmap.pipeline.summary import summarize
    from napari_polarmap.pipeline.unfinished import Unfinished

    params = map_params(args)
    with open_file(args) as opened:
        scan = calibrated(args, opened)
        reference = None if args.reference is None else reference_of(args.reference, scan.scan_shape)
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
    say("\n".join([*summarize(result), *(f"wrote {path}" for path in paths)]))


def run_batch(args: Namespace) -> None:
    """Map all scans of a folder."""
    from napari_polarmap.models.registry import default_model, load_classifier
    from napari_polarmap.pipeline.batch import TABLE, batch_steps, find_scans

    params, formats = map_params(args), [name.strip().lower() for name in args.formats.split(",") if name.strip()]
    paths = [path for given in args.paths for path in (find_scans(given) if given.is_dir() else [given])]
    if not paths:
        raise UsageError(f"{args.paths[0]}: holds no scan of a known format")
    steps = batch_steps(
        paths,
        load_classifier(args.model or default_model()),
        params,
        args.out,
        calibration=calibration_changes(args),
        formats=formats,
        resume=args.resume,
        opener=lambda path: open_as(args, path),
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


def run_information(args: Namespace) -> None:
    """Draw which probe positions inside the unit cell carry information."""
    if not args.file.is_file() and not args.file.is_dir():
        raise FileNotFoundError(f"{args.file}: no such file")
    check_target(args.out, args.file, (".png", ".svg", ".pdf"))
    from napari_polarmap.io.information_figure import information_figure
    from napari_polarmap.io.result import PolarizationMap, is_result
    from napari_polarmap.models.registry import default_model
    from napari_polarmap.pipeline.informing import information_of
    from napari_polarmap.pipeline.parameters import MapParams

    if is_result(args.file):
        result = PolarizationMap.load(args.file)
    else:
        with open_file(args) as scan:
            result = _mapped(scan, args.model or default_model(), MapParams(), None)
    reference = None if args.reference is None else reference_of(args.reference, result.scan_shape)
    found = information_of(result, reference, bins=args.bins)
    title = str(result.provenance.get("model", {}).get("title", ""))
    path = information_figure(found.information, args.out, reference=found.reference, title=title)
    say(f"{found.information.overall}\nwrote {path}")


def run_repeat(args: Namespace) -> None:
    """Make a result again and compare."""
    from napari_polarmap.pipeline.repeating import TOLERANCE, repeat

    if args.out is not None:
        check_target(args.out, args.result, (".h5", ".hdf5"))
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


def _workplace(args: Namespace) -> AbstractContextManager[Workplace | None]:
    """Return where to work: on the cluster asked for, or None for here."""
    if not args.scheduler:
        return nullcontext()
    try:
        from napari_polarmap.pipeline.cluster import Cluster
    except ImportError as error:
        raise UsageError(f"--scheduler: needs napari-polarmap[distributed] ({error})") from None
    return Cluster(args.scheduler, raw=raw_layout(args))


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
