"""Write the maps of a result in formats that other programs read."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.directions import LABELS, UNDEFINED
from napari_polarmap.core.whole_file import whole_file
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
_AXES_OF: Final = {"probability": LABELS, "com_px": ("y", "x"), "tilt_mrad": ("y", "x")}


def export_map(
    result: PolarizationMap,
    folder: str | Path,
    formats: Sequence[str] = ("tiff", "csv", "png"),
    stem: str = "polarization",
) -> list[Path]:
    """Write a result into a folder, each file under a temporary name until it is whole.

    Parameters
    ----------
    result : PolarizationMap
    folder : str or Path
        Made if it is not there; nothing is written outside it.
    formats : sequence of str
        Of `FORMATS`: ``tiff`` (one per map, readable by ImageJ, with the pixel size),
        ``csv`` (one line per scan position, and one per irregular region), ``png``, ``svg``, ``pdf`` (the figure),
        ``zarr`` (all maps in one store).
    stem : str
        Beginning of every file name.

    Returns
    -------
    paths : list of Path
        What was written.

    Raises
    ------
    ValueError
        For an unknown format, a stem that is no plain name, or a folder that is a file.
    OSError
        If the folder cannot be written.
    """
    folder = Path(folder)
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise ValueError(f"{unknown[0] if unknown else 'no format'!r}: formats to export are {', '.join(FORMATS)}")
    if not stem or stem in (".", "..") or Path(stem).name != stem or "\\" in stem or "\0" in stem:
        raise ValueError(f"{stem!r}: file names begin with a plain name, without folders")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: a file; name a folder to export to")
    folder.mkdir(parents=True, exist_ok=True)
    return [path for name in dict.fromkeys(formats) for path in FORMATS[name](result, folder, stem)]


def _step_nm(result: PolarizationMap) -> float | None:
    step_A = (result.provenance.get("calibration") or {}).get("scan_step_A")
    return None if not step_A else float(step_A) / 10


def write_tiffs(result: PolarizationMap, folder: Path, stem: str) -> list[Path]:
    """Write one TIFF per map; masks are 0 and 255, axes beyond the scan become channels."""
    import tifffile

    step_nm = _step_nm(result)
    size: dict[str, Any] = {} if step_nm is None else {"resolution": (1 / step_nm, 1 / step_nm)}
    paths = []
    for name, array in result.arrays().items():
        values: NDArray[Any] = array.astype(np.uint8) * 255 if array.dtype == np.bool_ else array
        metadata: dict[str, Any] = {"axes": "YX", "unit": "pixel" if step_nm is None else "nm"}
        if name in _AXES_OF:
            values = np.moveaxis(values, -1, 0)
            metadata |= {"axes": "CYX", "Labels": list(_AXES_OF[name])}
        path = folder / f"{stem}_{name}.tif"
        with whole_file(path) as partial:
            tifffile.imwrite(partial, np.ascontiguousarray(values), imagej=True, metadata=metadata, **size)
        paths.append(path)
    return paths


def write_csv(result: PolarizationMap, folder: Path, stem: str) -> list[Path]:
    """Write one line per scan position; what is undefined stays empty."""
    rows, columns = np.indices(result.scan_shape)
    table: dict[str, NDArray[Any]] = {"row": rows, "column": columns}
    if (step_nm := _step_nm(result)) is not None:
        table |= {"y_nm": rows * step_nm, "x_nm": columns * step_nm}
    names = np.array([*LABELS, *[""] * (UNDEFINED + 1 - len(LABELS))])
    for name, array in result.arrays().items():
        if name in _AXES_OF:
            table |= {f"{name}_{part}": array[..., index] for index, part in enumerate(_AXES_OF[name])}
        elif name in ("direction", "domain", "single_direction"):
            table[name] = names[array]
        else:
            table[name] = array.astype(np.uint8) if array.dtype == np.bool_ else array
    path = folder / f"{stem}.csv"
    with whole_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(table)
        writer.writerows(zip(*(_texts(values) for values in table.values()), strict=True))
    return [path, *_write_regions(result, folder, stem)]


def _write_regions(result: PolarizationMap, folder: Path, stem: str) -> list[Path]:
    """Write one line per irregular region, where the result holds their table."""
    regions = result.provenance.get("regions")
    if regions is None:
        return []
    path = folder / f"{stem}_regions.csv"
    with whole_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(REGION_COLUMNS)
        for region in regions:
            cells = [part for name in _REGION_FIELDS for part in _split(region.get(name))]
            writer.writerow(
                ["" if cell is None else f"{cell:.7g}" if isinstance(cell, float) else cell for cell in cells]
            )
    return [path]


def _split(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _texts(values: NDArray[Any]) -> list[str]:
    if values.dtype.kind == "f":
        return ["" if value != value else f"{value:.7g}" for value in values.ravel().tolist()]
    return [str(value) for value in values.ravel().tolist()]


def write_zarr(result: PolarizationMap, folder: Path, stem: str) -> list[Path]:
    """Write all maps as arrays of one Zarr group, with the provenance as attribute."""
    import zarr

    path = folder / f"{stem}.zarr"
    with whole_file(path) as partial:
        group = zarr.open_group(partial, mode="w")
        group.attrs["provenance"] = json.loads(json.dumps(result.provenance))
        for name, array in result.arrays().items():
            axes = [
                "scan_y",
                "scan_x",
                *(["direction" if name == "probability" else "axis"] if array.ndim == 3 else []),
            ]
            group.create_array(name, data=array, dimension_names=axes)
    return [path]


def _figure(suffix: str) -> Callable[[PolarizationMap, Path, str], list[Path]]:
    def write(result: PolarizationMap, folder: Path, stem: str) -> list[Path]:
        from napari_polarmap.io.figure import map_figure

        return [map_figure(result, folder / f"{stem}.{suffix}")]

    return write


FORMATS: Final[dict[str, Callable[[PolarizationMap, Path, str], list[Path]]]] = {
    "tiff": write_tiffs,
    "csv": write_csv,
    "png": _figure("png"),
    "svg": _figure("svg"),
    "pdf": _figure("pdf"),
    "zarr": write_zarr,
}
