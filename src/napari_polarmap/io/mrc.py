"""MRC stacks, as Direct Electron cameras write them with a text file beside."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Final

from napari_polarmap.core.data import Calibration, Scan4D
from napari_polarmap.io.calibration import common, length_A, positive
from napari_polarmap.io.frames import arranged
from napari_polarmap.io.headers import check_mrc
from napari_polarmap.io.limits import check_inside
from napari_polarmap.io.raw import RawLayout, plain_frames

_TYPES: Final = {0: "u1", 1: "<i2", 2: "<f4", 6: "<u2", 12: "<f2"}


def read(
    path: Path,
    *,
    scan_shape: tuple[int, int] | None = None,
    dataset: str | None = None,
    allow_external: bool = False,
) -> Scan4D:
    """Open a stack of patterns; the scan shape from ``*_info.txt`` of the same acquisition, if it fits.

    Rows are left in the order of the file.

    Raises
    ------
    ScanFileError
        If it is no MRC file of real numbers, or cut short.
    ScanShapeNeededError
        If nothing tells the scan shape.
    """
    del dataset
    check_mrc(path)
    with path.open("rb") as stream:
        head = stream.read(96)
    columns, rows, n_patterns, mode = struct.unpack("<4I", head[:16])
    (extended,) = struct.unpack("<I", head[92:96])
    layout = RawLayout(dtype=_TYPES[mode], detector_shape=(rows, columns), offset_bytes=1024 + extended)
    frames = plain_frames(path, (n_patterns,), layout)
    said = _info(path, allow_external=allow_external)
    if scan_shape is None:
        scan_shape = _scan_shape(said, n_patterns)
    return Scan4D(arranged(frames, scan_shape, path, "the stack"), _calibration(said), path.stem, path)


def _info(path: Path, *, allow_external: bool) -> dict[str, str]:
    """Return what the camera program says of the acquisition: ``20241021_00405_movie.mrc`` has its ``_info.txt``."""
    acquisition = re.match(r"\d{8}_\d+_", path.name)
    if acquisition is None:
        return {}
    files = sorted(path.parent.glob(f"{acquisition[0]}*info.txt"))
    for file in files[:1]:
        check_inside(path, file, allow_external=allow_external)
    text = files[0].read_text(encoding="utf-8", errors="replace") if files else ""
    pairs = (line.partition("=") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _scan_shape(said: dict[str, str], n_patterns: int) -> tuple[int, int] | None:
    part = "Scan - ROI Size" if said.get("Scan - ROI Enable") == "Enable" else "Scan - Size"
    rows, columns = (positive(said.get(f"{part} {axis}")) for axis in "YX")
    if said.get("Scan - Type", "Raster") != "Raster" or rows is None or columns is None:
        return None
    return (int(rows), int(columns)) if int(rows) * int(columns) == n_patterns else None


def _calibration(said: dict[str, str]) -> Calibration:
    """Return voltage and scan step; a step of exactly 1 nm stands for an unknown one."""
    step_y, step_x = (positive(said.get(f"Specimen Pixel Size {axis} (nanometers)")) for axis in "YX")
    step_nm = common(step_y, step_x)
    return Calibration(
        voltage_kV=positive(said.get("Instrument Accelerating Voltage (V)"), 1e-3),
        scan_step_A=None if step_nm is None or step_nm == 1 else length_A(step_nm, "nm"),
    )
