"""`make bench-paper`: the published comparison of ten models, done again, and the packaged models beside it.

Run as ``python benchmarks/paper.py [--quick] [--sets DIR] [--out DIR] [--report DIR] [--only TEXT ...]``.

Each model of Martinc et al., Sci. Rep. 16, 27448 (2026), is trained on single patterns at one thickness, 20 nm, with
and without the published augmentation and filter, and asked for the directions of the sets S1 to S7 and E1 to E5.
Every trained model is one JSON file below `--out`; those that are there are not trained again, and a network goes on
from its last whole epoch, so that a run goes on where it was stopped. Sets that are missing below `--sets` are
simulated first. One model is trained on each processor core, in a process of its own.

The quick form trains ResNet-18 and VGG-11 in place of ResNet-50 and VGG-16, all at half the pixels, on a sixteenth of
the positions, in 16 (CNN), 5 (ResNet) or 3 epochs of batches of 32 at a higher rate, with one seed, plain and with both
treatments. On processors without bfloat16 it leaves out the deep networks but for plain classification, and both
treatments but for the CNN by classification and the neighbours. It asks of the quick variants of the sets.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

from paper_ideal import ask_ideal
from paper_models import OBJECTIVES, TREATMENTS, Cell, Schooling, ask, train_model
from paper_packaged import ask_packaged
from paper_report import write_report
from paper_sets import (
    EXPERIMENTAL,
    SYNTHETIC,
    Protocol,
    Scan,
    Specimens,
    made,
    published_protocol,
    read_patterns_of,
)

from napari_polarmap.models.network import has_bfloat16
from napari_polarmap.models.registry import BUNDLED, list_models
from napari_polarmap.pipeline.simulating import single_threads

SEEDS = (888, 1212, 3000, 5000, 7000)


@dataclass(frozen=True)
class Scope:
    """What a form of the benchmark trains and asks.

    Attributes
    ----------
    treatments : dict
        Networks of each, and the objective of each network; neighbours in principal components are always beside them.
    variant : str
        Of the sets.
    positions : int
        Patterns that are asked of each set, at most.
    """

    treatments: dict[str, tuple[tuple[str, str], ...]]
    seeds: tuple[int, ...]
    schooling: Schooling
    positions: int
    variant: str

    @property
    def cells(self) -> list[Cell]:
        """All models of the table."""
        return [
            Cell(network, objective, treatment, seed)
            for treatment, networks in self.treatments.items()
            for seed in self.seeds
            for network, objective in (("pca_knn", "classification"), *networks)
        ]


FULL = Scope(
    treatments=dict.fromkeys(TREATMENTS, tuple(product(("published_cnn", "resnet50", "vgg16"), OBJECTIVES))),
    seeds=SEEDS,
    schooling=Schooling(epochs={}, learning_rate={}, schedule={}, binning=1, batch=128),
    positions=2000,
    variant="",
)
QUICK = Scope(
    treatments={
        "plain": (
            *product(("published_cnn",), OBJECTIVES),
            ("resnet18", "classification"),
            ("vgg11", "classification"),
        ),
        "both": (("published_cnn", "classification"),),
    },
    seeds=SEEDS[:1],
    schooling=Schooling(
        epochs={"published_cnn": 16, "vgg11": 3, "resnet18": 5},
        learning_rate={"published_cnn": 3e-4, "vgg11": 1e-3, "resnet18": 1e-3},
        schedule={"vgg11": "one-cycle", "resnet18": "one-cycle"},
        binning=2,
        batch=32,
    ),
    positions=100,
    variant="quick",
)


def quick_form() -> Scope:
    """Return what fits into a quarter of an hour on two cores: the whole table where they compute in bfloat16."""
    if not has_bfloat16():
        return QUICK
    every = tuple(product(("published_cnn", "resnet18", "vgg11"), OBJECTIVES))
    return replace(QUICK, treatments=dict.fromkeys(("plain", "both"), every))


@dataclass(frozen=True)
class Files:
    """The simulated sets of one run; `variant` is that of the sets that are asked."""

    variant: str
    training: tuple[Path, ...]
    asked: tuple[tuple[str, Path], ...]
    held: Path
    still: Path
    positions: int


def make_sets(folder: Path, scope: Scope, asked: str, pool: Executor) -> Files:
    """Simulate what is missing: training sets of the scope, the others in the variant `asked`."""
    return Files(
        variant=asked,
        training=tuple(made(name, folder, scope.variant, pool) for name in ("P1", "P2")),
        asked=tuple((name, made(name, folder, asked, pool)) for name in SYNTHETIC + EXPERIMENTAL),
        held=made("holdout", folder, asked, pool),
        still=made("holdout", folder, f"still_{asked}".removesuffix("_"), pool),
        positions=scope.positions,
    )


# What a process has read once.
@cache
def _protocol(files: Files) -> Protocol:
    return published_protocol(list(files.training))


@cache
def _scans(files: Files) -> dict[str, Scan]:
    return {name: read_patterns_of(path, files.positions) for name, path in files.asked}


@cache
def _specimens(path: Path, *, pooled: bool) -> Specimens:
    return Specimens.load(path, pooled=pooled)


def _published(cell: Cell, files: Files, schooling: Schooling, checkpoint: Path) -> dict[str, Any]:
    """Train one published model and ask it."""
    answer, losses = train_model(cell, _protocol(files), schooling, checkpoint)
    asked = ask(answer, _protocol(files), _scans(files), _specimens(files.held, pooled=False))
    return vars(cell) | {"epochs": len(losses)} | asked


def _packaged(name: str, files: Files) -> dict[str, Any]:
    averages, singles = (_specimens(files.held, pooled=pooled) for pooled in (True, False))
    return ask_packaged(name, dict(files.asked), averages, singles, _specimens(files.still, pooled=True))


def _ideal(files: Files) -> dict[str, Any]:
    return ask_ideal(_specimens(files.still, pooled=True), dict(files.asked), files.variant)


def keep(path: Path, make: Callable[[], dict[str, Any]]) -> str:
    """Make a record unless it is there; write it whole or not at all. Return what was done, in words."""
    if path.exists():
        return ""
    start = time.perf_counter(), time.process_time()
    record = make()
    record["seconds"] = round(time.perf_counter() - start[0], 1)
    record["cpu_seconds"] = round(time.process_time() - start[1], 1)
    partial_path = path.with_suffix(f".{os.getpid()}.part")
    partial_path.write_text(json.dumps(record))
    partial_path.replace(path)
    return f"{path.stem}: {record['seconds']:.0f} s"


def _work(files: Files, scope: Scope, out: Path, only: list[str]) -> dict[Path, Callable[[], dict[str, Any]]]:
    """Return how each record that is not there yet is made, the longest first."""
    work: dict[Path, Callable[[], dict[str, Any]]] = {}
    for cell in sorted(scope.cells, key=lambda cell: ("vgg" not in cell.network, "resnet" not in cell.network)):
        checkpoint = out / f".{cell.name}.training"
        work[out / f"{cell.name}.json"] = partial(_published, cell, files, scope.schooling, checkpoint)
    for info in list_models():
        if info.path and info.path.parent == BUNDLED:
            work[out / f"packaged-{info.name}.json"] = partial(_packaged, info.name, files)
    work[out / "ideal.json"] = partial(_ideal, files)
    return {
        path: make
        for path, make in work.items()
        if not path.exists() and (not only or any(text in path.stem for text in only))
    }


def run_all(pool: Executor, work: dict[Path, Callable[[], dict[str, Any]]]) -> list[str]:
    """Make the records; return the names of those that failed, which do not stop the others."""
    failed = []
    jobs = {pool.submit(keep, path, make): path.stem for path, make in work.items()}
    for job in as_completed(jobs):
        if error := job.exception():
            failed.append(jobs[job])
            print(f"{jobs[job]}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        else:
            print(job.result(), flush=True)
    return failed


@contextmanager
def leaving_at_once(out: Path) -> Iterator[None]:
    """On Ctrl-C do not wait for the models that are being trained; what is whole is kept."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"interrupted; the same command goes on with what is in {out}", file=sys.stderr, flush=True)
        os._exit(130)


