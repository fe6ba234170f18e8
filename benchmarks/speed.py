"""How fast this machine maps: run with ``make bench``; compare figures of one machine only.

A scan of counts is made once in a temporary folder; each figure is the best of three runs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from napari_polarmap import load_classifier, map_polarization, open_scan
from napari_polarmap.core.preprocessing import scan_statistics
from napari_polarmap.models.registry import list_models
from napari_polarmap.plugin import SAMPLES, sample_path

SHAPE = (64, 64, 128, 128)


def best_of(runs: int, task: Callable[[], object]) -> float:
    """Return the shortest of some run times [s]."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        task()
        times.append(time.perf_counter() - start)
    return min(times)


def report(what: str, seconds: float, amount: float = 0, unit: str = "") -> None:
    """Print one line of the table."""
    rate = f"{amount / seconds:12,.0f} {unit}/s" if unit else ""
    print(f"{what:<44}{seconds:9.3f} s{rate}")


def make_scan(path: Path) -> None:
    """Write a scan of a counted disk, uncompressed."""
    row, column = np.ogrid[: SHAPE[2], : SHAPE[3]]
    disk = np.hypot(row - 61.3, column - 66.8) < 24
    counts = np.random.default_rng(0).poisson(8.0 * disk + 0.05, size=SHAPE)
    np.save(path, counts.astype(np.uint16))


def command(*words: str) -> Callable[[], object]:
    """Return a task that runs the command line."""
    return lambda: subprocess.run([sys.executable, "-m", "napari_polarmap", *words], check=True, capture_output=True)


def main() -> None:
    """Print the table."""
    report("polarmap --help", best_of(3, command("--help")))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.npy"
        make_scan(path)
        megabytes = path.stat().st_size / 1e6
        with open_scan(path) as scan:
            report("read the file", best_of(3, path.read_bytes), megabytes, "MB")
            report("statistics of a scan", best_of(3, lambda: scan_statistics(scan)), megabytes, "MB")
    patterns = np.random.default_rng(0).random((1024, 64, 64), dtype=np.float32)
    for info in list_models():
        classifier = load_classifier(info.name)
        seconds = best_of(3, lambda classifier=classifier: classifier.predict(patterns, pooled=True))  # type: ignore[misc]
        report(f"classify with {info.name}", seconds, len(patterns), "patterns")
    recommended = load_classifier(list_models()[0].name)
    for name in SAMPLES:
        with open_scan(sample_path(name)) as scan:
            positions = scan.scan_shape[0] * scan.scan_shape[1]
            seconds = best_of(3, lambda scan=scan: map_polarization(scan, recommended))  # type: ignore[misc]
            report(f"map the sample {name}", seconds, positions, "positions")


if __name__ == "__main__":
    main()
