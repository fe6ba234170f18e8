"""NanoMEGAS Topspin: an HDF5 file with one dataset per pattern and XML beside each."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.data import Calibration, Scan4D
from napari_polarmap.io.calibration import from_axes
from napari_polarmap.io.choice import choose_place
from napari_polarmap.io.errors import ScanFileError
from napari_polarmap.io.frames import FrameStack, arranged, check_scan_shape, scan_shape_needed
from napari_polarmap.io.hdf5 import open_file
from napari_polarmap.io.hdf5_tree import find_datasets, outside_error

_METRE_IN_NM: Final = 1e9
_Position = tuple[float, float]


def read(
    path: Path,
    *,
    scan_shape: tuple[int, int] | None = None,
    dataset: str | None = None,
    allow_external: bool = False,
) -> Scan4D:
    """Open the scan of a Topspin file, pattern by pattern.

    The scan shape comes from the beam positions stored with the patterns: those of the
    first line, and of the last pattern.

    Raises
    ------
    ScanFileError
        If the file holds no scan, or refers to other files.
    DatasetNeededError
        If it holds several scans.
    ScanShapeNeededError
        If the beam positions are no grid, and no scan shape is given.
    """
    file = open_file(path)
    try:
        _, outside = find_datasets(file, allow_external=False)
        if outside and not allow_external:
            raise outside_error(path, outside[0])
        place = dataset or choose_place(_scans(file), path, what="scan")
        group = file.get(place)
        if not isinstance(group, h5py.Group) or "0" not in group:
            raise ScanFileError(f"{path}: there is no scan {place} in this file")
        stack, calibration = _open(path, group, scan_shape)
    except BaseException:
        file.close()
        raise
    return Scan4D(arranged(stack, scan_shape, path, place), calibration, path.stem, path, place, file.close)


def _scans(file: h5py.File) -> dict[str, tuple[int, ...]]:
    """Return the places of scans, with the shape (1, patterns, det_y, det_x), and of images."""
    found: dict[str, tuple[int, ...]] = {}

    def visit(name: str, node: Any) -> None:
        if isinstance(node, h5py.Group) and isinstance(node.get("0/Data"), h5py.Dataset):
            found[f"/{name}"] = (1, len(node), *node["0/Data"].shape)

    file.visititems(visit)
    return found


def _open(path: Path, group: h5py.Group, given: tuple[int, int] | None) -> tuple[FrameStack, Calibration]:
    n_patterns, first = len(group), group["0/Data"]
    if first.ndim != 2 or any(str(index) not in group for index in (n_patterns - 1, n_patterns // 2)):
        raise ScanFileError(f"{path}: {group.name} holds no patterns numbered from 0 to {n_patterns - 1}")
    found, steps_nm = _grid(group, n_patterns)
    scan_shape = given or found
    if scan_shape is None:
        raise scan_shape_needed(path, n_patterns, first.shape)
    check_scan_shape(path, scan_shape, n_patterns)
    pixels = _pixels(group["0/Metadata"])
    found_steps = from_axes([(steps_nm[0], "nm"), (steps_nm[1], "nm"), *pixels])
    calibration = replace(Calibration(), **found_steps)  # type: ignore[arg-type]

    def read_frames(start: int, stop: int) -> NDArray[Any]:
        return np.stack([group[f"{index}/Data"][()] for index in range(start, stop)])

    return FrameStack(read_frames, scan_shape, first.shape, first.dtype), calibration


def _grid(group: h5py.Group, n_patterns: int) -> tuple[tuple[int, int] | None, tuple[float, float]]:
    """Return the scan shape that the beam positions tell, and the steps along y and x in nm."""
    unknown = (float("nan"), float("nan"))
    line: list[_Position] = []
    for index in range(n_patterns):
        place = _position(group, index)
        if place is None:
            return None, unknown
        if line and place[0] != line[0][0]:
            break
        line.append(place)
    columns = len(line)
    rows, left = divmod(n_patterns, columns)
    last = _position(group, n_patterns - 1)
    if left or last is None or not np.isclose(last[1], line[-1][1], rtol=0, atol=1e-3 * abs(line[-1][1] - line[0][1])):
        return None, unknown
    step_y = abs(last[0] - line[0][0]) / max(rows - 1, 1)
    step_x = abs(line[-1][1] - line[0][1]) / max(columns - 1, 1)
    return (rows, columns), (step_y * _METRE_IN_NM, step_x * _METRE_IN_NM)


def _position(group: h5py.Group, index: int) -> _Position | None:
    """Return where the beam stood, ``(y, x)`` in metres."""
    for item in _parsed(group[f"{index}/Metadata"]).iter("Item"):
        if item.findtext("Name", "").endswith("BeamPosition"):
            y, x = item.findtext("Value/Y"), item.findtext("Value/X")
            return None if y is None or x is None else (float(y), float(x))
    return None


def _pixels(node: h5py.Dataset) -> list[tuple[float, object]]:
    """Return the steps and units of the detector axes."""
    steps: list[tuple[float, object]] = []
    for axis in ("Y", "X"):
        entry = _parsed(node).find(f"Calibration/{axis}")
        scale = None if entry is None else entry.findtext("Scale")
        steps.append((float(scale or "nan"), "" if entry is None else entry.findtext("Type/Text", "")))
    return steps


def _parsed(node: h5py.Dataset) -> ET.Element:
    text = node[()]
    text = text.decode("utf-8", errors="replace") if isinstance(text, bytes) else str(text)
    try:
        return ET.fromstring(text.replace('encoding="utf-16"', "", 1))  # noqa: S314 -- expat limits the growth of entities
    except ET.ParseError:
        return ET.Element("unreadable")
