"""What headers promise, checked against the file before a vendor reader believes them.

A damaged header must not make a reader allocate or list what is not there.
"""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Final

from napari_polarmap.io.calibration import positive
from napari_polarmap.io.errors import ScanFileError
from napari_polarmap.io.limits import check_inside

_MRC_BYTES: Final = {0: 1, 1: 2, 2: 4, 6: 2, 12: 2}
_EMPAD_PATTERN_BYTES: Final = 130 * 128 * 4


def check_length(path: Path, needed: int, what: str) -> None:
    """Raise `ScanFileError` if the file is shorter than its header says."""
    size = path.stat().st_size
    if size < needed:
        raise ScanFileError(f"{path}: the file is cut short or damaged; {what} need {needed} bytes, it has {size}")


def check_blockfile(path: Path) -> tuple[int, int, int, int]:
    """Check magic number and length of a NanoMEGAS blockfile; return data offset, edge of a pattern, rows, columns."""
    with path.open("rb") as stream:
        head = stream.read(28)
    if len(head) < 28 or head[6:8] != b"\x02\x01":
        raise ScanFileError(f"{path}: not a NanoMEGAS blockfile")
    offset, side, columns, rows = struct.unpack("<12xI4xHxxHH", head)
    if not side * columns * rows:
        raise ScanFileError(f"{path}: its header says {rows} x {columns} patterns of {side} px; none may be zero")
    check_length(path, offset + rows * columns * (side * side + 6), f"{rows} x {columns} patterns of {side} px")
    return offset, side, rows, columns


def check_mrc(path: Path) -> None:
    """Check type and length of an MRC file."""
    with path.open("rb") as stream:
        head = stream.read(1024)
    if len(head) < 1024:
        raise ScanFileError(f"{path}: not an MRC file; its header is cut short")
    columns, rows, sections, mode = struct.unpack("<4I", head[:16])
    if mode not in _MRC_BYTES or not columns * rows * sections:
        raise ScanFileError(
            f"{path}: not an MRC file of real numbers; its header says {sections} sections of "
            f"{rows} x {columns} px in mode {mode}"
        )
    (extended,) = struct.unpack("<I", head[92:96])
    pixels = columns * rows * sections
    check_length(path, 1024 + extended + pixels * _MRC_BYTES[mode], f"{sections} patterns of {rows} x {columns} px")


def check_empad(path: Path, *, allow_external: bool) -> tuple[Path, tuple[int, int] | None, float | None]:
    """Check an EMPAD ``.xml`` and the ``.raw`` it names.

    Returns
    -------
    raw : Path
    scan_shape : (int, int) or None
    voltage_kV : float or None
    """
    try:
        root = ET.parse(path).getroot()  # noqa: S314 -- expat limits the growth of entities
    except (ET.ParseError, OSError, ValueError, LookupError) as error:
        raise ScanFileError(f"{path}: not a readable XML file ({error})") from None
    entry = root.find("raw_file")
    name = "" if entry is None else entry.get("filename", "")
    if not name:
        raise ScanFileError(f"{path}: names no raw_file; the .xml that EMPAD writes fits")
    raw = path.parent / name
    check_inside(path, raw, allow_external=allow_external)
    if Path(name).name != name and not allow_external:
        raise ScanFileError(f"{path}: names a file in another folder ({name}); give --allow-external if you trust it")
    if not raw.is_file():
        raise ScanFileError(f"{path}: its data file {name} is not there; put it beside the .xml")
    rows, columns = (int(positive(root.findtext(tag)) or 0) for tag in ("pix_y", "pix_x"))
    if rows and columns:
        check_length(raw, rows * columns * _EMPAD_PATTERN_BYTES, f"{rows} x {columns} patterns")
    voltage_kV = positive(root.findtext("iom_measurements/source.get_voltage"), 1e-3)
    return raw, (rows, columns) if rows and columns else None, voltage_kV
