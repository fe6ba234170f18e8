"""Vendor formats through RosettaSciIO, with its conventions turned into ours.

Patterns are delivered in the order of the file. Where a program is known to store
detector rows from the bottom up (Merlin), the calibration says ``flip`` instead of
the data being turned over. Scan shapes are ``(scan_y, scan_x)`` and stacks are
divided here, never by the guesses or the reversed order of a reader.
"""

from __future__ import annotations

import logging
import re
import warnings
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.data import Calibration, LazyArray, Scan4D
from napari_polarmap.io.calibration import from_axes, is_length, is_reciprocal, positive
from napari_polarmap.io.errors import ScanFileError
from napari_polarmap.io.file_frames import FileFrames, on_local_disk
from napari_polarmap.io.frames import arranged, check_scan_shape
from napari_polarmap.io.headers import check_blockfile, check_empad
from napari_polarmap.io.limits import check_inside
from napari_polarmap.io.numpy_files import ArchiveMember
from napari_polarmap.io.raw import EMPAD, RawLayout, plain_frames, shape_in_name

_logger = logging.getLogger(__name__)

_MODULES = {
    ".blo": "blockfile",
    ".dm3": "digitalmicrograph",
    ".dm4": "digitalmicrograph",
    ".tvips": "tvips",
    ".prz": "pantarhei",
}


def read(
    path: Path,
    *,
    scan_shape: tuple[int, int] | None = None,
    dataset: str | None = None,
    allow_external: bool = False,
) -> Scan4D:
    """Open a blockfile, Gatan, TVIPS or Panta Rhei file.

    Raises
    ------
    ScanFileError
        If the file cannot be read or holds no 4D scan.
    ScanShapeNeededError
        If it holds a stack and `scan_shape` is not given.
    """
    del dataset
    if path.suffix.lower() == ".tvips":
        for part in path.parent.glob(f"{path.stem[:-3]}*.tvips"):  # the series goes on in these
            check_inside(path, part, allow_external=allow_external)
    options: dict[str, bool] = {"lazy": True}
    if path.suffix.lower() == ".prz":  # versions of RosettaSciIO that would unpickle do not know the second option
        options = {"lazy": _stored_plainly(path), "allow_restricted_pickle": False}
    signals = _signals(path, _MODULES[path.suffix.lower()], **options)
    if path.suffix.lower() == ".blo":
        offset, side, rows, columns = check_blockfile(path)
        layout = RawLayout(dtype="u1", detector_shape=(side, side), offset_bytes=offset)
        signals = [{**signals[0], "data": plain_frames(path, (rows, columns), layout, before_bytes=6)}]
    return _scan(path, signals, scan_shape)


