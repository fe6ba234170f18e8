"""What can be measured of a scan before any classifier: disk, centres, calibration, lattice."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.bad_pixels import find_bad_pixels
from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.descan import Descan, centers_over, measure_descan
from napari_polarmap.core.lattice import Lattice, lattice_from_step
from napari_polarmap.core.lattice_search import find_lattice
from napari_polarmap.core.missing import missing_positions
from napari_polarmap.core.preprocessing import (
    Disk,
    ScanStatistics,
    find_disk,
    sample_mean,
    statistics_steps,
)

Centring = Literal["global", "plane", "position"]
CENTRINGS: Final = ("global", "plane", "position")
USUAL_CONVERGENCE_MRAD: Final = 24.0
NOMINAL_LATTICE_A: Final = 3.98
_ALIKE: Final = 0.02
"""Disks that differ by less than this share of their radius, or half a pixel, have the same centres of mass."""


@dataclass(frozen=True)
class Progress:
    """How far a run has come.

    Attributes
    ----------
    stage : str
        What is being done, in words.
    done, total : int
        Scan positions.
    """

    stage: str
    done: int
    total: int


@dataclass(frozen=True)
class Inspection:
    """First findings about a scan.

    Attributes
    ----------
    disk : Disk
    statistics : ScanStatistics
    lattice : Lattice
        Measured, or nominal from the scan step, or not known.
    mrad_per_px : float
    plane_px : ndarray, shape (scan_y, scan_x, 2)
        Centre of the disk at every position, as the calibration says or from its rim in parts of the scan.
    descan : Descan
        As measured, whatever the calibration says.
    notes : list of str
        Sentences on what was assumed or looks wrong.
    """

    disk: Disk
    statistics: ScanStatistics
    lattice: Lattice
    mrad_per_px: float
    plane_px: NDArray[np.float64]
    descan: Descan
    notes: list[str] = field(default_factory=list)


def inspect_scan(scan: Scan4D, *, progress: Callable[[Progress], None] | None = None) -> Inspection:
    """Run `inspection_steps` to its end."""
    steps = inspection_steps(scan)
    while True:
        try:
            step = next(steps)
        except StopIteration as finished:
            result: Inspection = finished.value
            return result
        if progress is not None:
            progress(step)


def inspection_steps(scan: Scan4D) -> Generator[Progress, None, Inspection]:
    """Measure disk, centres of mass, virtual images and lattice in one pass over the file.

    The disk is first sought in a sample of the patterns. Where the mean of all shows another one, a
    second pass uses that.

    Raises
    ------
    ValueError
        If the patterns show no disk, or hold no counts.
    """
    yield Progress("finding the disk", 0, 1)
    sampled = _disk(scan, sample_mean(scan))
    statistics = yield from _statistics(scan, sampled, "measuring centres of mass")
    disk = _disk(scan, statistics.mean_pattern)
    if _differ(disk, sampled):
        statistics = yield from _statistics(scan, disk, "measuring centres of mass again")
    return conclude(scan, statistics, measure_descan(statistics, disk))


def conclude(scan: Scan4D, statistics: ScanStatistics, descan: Descan) -> Inspection:
    """Return what a pass over a scan says together with its calibration.

    Parameters
    ----------
    scan : Scan4D
        Its calibration overrules what was measured; its data are not read.
    statistics : ScanStatistics
    descan : Descan
        As measured.
    """
    known = scan.calibration
    disk = replace(
        descan.disk,
        center_px=known.center_px or descan.disk.center_px,
        radius_px=known.radius_px or descan.disk.radius_px,
    )
    plane_px = centers_over(disk, known.descan or descan.slopes_px, scan.scan_shape)
    notes = []
    radius = None
    if known.mrad_per_px and known.convergence_mrad:
        radius = known.convergence_mrad / known.mrad_per_px
    if radius is not None and abs(disk.radius_px / radius - 1) > 0.1:
        notes.append(
            f"The disk has a radius of {disk.radius_px:.1f} px, but {known.convergence_mrad:g} mrad at "
            f"{known.mrad_per_px:g} mrad per pixel make {radius:.1f} px; check the calibration."
        )
    mrad_per_px = known.mrad_per_px
    if mrad_per_px is None:
        convergence = known.convergence_mrad
        if convergence is None:
            convergence = USUAL_CONVERGENCE_MRAD
            notes.append(f"The convergence angle is not known; {convergence:g} mrad was assumed from the disk.")
        mrad_per_px = convergence / disk.radius_px
    lattice = _lattice(scan, statistics, notes)
    if statistics.n_unreadable:
        notes.append(f"{statistics.n_unreadable} patterns could not be read; they are undefined in the map.")
    if not known.bad_pixels and (n_bad := _suspect_pixels(scan, statistics)):
        notes.append(
            f"{n_bad} detector pixel{'s look' if n_bad > 1 else ' looks'} dead or hot; measure the bad pixels, so that "
            "neighbours fill them."
        )
    if statistics.n_bad_pixels:
        notes.append(f"{statistics.n_bad_pixels} detector readings were not finite; they were counted as zero.")
    return Inspection(disk, statistics, lattice, mrad_per_px, plane_px, descan, notes)


def disk_centers(inspection: Inspection, center: Centring) -> NDArray[np.float64]:
    """Return the disk centre at every scan position, shape (scan_y, scan_x, 2).

    ``global`` is one centre for all, ``plane`` follows a linear descan, ``position``
    follows the centre of mass of every pattern, which also holds signal.
    """
    com = inspection.statistics.com_px
    fixed = np.broadcast_to(np.asarray(inspection.disk.center_px, dtype=np.float64), com.shape)
    if center == "global":
        return fixed
    if center == "plane":
        return inspection.plane_px
    moved = com - np.nanmedian(com, axis=(0, 1)) + inspection.disk.center_px
    return np.where(np.isfinite(moved), moved, fixed)


def _suspect_pixels(scan: Scan4D, statistics: ScanStatistics) -> int:
    counted = scan.dtype.kind in "ui"
    dead, hot = find_bad_pixels(statistics.mean_pattern, int(np.prod(scan.scan_shape)) if counted else None)
    return int(dead.sum() + hot.sum())


def _disk(scan: Scan4D, mean_pattern: NDArray[np.float64]) -> Disk:
    try:
        return find_disk(mean_pattern)
    except ValueError as error:
        known = scan.calibration
        if known.center_px is not None and known.radius_px is not None:
            return Disk(center_px=known.center_px, radius_px=known.radius_px, residual=1.0)
        raise ValueError(f"{scan.name}: {error}") from None


def _differ(disk: Disk, sampled: Disk) -> bool:
    """Whether centres of mass taken near the sampled disk would be others."""
    moved = np.subtract((*disk.center_px, disk.radius_px), (*sampled.center_px, sampled.radius_px))
    return bool(np.abs(moved).max() > max(0.5, _ALIKE * disk.radius_px))


def _statistics(scan: Scan4D, disk: Disk | None, stage: str) -> Generator[Progress, None, ScanStatistics]:
    steps = statistics_steps(scan, disk=disk)
    total = int(np.prod(scan.scan_shape))
    while True:
        try:
            yield Progress(stage, next(steps), total)
        except StopIteration as finished:
            result: ScanStatistics = finished.value
            return result


def _lattice(scan: Scan4D, statistics: ScanStatistics, notes: list[str]) -> Lattice:
    com = np.nan_to_num(statistics.com_px - np.nanmean(statistics.com_px, axis=(0, 1)))
    images = np.stack([statistics.bright, statistics.total - statistics.bright, com[..., 0], com[..., 1]])
    missing = missing_positions(statistics.total, counted=scan.dtype.kind in "ui")
    if missing.any():
        images[:, missing] = images[:, ~missing].mean(axis=1, keepdims=True)
    known = scan.calibration
    lattice = find_lattice(images, None if known.scan_step_A is None else NOMINAL_LATTICE_A / known.scan_step_A)
    if lattice.resolved or known.scan_step_A is None:
        if not lattice.resolved:
            notes.append(f"The lattice is not resolved ({lattice.reason}) and the scan step is not known.")
        return lattice
    nominal = lattice_from_step(known.scan_step_A, NOMINAL_LATTICE_A, known.crystal_angle_deg)
    notes.append(
        f"The lattice is not resolved ({lattice.reason}); windows use the nominal cell of {NOMINAL_LATTICE_A} A at "
        f"steps of {known.scan_step_A:g} A."
    )
    return nominal
