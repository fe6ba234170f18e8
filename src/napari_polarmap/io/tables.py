"""Maps as tables: one line per scan position, per domain, and per irregular region."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.directions import ANGLES_DEG, LABELS, UNDEFINED
from napari_polarmap.core.domain_table import Domain, find_domains
from napari_polarmap.core.whole_file import whole_file
from napari_polarmap.io.display import axis_offset_deg
from napari_polarmap.io.ome import CHANNELS, CLASS_MAPS, step_nm
from napari_polarmap.io.result import PolarizationMap

_REGION_FIELDS: Final = (
    "number", "kind", "directions", "positions", "cells", "area_nm2", "centre_px", "peak_px", "peak_score", "p_value",
    "box_px",
)  # fmt: skip
REGION_COLUMNS: Final = (
    "number", "kind", "directions", "positions", "cells", "area_nm2", "centre_row", "centre_column", "peak_row",
    "peak_column", "peak_score", "p_value", "first_row", "first_column", "last_row", "last_column",
)  # fmt: skip
"""Columns of the table of irregular regions; places in scan positions."""


def write_csv(result: PolarizationMap, folder: Path, stem: str) -> list[Path]:
    """Write one line per scan position, per domain and, where the result holds them, per irregular region."""
    return [
        _write_positions(result, folder, stem),
        _write_domains(result, folder, stem),
        *_write_regions(result, folder, stem),
    ]


def _write_positions(result: PolarizationMap, folder: Path, stem: str) -> Path:
    """Write one line per scan position; what is undefined stays empty."""
    rows, columns = np.indices(result.scan_shape)
    table: dict[str, NDArray[Any]] = {"row": rows, "column": columns}
    if (step := step_nm(result)) is not None:
        table |= {"y_nm": rows * step, "x_nm": columns * step}
    names = np.array([*LABELS, *[""] * (UNDEFINED + 1 - len(LABELS))])
    for name, array in result.arrays().items():
        if name in CHANNELS:
            table |= {f"{name}_{part}": array[..., index] for index, part in enumerate(CHANNELS[name])}
        elif name in CLASS_MAPS:
            table[name] = names[array]
        else:
            table[name] = array.astype(np.uint8) if array.dtype == np.bool_ else array
    lines = zip(*(_texts(values) for values in table.values()), strict=True)
    return _write(folder / f"{stem}.csv", list(table), lines)


def _write_domains(result: PolarizationMap, folder: Path, stem: str) -> Path:
    """Write one line per domain of the published map, the largest first."""
    table = domain_table(result)
    return _write(
        folder / f"{stem}_domains.csv",
        list(DOMAIN_COLUMNS),
        ([_text(value) for value in line.values()] for line in table),
    )


DOMAIN_COLUMNS: Final = (
    "number", "direction", "angle_deg", "positions", "share", "area_nm2", "boundary_nm", "whole", "centre_row",
    "centre_column", "first_row", "first_column", "last_row", "last_column", "confidence", "irregular_share",
    "estimated_angle_deg", "estimated_angle_spread_deg", "magnitude", "thickness_nm", "tilt_mrad",
)  # fmt: skip
"""Columns of the table of domains: places in scan positions, means over the positions of a domain."""


def domain_table(result: PolarizationMap) -> list[dict[str, Any]]:
    """Return what is known of each domain, by `DOMAIN_COLUMNS`; None where something is not known."""
    domains, number = find_domains(result.domain)
    step = step_nm(result)
    flat = number.ravel()
    order = np.argsort(flat, kind="stable")
    ends = np.cumsum(np.bincount(flat, minlength=len(domains) + 1))
    return [
        _domain_line(result, domain, order[ends[domain.number - 1] : ends[domain.number]], step) for domain in domains
    ]


def _domain_line(
    result: PolarizationMap, domain: Domain, place: NDArray[np.intp], step: float | None
) -> dict[str, Any]:
    def mean(values: NDArray[Any] | None) -> float | None:
        known = np.array([]) if values is None else values.ravel()[place].astype(np.float64)
        known = known[np.isfinite(known)]
        return float(known.mean()) if known.size else None

    angle, spread = _mean_angle(result.estimated_angle_deg, place)
    tilt = None if result.tilt_mrad is None else np.hypot(result.tilt_mrad[..., 0], result.tilt_mrad[..., 1])
    return dict(
        zip(
            DOMAIN_COLUMNS,
            (
                domain.number,
                LABELS[domain.direction],
                float(ANGLES_DEG[domain.direction] + axis_offset_deg(result)) % 360,
                domain.positions,
                domain.positions / result.domain.size,
                None if step is None else domain.positions * step**2,
                None if step is None else domain.boundary_px * step,
                int(domain.whole),
                *domain.centre_px,
                *domain.box_px,
                mean(result.confidence),
                mean(result.irregular),
                angle,
                spread,
                mean(result.magnitude),
                mean(result.thickness_nm),
                mean(tilt),
            ),
            strict=True,
        )
    )


def _mean_angle(angle_deg: NDArray[np.floating] | None, place: NDArray[np.intp]) -> tuple[float | None, float | None]:
    """Return circular mean and circular standard deviation [degrees] of the finite angles at some places."""
    if angle_deg is None:
        return None, None
    known = np.deg2rad(angle_deg.ravel()[place].astype(np.float64))
    known = known[np.isfinite(known)]
    if not known.size:
        return None, None
    mean = np.exp(1j * known).mean()
    spread = np.sqrt(max(0.0, -2 * np.log(max(abs(mean), 1e-12))))
    return float(np.degrees(np.angle(mean)) % 360), float(np.degrees(spread))


def _write_regions(result: PolarizationMap, folder: Path, stem: str) -> list[Path]:
    """Write one line per irregular region, where the result holds their table."""
    regions = result.provenance.get("regions")
    if regions is None:
        return []
    lines = ([_text(part) for name in _REGION_FIELDS for part in _split(region.get(name))] for region in regions)
    return [_write(folder / f"{stem}_regions.csv", REGION_COLUMNS, lines)]


def _write(path: Path, columns: Sequence[str], lines: Iterable[Iterable[Any]]) -> Path:
    with whole_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(lines)
    return path


def _split(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> Any:
    return "" if value is None else f"{value:.7g}" if isinstance(value, float) else value


def _texts(values: NDArray[Any]) -> list[str]:
    if values.dtype.kind == "f":
        return ["" if value != value else f"{value:.7g}" for value in values.ravel().tolist()]
    return [str(value) for value in values.ravel().tolist()]
