"""What a map costs as the scan grows: ``python benchmarks/growth.py 64 128 256 512``.

Each size is mapped in a process of its own, from patterns that are made when they are read: a part of the packaged
sample, repeated in all four directions, on a detector of 224 x 224 pixels. Every size has the same length of walls for
its area, two straight ones in each 64 columns. So 512 x 512 positions are a scan of 26 GB of
which nothing is stored. Printed are its size, the seconds of processor time per 1,000 positions of the two passes, all
of it but imports, and the most memory the process ever held.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ENLARGED = 4


class Repeated:
    """The two domains of the sample, repeated over as many positions as asked for, each pixel over several."""

    def __init__(self, source: NDArray[Any], scan_shape: tuple[int, int]) -> None:
        wall = source.shape[1] // 2
        # 4 x 8 cells with the wall in their middle, which begin and end with half a domain, so far from any wall.
        part = source[:32, wall - 32 : wall + 32]
        self.source, self.dtype = np.roll(part, (16, 16), axis=(0, 1)), source.dtype
        self.shape = (*scan_shape, *(ENLARGED * n for n in source.shape[2:]))

    def __getitem__(self, key: Any) -> NDArray[Any]:
        whole = (*key, *(slice(None),) * (4 - len(key))) if isinstance(key, tuple) else (key, *(slice(None),) * 3)
        numbers = [np.atleast_1d(np.arange(n)[part]) for part, n in zip(whole, self.shape, strict=True)]
        index = [at % n for at, n in zip(numbers[:2], self.source.shape[:2], strict=True)]
        index += [at // ENLARGED for at in numbers[2:]]
        return self.source[np.ix_(*index)]


def peak_gigabytes() -> float:
    """Return the most memory that this program held, without that of the one that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return float(line.split()[1]) * 1024 / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def measure(edge: int, model: str) -> dict[str, Any]:
    """Map a generated scan in this process."""
    from napari_polarmap import load_classifier, map_polarization, open_scan
    from napari_polarmap.core.data import Scan4D
    from napari_polarmap.pipeline.inspection import inspect_scan
    from napari_polarmap.plugin import sample_path

    with open_scan(sample_path("two_domains")) as sample:
        patterns, calibration = sample.read(slice(None), slice(None)), sample.calibrated().calibration
    scan = Scan4D(Repeated(patterns, (edge, edge)), calibration, name=f"{edge} x {edge}")
    scan = scan.calibrated(mrad_per_px=calibration.mrad_per_px / ENLARGED)  # type: ignore[operator]
    classifier = load_classifier(model)
    times = [time.process_time()]
    inspection = inspect_scan(scan)
    times.append(time.process_time())
    result = map_polarization(scan, classifier, inspection=inspection)
    times.append(time.process_time())
    first, second = (1000 * spent / edge**2 for spent in np.diff(times))
    return {
        "edge": edge,
        "gigabytes": scan.nbytes / 1e9,
        "first_pass_s_per_1000": first,
        "second_pass_s_per_1000": second,
        "together_s_per_1000": first + second,
        "peak_gigabytes": peak_gigabytes(),
        "undefined": float((result.domain == 255).mean()),
    }


def in_own_process(edge: int, model: str = "template-niobate") -> dict[str, Any]:
    """Map a generated scan in a process of its own."""
    done = subprocess.run([sys.executable, __file__, "--one", str(edge), model], check=True, capture_output=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    """Print one line for each size."""
    if sys.argv[1] == "--one":
        print(json.dumps(measure(int(sys.argv[2]), sys.argv[3])))
        return
    for edge in map(int, sys.argv[1:]):
        print(json.dumps(in_own_process(edge)), flush=True)


if __name__ == "__main__":
    main()
