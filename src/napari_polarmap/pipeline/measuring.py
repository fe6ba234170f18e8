"""The automatic values of a scan's calibration, part by part, and how good each is."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, Final

import numpy as np

from napari_polarmap.core.bad_pixels import find_bad_pixels
from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.descan import fit_descan
from napari_polarmap.core.ellipse import find_ellipse
from napari_polarmap.core.field import field_waves
from napari_polarmap.core.polarity import find_polarity
from napari_polarmap.core.rim import rim_radius
from napari_polarmap.core.rotation import find_rotation
from napari_polarmap.pipeline.inspection import NOMINAL_LATTICE_A, Inspection, Progress
from napari_polarmap.pipeline.scan_calibration import PARTS, Measured

_ROUND: Final = 0.003
"""Ellipses that differ less from a circle are not told from one; see docs/calibration.md."""
_MOST_ERROR_DEG: Final = 10.0
"""A rotation with a larger standard error is not stated."""


def measure(part: str, scan: Scan4D, inspection: Inspection) -> Measured:
    """Return the automatic value of one part of the calibration; reads no patterns.

    Parameters
    ----------
    part : str
        Of `PARTS`.
    scan : Scan4D
    inspection : Inspection
        Of this scan.

    Raises
    ------
    ValueError
        With one sentence, if this scan does not tell, or `part` is none.
    """
    if part not in PARTS:
        raise ValueError(f"{part} is no part of a calibration; choose of {', '.join(PARTS)}")
    return _MEASURES[part](scan, inspection)


def measure_all(scan: Scan4D, inspection: Inspection) -> tuple[list[Measured], dict[str, str]]:
    """Run `measure_steps` to its end."""
    steps = measure_steps(scan, inspection)
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            result: tuple[list[Measured], dict[str, str]] = finished.value
            return result


def measure_steps(
    scan: Scan4D, inspection: Inspection
) -> Generator[Progress, None, tuple[list[Measured], dict[str, str]]]:
    """Return what can be measured, and the reasons for the rest by part; tell how many parts are done."""
    found, reasons = [], {}
    for done, part in enumerate(PARTS):
        yield Progress(f"measuring {part.replace('_', ' ')}", done, len(PARTS))
        try:
            found.append(measure(part, scan, inspection))
        except ValueError as error:
            reasons[part] = str(error)
    return found, reasons


def measure_reference(reference: Scan4D, inspection: Inspection, scan_shape: tuple[int, int]) -> Measured:
    """Return descan and disk centre from a scan of the same field without specimen.

    Parameters
    ----------
    reference : Scan4D
        Over vacuum or a thin even film, with the same optics; it may have other steps.
    inspection : Inspection
        Of the reference.
    scan_shape : (int, int)
        Of the scan that is calibrated, which covers the same field.
    """
    statistics = inspection.statistics
    centers = fit_descan(statistics.com_px, statistics.total, center_px=inspection.descan.disk.center_px)
    rows, columns = reference.scan_shape
    corners = centers[[0, -1, 0], [0, 0, -1]]
    slopes = np.stack([(corners[1] - corners[0]) / max(rows - 1, 1), (corners[2] - corners[0]) / max(columns - 1, 1)])
    slopes *= (np.array(reference.scan_shape) / np.array(scan_shape))[:, None]
    tiles = _tile_means(statistics.com_px - centers, statistics.tile_edges)
    scatter_px = float(np.sqrt(np.nanmean((tiles**2).sum(axis=-1))))
    descan = tuple(float(value) for value in slopes.T.ravel())
    y, x = inspection.descan.disk.center_px
    return Measured(
        part="descan",
        changes={"descan": descan, "center_px": (float(y), float(x))},
        value=f"{_travel(descan, scan_shape)}, centre at row {y:.2f}, column {x:.2f} (reference {reference.name})",
        residual=f"parts of the reference lie {scatter_px:.2f} px off the plane",
        good=scatter_px < 0.5,
    )


def _tile_means(values: Any, edges: Any) -> Any:
    return np.array(
        [
            np.nanmean(values[top:bottom, left:right], axis=(0, 1))
            for top, bottom in zip(edges[0][:-1], edges[0][1:], strict=True)
            for left, right in zip(edges[1][:-1], edges[1][1:], strict=True)
        ]
    )


def _travel(descan: tuple[float, ...], scan_shape: tuple[int, int]) -> str:
    """Return how far the disk moves from one side of the scan to the other, in words."""
    down, across = (np.hypot(descan[k], descan[2 + k]) * scan_shape[k] for k in (0, 1))
    return f"{down:.2f} px over the rows, {across:.2f} px over the columns"


def _disk(scan: Scan4D, inspection: Inspection) -> Measured:
    del scan
    disk, descan = inspection.descan.disk, inspection.descan
    radius_px, width_px = rim_radius(inspection.statistics.mean_pattern, disk)
    y, x = disk.center_px
    scatter = descan.radius_scatter_px
    parts = "" if np.isnan(scatter) else f", radius differs by {scatter:.2f} px over {descan.n_parts} parts"
    return Measured(
        part="disk",
        changes={"center_px": (float(y), float(x)), "radius_px": radius_px},
        value=f"row {y:.2f}, column {x:.2f}, radius {radius_px:.2f} px",
        residual=f"rim blurred over {width_px:.1f} px, {100 * disk.residual:.1f} % of it rises{parts}",
        good=disk.residual < 0.1 and not scatter > 0.05 * disk.radius_px,
    )


def _descan(scan: Scan4D, inspection: Inspection) -> Measured:
    found = inspection.descan
    if np.isnan(found.scatter_px):
        raise ValueError(f"the disk is seen in {found.n_parts} parts of the scan; at least 6 tell how it moves")
    return Measured(
        part="descan",
        changes={"descan": found.slopes_px},
        value=_travel(found.slopes_px, scan.scan_shape) if any(found.slopes_px) else "the disk stands still",
        residual=f"{found.n_parts} parts lie {found.scatter_px:.2f} px off the plane",
        good=found.scatter_px < 0.5,
    )


def _pixel_size(scan: Scan4D, inspection: Inspection) -> Measured:
    known = scan.calibration
    radius_px = known.radius_px or rim_radius(inspection.statistics.mean_pattern, inspection.descan.disk)[0]
    scatter = inspection.descan.radius_scatter_px
    error = 0.0 if np.isnan(scatter) else scatter / radius_px / np.sqrt(inspection.descan.n_parts)
    if known.convergence_mrad is None:
        if known.mrad_per_px is None:
            raise ValueError("neither the convergence angle nor the pixel size is known; enter one of them")
        value = known.mrad_per_px * radius_px
        return Measured(
            part="pixel_size",
            changes={"convergence_mrad": float(value)},
            value=f"convergence {value:.3g} mrad from the radius of the disk",
            residual=f"radius scatters by {100 * error:.2f} %",
            good=error < 0.02,
        )
    value = known.convergence_mrad / radius_px
    before = known.mrad_per_px
    told = "" if before is None else f"; {100 * (value / before - 1):+.1f} % against {before:.4g} so far"
    return Measured(
        part="pixel_size",
        changes={"mrad_per_px": float(value)},
        value=f"{value:.4g} mrad per pixel from {known.convergence_mrad:g} mrad convergence",
        residual=f"radius scatters by {100 * error:.2f} %{told}",
        good=error < 0.02 and (before is None or abs(value / before - 1) < 0.05),
    )


def _scan_step(scan: Scan4D, inspection: Inspection) -> Measured:
    lattice = inspection.lattice
    if not lattice.resolved:
        raise ValueError(f"the lattice of the scan is not resolved ({lattice.reason})")
    lengths = np.linalg.norm(lattice.vectors_px, axis=1)
    value = float(NOMINAL_LATTICE_A / np.sqrt(lattice.cell_area_px))
    before = scan.calibration.scan_step_A
    told = "" if before is None else f"; {100 * (value / before - 1):+.1f} % against {before:.4g} Å so far"
    uneven = float(lengths.max() / lengths.min() - 1)
    return Measured(
        part="scan_step",
        changes={"scan_step_A": value},
        value=f"{value:.4g} Å from a cell of {NOMINAL_LATTICE_A} Å",
        residual=f"the two lattice vectors differ by {100 * uneven:.1f} %{told}",
        good=uneven < 0.03 and (before is None or abs(value / before - 1) < 0.05),
    )


def _rotation(scan: Scan4D, inspection: Inspection) -> Measured:
    known = scan.calibration
    statistics = inspection.statistics
    waves = field_waves(statistics.com_px, statistics.bright, inspection.lattice)
    found = find_rotation(waves)
    if not found.handed and found.flip != known.flip:
        found = find_rotation(waves, known.flip)
    if not (found.told and found.error_deg < _MOST_ERROR_DEG):
        raise ValueError(
            f"the rotation drowns in the noise of the centres of mass (± {found.error_deg:.0f}° at best): too few "
            "electrons, or too wide a probe; enter it by hand, or measure it on a scan with more electrons"
        )
    polarity = find_polarity(waves, found.rotation_deg, found.flip)
    turned = polarity.turned
    if not polarity.sure:  # the side nearer to what is known
        turned = abs((found.rotation_deg - known.rotation_deg + 180) % 360 - 180) > 90
    angle = (found.rotation_deg + (180 if turned else 0) + 180) % 360 - 180
    hand = "mirrored" if found.flip else "not mirrored"
    doubts = [] if found.handed else ["the handedness is not told"]
    doubts += (
        [] if polarity.sure else [f"180° more is as likely ({polarity.reason}), the side nearer to before was taken"]
    )
    certain = f"; this side of 180° is {100 * polarity.probability:.0f} % sure" if polarity.sure else ""
    return Measured(
        part="rotation",
        changes={"rotation_deg": float(angle), "flip": found.flip},
        value=f"{angle:.1f}°, {hand}",
        residual=(
            f"± {found.error_deg:.1f}°, curl {100 * max(found.curl, 0):.0f} % of the field "
            f"({100 * max(found.other_curl, 0):.0f} % with the other hand){certain}"
            + "".join(f"; {doubt}" for doubt in doubts)
        ),
        good=found.error_deg < 5 and not doubts,
    )


def _crystal_axis(scan: Scan4D, inspection: Inspection) -> Measured:
    del scan
    lattice = inspection.lattice
    if not lattice.resolved:
        raise ValueError(f"the lattice of the scan is not resolved ({lattice.reason})")
    angles = [float(np.rad2deg(np.arctan2(-y, x))) for y, x in lattice.vectors_px]
    # The second vector points down; a quarter turn brings it onto the first.
    gap = (angles[1] + 90 - angles[0] + 45) % 90 - 45
    angle = (angles[0] + gap / 2 + 45) % 90 - 45
    return Measured(
        part="crystal_axis",
        changes={"crystal_angle_deg": float(angle)},
        value=f"{angle:.2f}° from the lattice of the virtual images",
        residual=f"the two axes lie {90 + gap:.2f}° apart",
        good=abs(gap) < 2,
    )


def _ellipse(scan: Scan4D, inspection: Inspection) -> Measured:
    del scan
    found = find_ellipse(inspection.statistics, inspection.descan)
    seen = found.ratio - 1 > max(2 * found.error, _ROUND)
    changes = {"ellipse_ratio": found.ratio, "ellipse_angle_deg": found.angle_deg}
    told = f"{100 * (found.ratio - 1):.2f} % longer along {found.angle_deg:.0f}°"
    return Measured(
        part="ellipse",
        changes=changes if seen else {"ellipse_ratio": 1.0, "ellipse_angle_deg": 0.0},
        value=told if seen else "round",
        residual=f"{100 * (found.ratio - 1):.2f} ± {100 * found.error:.2f} % out of round",
        good=found.error < 0.01,
    )


def _bad_pixels(scan: Scan4D, inspection: Inspection) -> Measured:
    pattern = inspection.statistics.mean_pattern
    counts = scan.dtype.kind in "ui"
    dead, hot = find_bad_pixels(pattern, int(np.prod(scan.scan_shape)) if counts else None)
    known = set(scan.calibration.bad_pixels)
    found = {(int(y), int(x)) for y, x in np.argwhere(dead | hot)} | known
    kept = f", {len(known)} known before" if known else ""
    return Measured(
        part="bad_pixels",
        changes={"bad_pixels": tuple(sorted(found))},
        value=f"{int(dead.sum())} dead, {int(hot.sum())} hot{kept}",
        residual=f"{100 * len(found) / pattern.size:.2f} % of the detector is filled from neighbours",
        good=len(found) < 0.005 * pattern.size,
    )


_MEASURES: Final[Mapping[str, Callable[[Scan4D, Inspection], Measured]]] = {
    "disk": _disk,
    "descan": _descan,
    "pixel_size": _pixel_size,
    "scan_step": _scan_step,
    "rotation": _rotation,
    "crystal_axis": _crystal_axis,
    "ellipse": _ellipse,
    "bad_pixels": _bad_pixels,
}
