"""Speed as ratios, in one run on one machine: ``make bench`` prints them and writes docs/performance.md.

A scan of 128 x 128 x 256 x 256 counts is made once. Every task is done in turn by this program and by LiberTEM,
py4DSTEM and pyxem, each in an environment of its own that is installed at the first run, and again for as many
rounds as asked for; a ratio is the median of the ratios within a round, so that what else the machine does falls on
all alike.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from growth import in_own_process
from inference import classifier_rows, cluster_rows, map_row

SHAPE = (128, 128, 256, 256)
CENTER, RADIUS = (121.3, 130.8), 75.0
PEERS = {"libertem": "LiberTEM", "py4DSTEM": "py4DSTEM", "pyxem": "pyxem"}
TASKS = {
    "com": "centre of mass near the disk, every position",
    "bright": "virtual bright field",
    "mean": "mean pattern",
    "pattern": "one pattern",
    "first image": "open the file, first image",
}
HERE = Path(__file__).parent


class Program:
    """Another process that does tasks on request and tells how long they took."""

    def __init__(self, name: str, python: str | Path, scan: Path) -> None:
        words = [str(python), str(HERE / "peer_tasks.py"), name, str(scan), *map(str, (*CENTER, RADIUS))]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._line()

    def _line(self) -> str:
        line = self._process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            raise RuntimeError("the program has ended")
        return line

    def seconds(self, task: str) -> float:
        """Do a task; return the time it took."""
        self._process.stdin.write(f"{task}\n")  # type: ignore[union-attr]
        self._process.stdin.flush()  # type: ignore[union-attr]
        return float(self._line())

    def end(self) -> None:
        """Let the process end."""
        self._process.stdin.close()  # type: ignore[union-attr]
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()


@dataclass
class Times:
    """Seconds by program and task, one number for each round."""

    seconds: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def ratio(self, one: tuple[str, str], other: tuple[str, str]) -> float:
        """Return how much longer `one` took than `other`; NaN where one was not done."""
        pairs = zip(self.seconds.get(one, []), self.seconds.get(other, []), strict=False)
        ratios = [a / b for a, b in pairs]
        return float(np.median(ratios)) if ratios else float("nan")

    def median(self, key: tuple[str, str]) -> float:
        """Return the median of the rounds [s]."""
        return float(np.median(self.seconds.get(key, [np.nan])))


def make_scan(path: Path) -> None:
    """Write a scan of a counted disk, uncompressed, 2.1 GB."""
    row, column = np.ogrid[: SHAPE[2], : SHAPE[3]]
    disk = np.hypot(row - CENTER[0], column - CENTER[1]) < RADIUS / 1.25
    patterns = np.random.default_rng(0).poisson(8.0 * disk + 0.05, size=SHAPE[1:]).astype(np.uint16)
    scan = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint16, shape=SHAPE)
    for index, line in enumerate(scan):
        line[:] = np.roll(patterns, index, axis=0)
    scan.flush()


def environment(folder: Path, name: str) -> Path:
    """Return the interpreter of an environment with one package from PyPI, installed if need be."""
    python = folder / name / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not (folder / name / "installed").exists():
        print(f"installing {name} into {folder / name}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder / name)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "--prefer-binary", name], check=True)
        (folder / name / "installed").touch()
    return python


def runtimes(folder: Path) -> Path:
    """Return a folder with OpenVINO and ONNX Runtime beside, not in, this environment; installed if need be."""
    target = folder / "runtimes"
    if not (target / "installed").exists():
        words = ["-q", "--no-deps", "--target", str(target), "openvino", "openvino-telemetry", "onnxruntime", "onnx"]
        more = ["protobuf", "ml_dtypes", "flatbuffers"]
        subprocess.run([sys.executable, "-m", "pip", "install", *words, *more], check=True)
        (target / "installed").touch()
    return target


def versions(folder: Path, names: list[str]) -> dict[str, str]:
    """Return the versions of the peers."""
    ask = "from importlib.metadata import version; import sys; print(version(sys.argv[1]))"
    return {
        name: subprocess.run(
            [environment(folder, name), "-c", ask, name], check=True, capture_output=True, text=True
        ).stdout.strip()
        for name in names
    }


def compare(scan: Path, peers: Path, names: list[str], rounds: int) -> Times:
    """Let every program do every task, round by round, after one round that does not count."""
    programs = {"polarmap": Program("polarmap", sys.executable, scan)}
    programs |= {name: Program(name, environment(peers, name), scan) for name in names}
    times = Times()
    for number in range(rounds + 1):
        for task in ("read", "everything", *TASKS):
            for name, program in programs.items():
                if task in TASKS or name == "polarmap":
                    took = program.seconds(task)
                    if number:
                        times.seconds.setdefault((name, task), []).append(took)
        print(f"round {number} of {rounds}", flush=True)
    for program in programs.values():
        program.end()
    return times


def machine() -> str:
    """Name the machine."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = f"{names[0]}, {len(names)} processors" if names else model
    return f"{model}; {platform.system()}; Python {platform.python_version()}"


