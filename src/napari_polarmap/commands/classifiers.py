"""Commands about classifiers: list, simulate, train, calibrate, score."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import TYPE_CHECKING

from napari_polarmap.commands.arguments import check_output, check_target
from napari_polarmap.terminal import ProgressLine, UsageError, say

if TYPE_CHECKING:
    from napari_polarmap.models.weights import ModelInfo


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
    check_output(args.out, args.config)
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


def run_train(args: Namespace) -> None:
    """Train one classifier."""
    check_output(args.out, args.config, *args.data)
    if args.curve is not None:
        check_target(args.curve, args.config, (".png", ".svg", ".pdf"))
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
    check_output(args.out, *args.data, *args.more, *args.test)
    from napari_polarmap.pipeline.calibrating import calibrate_file

    with ProgressLine() as line:
        report = lambda stage, done, total: line(f"calibrating, {stage}", done, total)  # noqa: E731
        info = calibrate_file(
            args.model,
            args.data,
            args.out,
            more_paths=args.more,
            test_paths=args.test,
            seed=args.seed,
            report=report,
        )
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
