"""What other programs do with one scan, timed inside their own environment.

Run as ``python peer_tasks.py PROGRAM SCAN.npy CY CX RADIUS``; each line on standard input names a task, each line
on standard output tells the seconds it took. Nothing of napari-polarmap is imported but for PROGRAM ``polarmap``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Tasks = dict[str, Callable[[], Any]]


def polarmap(path: Path, center: tuple[float, float], radius: float) -> Tasks:
    from napari_polarmap import open_scan
    from napari_polarmap.core.preprocessing import Disk, disk_centers_of_mass, scan_statistics
    from napari_polarmap.pipeline.preview import quick_look

    disk = Disk(center_px=center, radius_px=radius / 1.25)  # the mask reaches 1.25 times as far
    scan = open_scan(path)
    buffer = np.empty(32 * 2**20, np.uint8)

    def read() -> None:
        with path.open("rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass

    def first_image() -> None:
        with open_scan(path) as fresh:
            quick_look(fresh)

    everything = lambda: scan_statistics(scan, disk=disk)  # noqa: E731
    return {
        "read": read,
        "everything": everything,
        "com": lambda: disk_centers_of_mass(scan, disk),
        "bright": everything,
        "mean": everything,
        "pattern": lambda: scan.pattern(31, 77).sum(),
        "first image": first_image,
    }


def libertem(path: Path, center: tuple[float, float], radius: float) -> Tasks:
    import libertem.api as lt
    from libertem.udf.sum import SumUDF

    context = lt.Context()
    data = context.load("npy", path=str(path))
    cy, cx = center
    com = context.create_com_analysis(data, cx=cx, cy=cy, mask_radius=radius)
    bright = context.create_disk_analysis(data, cx=cx, cy=cy, r=radius)
    pick = context.create_pick_analysis(data, x=77, y=31)
    return {
        "com": lambda: context.run(com),
        "bright": lambda: context.run(bright),
        "mean": lambda: context.run_udf(data, SumUDF()),
        "pattern": lambda: context.run(pick),
        "first image": lambda: context.run(context.create_disk_analysis(context.load("npy", path=str(path)))),
    }


def py4DSTEM(path: Path, center: tuple[float, float], radius: float) -> Tasks:
    from py4DSTEM import DataCube
    from py4DSTEM.process.phase import DPC

    cube = DataCube(data=np.load(path, mmap_mode="r"))
    y, x = np.ogrid[: cube.data.shape[2], : cube.data.shape[3]]
    mask = np.hypot(y - center[0], x - center[1]) <= radius
    phase = DPC(datacube=cube, energy=200e3, verbose=False)
    calibrated = phase._extract_intensities_and_calibrations_from_datacube(cube, require_calibrations=False)

    def com() -> Any:
        return phase._calculate_intensities_center_of_mass(
            calibrated, dp_mask=mask, fit_function="constant", vectorized_calculation=False
        )

    def bright() -> Any:
        return cube.get_virtual_image(mode="circle", geometry=(center, radius), name="bright", returncalc=True)

    def first_image() -> Any:
        fresh = DataCube(data=np.load(path, mmap_mode="r"))
        return fresh.get_virtual_image(mode="circle", geometry=(center, radius), name="bright", returncalc=True)

    return {
        "com": com,
        "bright": bright,
        "mean": lambda: cube.get_dp_mean(returncalc=True),
        "pattern": lambda: np.asarray(cube.data[31, 77]).sum(),
        "first image": first_image,
    }


def pyxem(path: Path, center: tuple[float, float], radius: float) -> Tasks:
    import dask.array as da
    from pyxem.signals import LazyDiffraction2D

    signal = LazyDiffraction2D(da.from_array(np.load(path, mmap_mode="r"), chunks=(16, 16, -1, -1)))
    y, x = np.ogrid[: signal.data.shape[2], : signal.data.shape[3]]
    mask = np.hypot(y - center[0], x - center[1]) <= radius
    bright = lambda s: (s.data * mask).sum(axis=(2, 3)).compute()  # noqa: E731
    return {
        "com": lambda: signal.get_direct_beam_position(
            method="center_of_mass", mask=(center[1], center[0], radius), lazy_output=False
        ),
        "bright": lambda: bright(signal),
        "mean": lambda: signal.mean(axis=(0, 1)).compute(),
        "pattern": lambda: signal.inav[77, 31].data.compute(),
        "first image": lambda: bright(
            LazyDiffraction2D(da.from_array(np.load(path, mmap_mode="r"), chunks=(16, 16, -1, -1)))
        ),
    }


def main() -> None:
    """Do tasks until the input ends."""
    out, sys.stdout = sys.stdout, sys.stderr  # programs may print
    program, path, *circle = sys.argv[1:]
    cy, cx, radius = map(float, circle)
    known = {"polarmap": polarmap, "libertem": libertem, "py4DSTEM": py4DSTEM, "pyxem": pyxem}
    tasks = known[program](Path(path), (cy, cx), radius)
    print("ready", file=out, flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        tasks[line.strip()]()
        print(time.perf_counter() - start, file=out, flush=True)


if __name__ == "__main__":
    main()