def against_peers(times: Times, found: dict[str, str]) -> list[str]:
    """Return the tables of the comparison as Markdown."""
    ours, read = "polarmap", ("polarmap", "read")
    once, alone = times.ratio((ours, "everything"), read), times.ratio((ours, "com"), read)
    pattern_ms, image_s = 1000 * times.median((ours, "pattern")), times.median((ours, "first image"))
    lines = [
        "| of this program | goal | measured |",
        "|---|---|---|",
        f"| centre of mass, mean pattern, bright and dark field in one pass / reading | at most 1.5 | {once:.2f} |",
        f"| centre of mass alone / reading | | {alone:.2f} |",
        f"| one pattern | at most 1 ms | {pattern_ms:.3f} ms |",
        f"| from opening the file (2.1 GB) to a first image | at most 1 s | {image_s:.2f} s |",
        "",
        "| time / that of this program | " + " | ".join(f"{PEERS[name]} {found[name]}" for name in found) + " |",
        "|---" * (1 + len(found)) + "|",
    ]
    lines += [
        f"| {text} | " + " | ".join(f"{times.ratio((name, task), (ours, task)):.1f}" for name in found) + " |"
        for task, text in TASKS.items()
    ]
    return lines


def growing(sizes: list[int], runs: int = 3) -> list[dict[str, Any]]:
    """Measure scans of these edges; the smallest, so many times, before and after each other one.

    A machine that others use too is slower at one minute than at another, and the largest takes many; so each
    is compared with the median of the smallest just before and just after.
    """
    names = ("first_pass_s_per_1000", "second_pass_s_per_1000", "together_s_per_1000")
    small = [[in_own_process(sizes[0]) for _ in range(runs)]]
    rows = []
    for edge in sizes[1:]:
        rows.append(in_own_process(edge))
        small.append([in_own_process(sizes[0]) for _ in range(runs)])
    every = [row for part in small for row in part]
    first = {name: float(np.median([row[name] for row in every])) for name in every[0]} | {"edge": sizes[0]}
    for row, beside in zip([first, *rows], [every, *(a + b for a, b in pairwise(small))], strict=True):
        row["relative"] = {name: row[name] / np.median([other[name] for other in beside]) for name in names}
    return [first, *rows]


def growth_rows(rows: list[dict[str, Any]]) -> list[str]:
    """Return the table of cost and memory against the number of positions."""
    lines = [
        "| positions | scan | processor time per position, first pass | second pass | together | most memory |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [f"{row[name]:.2f} ms ({share:.2f})" for name, share in row["relative"].items()]
        scan, most = f"{row['gigabytes']:.1f} GB", f"{row['peak_gigabytes']:.2f} GB"
        lines.append(f"| {row['edge']} x {row['edge']} | {scan} | {' | '.join(cells)} | {most} |")
    return lines


def page(parts: dict[str, list[str]], rounds: int) -> str:
    """Return docs/performance.md."""
    text = (HERE / "performance.md.in").read_text(encoding="utf-8")
    values: dict[str, Any] = {name: "\n".join(lines) for name, lines in parts.items()}
    values |= {"machine": machine(), "date": datetime.now(UTC).date(), "rounds": rounds}
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    return text


def measure(steps: dict[str, Callable[[], list[str]]], kept: Path, *, resume: bool) -> dict[str, list[str]]:
    """Do one step after the other and print its lines, which are kept in a file; with `resume` those of today stay."""
    when = f"{machine()}, {datetime.now(UTC).date()}"
    found = json.loads(kept.read_text(encoding="utf-8")) if resume and kept.is_file() else {}
    parts: dict[str, list[str]] = found.get(when, {})
    for name, step in steps.items():
        if name not in parts:
            parts[name] = step()
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps({when: parts}), encoding="utf-8")
        print("\n".join(parts[name]), flush=True)
    return parts


def peers_rows(environments: Path, only: list[str], rounds: int) -> list[str]:
    """Compare with the peers on a scan made for it."""
    with tempfile.TemporaryDirectory() as folder:
        scan = Path(folder) / "scan.npy"
        make_scan(scan)
        found = versions(environments, only)
        return against_peers(compare(scan, environments, only, rounds), found)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", type=Path, default=Path("build/peers"), help="folder of the peers' environments")
    parser.add_argument("--only", nargs="*", default=list(PEERS), metavar="PEER", help="peers to compare with")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256, 512], help="of the growing scan")
    parser.add_argument("--resume", action="store_true", help="keep what was measured today, and measure the rest")
    parser.add_argument("--out", type=Path, default=Path("docs/performance.md"))
    args = parser.parse_args()
    steps = {
        "peers": lambda: peers_rows(args.peers, args.only, args.rounds),
        "map": map_row,
        "cluster": cluster_rows,
        "networks": lambda: classifier_rows(runtimes(args.peers)),
        "growth": lambda: growth_rows(growing(args.sizes)),
    }
    parts = measure(steps, Path("build/bench-speed.json"), resume=args.resume)
    args.out.write_text(page(parts, args.rounds), encoding="utf-8")
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