def _signals(path: Path, module: str, **options: Any) -> list[dict[str, Any]]:
    if module == "blockfile":
        check_blockfile(path)
    reader = import_module(f"rsciio.{module}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # among others: files that a reader leaves open
        return list(reader.file_reader(str(path), **options))


def _scan(path: Path, signals: list[dict[str, Any]], scan_shape: tuple[int, int] | None) -> Scan4D:
    """Take the one signal that is a scan or a stack."""
    for axes in (4, 3):
        fitting = [signal for signal in signals if signal["data"].ndim == axes]
        if len(fitting) > 1:
            raise ScanFileError(f"{path}: holds {len(fitting)} signals of {axes} axes; a file with one scan fits")
        if fitting:
            data, steps = _scan_axes_first(fitting[0])
            calibration = _calibration(fitting[0], steps)
            return Scan4D(arranged(data, scan_shape, path, "the signal"), calibration, path.stem, path)
    shapes = ", ".join(str(signal["data"].shape) for signal in signals) or "nothing"
    raise ScanFileError(f"{path}: holds no 4D scan (scan_y, scan_x, det_y, det_x); found {shapes}")


def _scan_axes_first(signal: dict[str, Any]) -> tuple[LazyArray, list[tuple[float, object]]]:
    """Bring the scan axes to the front where the units say that they are last."""
    data = signal["data"]
    axes = sorted(signal["axes"], key=lambda axis: int(axis.get("index_in_array", 0) or 0))
    steps = [(float(axis.get("scale") or 1.0), axis.get("units")) for axis in axes]
    reversed_axes = (
        len(steps) == data.ndim == 4
        and all(is_reciprocal(unit) for _, unit in steps[:2])
        and all(is_length(unit) for _, unit in steps[2:])
    )
    if reversed_axes:
        return data.transpose(2, 3, 0, 1), steps[2:] + steps[:2]
    return data, steps


def _calibration(signal: dict[str, Any], steps: list[tuple[float, object]]) -> Calibration:
    microscope = signal.get("metadata", {}).get("Acquisition_instrument", {}).get("TEM", {})
    original = signal.get("original_metadata", {})
    header = original.get("blockfile_header", {})
    voltage_V = header.get("Beam_energy") or _gatan_microscope(original).get("Voltage")
    voltage_kV = positive(microscope.get("beam_energy")) or positive(voltage_V, 1e-3)
    # a step of exactly 1 is what several of these readers fill in for an unknown one
    known = [(step, unit if step != 1 else None) for step, unit in steps]
    found = from_axes(known, voltage_kV) if len(known) == 4 else {}
    return Calibration(
        voltage_kV=voltage_kV,
        convergence_mrad=positive(microscope.get("convergence_angle")),
        scan_step_A=found.get("scan_step_A"),
        mrad_per_px=found.get("mrad_per_px") or _blockfile_mrad(header),
    )


def _gatan_microscope(original: dict[str, Any]) -> dict[str, Any]:
    tags = original.get("ImageList", {}).get("TagGroup0", {}).get("ImageTags", {})
    return dict(tags.get("Microscope Info") or tags.get("Microscope_Info") or {})


def _blockfile_mrad(header: dict[str, Any]) -> float | None:
    """Return the angle of a pixel from pixels per 100 cm and the camera length in units of 0.1 mm."""
    resolution, camera_length = positive(header.get("SDP")), positive(header.get("Camera_length"))
    return None if resolution is None or camera_length is None else 1e7 / (resolution * camera_length)


def _stored_plainly(path: Path) -> bool:
    """Tell whether the data of an archive can be mapped; RosettaSciIO maps them without asking."""
    try:
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo("data.npy")
            if ArchiveMember.open(path, archive, info) is None:
                raise ScanFileError(f"{path}: its data are no array of real numbers")
            return info.compress_type == zipfile.ZIP_STORED
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise ScanFileError(f"{path}: not a readable Panta Rhei file ({error})") from None


def read_empad(
    path: Path,
    *,
    scan_shape: tuple[int, int] | None = None,
    dataset: str | None = None,
    allow_external: bool = False,
) -> Scan4D:
    """Open an EMPAD scan by its ``.xml``; the ``.raw`` it names lies beside it.

    Raises
    ------
    ScanFileError
        If the ``.xml`` is none of EMPAD, or its ``.raw`` is missing, too short or in another folder.
    """
    del dataset
    raw, stated, voltage_kV = check_empad(path, allow_external=allow_external)
    (signal, *_) = _signals(path, "empad", lazy=True)
    signal["metadata"]["Acquisition_instrument"] = {"TEM": {"beam_energy": voltage_kV}}
    stated = stated or shape_in_name(raw)
    n_patterns = raw.stat().st_size // EMPAD.stride_bytes
    if stated is not None and stated[0] * stated[1] > n_patterns:
        raise ScanFileError(f"{path}: names {stated[0]} x {stated[1]} patterns, but {raw.name} holds {n_patterns}")
    signal["data"] = plain_frames(raw, stated or (n_patterns,), EMPAD)
    return _scan(path, [signal], scan_shape)


def read_mib(
    path: Path,
    *,
    scan_shape: tuple[int, int] | None = None,
    dataset: str | None = None,
    allow_external: bool = False,
) -> Scan4D:
    """Open a Quantum Detectors Merlin file; rows in the order of the file.

    Merlin stores rows from the bottom of its own display to the top. They are left
    in that order, and ``flip`` is set in the calibration, so that maps come out in
    the handedness of the display. The scan shape comes from `scan_shape`, from the
    ``.hdr`` beside the file, or from regular line gaps in the time stamps.

    Raises
    ------
    ScanFileError
        If the file is none of Merlin, raw (R64), or cut short.
    ScanShapeNeededError
        If nothing tells the scan shape.
    """
    del dataset
    check_inside(path, path.with_suffix(".hdr"), allow_external=allow_external)
    frames, headers = _mib_frames(path)
    if scan_shape is None:
        scan_shape = _mib_scan_shape(path, headers)
        if scan_shape is not None and scan_shape[0] * scan_shape[1] < len(frames):
            _logger.warning("%s: %d patterns after the last whole line are left out", path, len(frames) % scan_shape[1])
            frames = frames[: scan_shape[0] * scan_shape[1]]
    else:
        check_scan_shape(path, scan_shape, len(frames))
    data: LazyArray = frames
    if not on_local_disk(path):
        offset, before = int(headers.offset), headers.dtype.itemsize  # type: ignore[attr-defined]
        data = FileFrames(path, frames.shape, frames.dtype, offset_bytes=offset, before_bytes=before)
    return Scan4D(arranged(data, scan_shape, path, "the file"), Calibration(flip=True), path.stem, path)


def _mib_frames(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    from rsciio.quantumdetector import load_mib_data

    with path.open("rb") as stream:
        raw = b",R64," in stream.read(384)
    if raw:
        raise ScanFileError(
            f"{path}: holds raw Merlin data (R64), which is not supported; save it as 1, 6, 12 or 24 bit"
        )
    frames, headers = load_mib_data(str(path), lazy=True, return_headers=True)
    return frames, headers


def _mib_scan_shape(path: Path, headers: NDArray[Any]) -> tuple[int, int] | None:
    """Return the scan shape as far as header file or time stamps tell beyond doubt."""
    n_frames = len(headers)
    values = _mib_header_file(path.with_suffix(".hdr"))
    columns, rows = values.get("ScanX"), values.get("ScanY")
    if not columns:
        columns, frames = values.get("Frames per Trigger (Number)"), values.get("Frames in Acquisition (Number)")
        rows = frames // columns if columns and frames else None
    if columns and rows and columns > 1 and rows > 1 and rows * columns >= n_frames >= columns:
        return min(rows, n_frames // columns), columns
    return _lines_from_times(headers)


def _mib_header_file(path: Path) -> dict[str, int]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    return {name.strip(): int(value) for name, value in re.findall(r"^([^:\t\n]+):\t\s*(\d+)\s*$", text, re.MULTILINE)}


def _lines_from_times(headers: NDArray[Any]) -> tuple[int, int] | None:
    """Find the line length from the pauses at line ends, if these stand out and come at even distances."""
    from rsciio.quantumdetector import parse_timestamps

    try:
        stamps = [stamp.rstrip("Z") for stamp in parse_timestamps(headers, max_index=-1)]
        times = np.array(stamps, dtype="datetime64[ns]").astype(np.int64)
    except (ValueError, IndexError, UnicodeError):
        return None
    if len(times) < 4:
        return None
    excess = np.diff(times) - np.median(np.diff(times))
    pause = excess > excess.max() / 3
    columns = int(np.flatnonzero(pause)[0]) + 1 if pause.any() else 0
    even = np.array_equal(np.flatnonzero(pause) + 1, np.arange(columns, len(headers), columns or 1))
    clear = pause.any() and excess[pause].min() > 10 * np.abs(excess[~pause]).max(initial=0)
    if not (even and clear and columns > 1 and len(headers) % columns == 0):
        return None
    return len(headers) // columns, columns