def main() -> None:
    """Train, ask, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="smaller networks, fewer positions, epochs and seeds")
    parser.add_argument("--sets", type=Path, default=Path("build/bench-sets"), help="folder of simulated sets")
    parser.add_argument("--out", type=Path, help="folder for records (default: build/bench-paper or ...-quick)")
    parser.add_argument("--report", type=Path, help="folder for the table and the figures (default: that of --out)")
    parser.add_argument("--table", default="benchmark-table", help="name of the table's file, without its ending")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="TEXT", help="records whose names contain one of these"
    )
    parser.add_argument("--asked", choices=("quick", "plain"), help="variant of the sets that are asked")
    parser.add_argument("--binning", type=int, choices=(1, 2), help="pixels along an edge that networks average first")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (default: one for each core)")
    args = parser.parse_args()
    scope = quick_form() if args.quick else FULL
    if args.binning:
        scope = replace(scope, schooling=replace(scope.schooling, binning=args.binning))
    asked = scope.variant if args.asked is None else args.asked.removeprefix("plain")
    out = args.out or Path("build/bench-paper-quick" if args.quick else "build/bench-paper")
    out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    with single_threads(args.jobs) as pool, leaving_at_once(out):
        files = make_sets(args.sets, scope, asked, pool)
        print(f"sets: {time.perf_counter() - started:.0f} s", flush=True)
        work = _work(files, scope, out, args.only)
        failed = run_all(pool, work)
    for path in out.glob(".*.training"):
        if (out / f"{path.name[1:].removesuffix('.training')}.json").exists():
            path.unlink()
    if failed:
        sys.exit(f"not made: {', '.join(failed)}; no report is written; the same command tries again")
    write_report(out, args.report or out, command=_command(args), table=args.table)
    wall, cpu = time.perf_counter() - started, os.times().children_user + os.times().children_system
    print(f"all: {wall:.0f} s, {cpu:.0f} s of a processor core", flush=True)


def _command(args: argparse.Namespace) -> str:
    """Return the command that makes this table, without where its files lie."""
    if not (args.only or args.asked or args.binning):
        return "make bench-paper-quick" if args.quick else "make bench-paper"
    told = ["--quick"] if args.quick else []
    told += ["--only", *args.only] if args.only else []
    told += [f"--{name} {value}" for name in ("asked", "binning") if (value := getattr(args, name))]
    return " ".join(["python benchmarks/paper.py", *told])


if __name__ == "__main__":
    main()
