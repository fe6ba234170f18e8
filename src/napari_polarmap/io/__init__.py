"""Files to scans: the table of readers and `open_scan`.

The table holds names as text, so that listing formats costs no import and a missing
optional package breaks one entry alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from napari_polarmap.core.axes import AxisOrder, Reordered
from napari_polarmap.core.data import Scan4D
from napari_polarmap.io.errors import DatasetNeededError, RawLayoutNeededError, ScanFileError, ScanShapeNeededError
from napari_polarmap.io.limits import check_pieces
from napari_polarmap.io.raw import RawLayout

__all__ = [
    "READERS",
    "AxisOrder",
    "DatasetNeededError",
    "RawLayout",
    "RawLayoutNeededError",
    "Reader",
    "ScanFileError",
    "ScanShapeNeededError",
    "filename_patterns",
    "open_scan",
]


@dataclass(frozen=True)
class Reader:
    """A format that can be opened.

    Attributes
    ----------
    title : str
        For menus and messages.
    suffixes : tuple of str
        Endings of the file name, lower case; empty for folders.
    function : str
        ``"module:name"`` of a function ``(path, *, scan_shape, dataset, allow_external) -> Scan4D``.
    """

    title: str
    suffixes: tuple[str, ...]
    function: str


READERS: Final[dict[str, Reader]] = {
    "hdf5": Reader(
        "HDF5 (napari-polarmap, py4DSTEM, Prismatic, HyperSpy, Dectris, NeXus, fpd, plain)",
        (".h5", ".hdf5", ".hdf", ".emd", ".hspy", ".nxs", ".py4dstem"),
        "napari_polarmap.io.hdf5:read",
    ),
    "npy": Reader("NumPy array", (".npy",), "napari_polarmap.io.numpy_files:read_npy"),
    "npz": Reader("NumPy archive", (".npz",), "napari_polarmap.io.numpy_files:read_npz"),
    "zarr": Reader("Zarr (HyperSpy, plain)", (".zspy", ".zarr"), "napari_polarmap.io.zarr_store:read"),
    "tiff_folder": Reader("Folder of TIFF files", (), "napari_polarmap.io.tiff:read_folder"),
    "tiff": Reader("TIFF stack", (".tif", ".tiff"), "napari_polarmap.io.tiff:read_stack"),
    "mib": Reader("Quantum Detectors Merlin", (".mib",), "napari_polarmap.io.rosetta:read_mib"),
    "empad": Reader("EMPAD", (".xml",), "napari_polarmap.io.rosetta:read_empad"),
    "raw": Reader("Headless file (EMPAD, any)", (".raw", ".bin"), "napari_polarmap.io.raw:read_raw"),
    "blockfile": Reader("NanoMEGAS blockfile", (".blo",), "napari_polarmap.io.rosetta:read"),
    "topspin": Reader("NanoMEGAS Topspin", (".app5",), "napari_polarmap.io.topspin:read"),
    "gatan": Reader("Gatan DigitalMicrograph", (".dm3", ".dm4"), "napari_polarmap.io.rosetta:read"),
    "tvips": Reader("TVIPS", (".tvips",), "napari_polarmap.io.rosetta:read"),
    "mrc": Reader("MRC (Direct Electron)", (".mrc",), "napari_polarmap.io.mrc:read"),
    "pantarhei": Reader("Panta Rhei", (".prz",), "napari_polarmap.io.rosetta:read"),
}

_HDF5_MAGIC: Final = b"\x89HDF\r\n\x1a\n"


def filename_patterns() -> list[str]:
    """Return the file name patterns of all readers, for file dialogs and the napari manifest."""
    return [f"*{suffix}" for reader in READERS.values() for suffix in reader.suffixes]


def open_scan(
    path: str | Path,
    *,
    scan_shape: tuple[int, int] | None = None,
    dataset: str | None = None,
    allow_external: bool = False,
    axes: AxisOrder | None = None,
    raw: RawLayout | None = None,
) -> Scan4D:
    """Open a 4D scan; patterns are read only where asked.

    Parameters
    ----------
    path : str or Path
        A file of any format in `READERS`, or a folder of TIFF files.
    scan_shape : (int, int), optional
        ``(scan_y, scan_x)`` for stacks that do not tell it.
    dataset : str, optional
        Place inside a file that holds several.
    allow_external : bool
        Follow links to other files (HDF5, EMPAD).
    axes : AxisOrder, optional
        What the stored axes are, where the file has them in another order.
    raw : RawLayout, optional
        How the numbers of a file without header lie; its name does not matter then.

    Returns
    -------
    scan : Scan4D
        Lazy; close it when done.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    ScanFileError
        If it cannot be read as a scan; one sentence that names the file, what was
        found and what fits. `ScanShapeNeededError`, `DatasetNeededError` and
        `RawLayoutNeededError` say what to ask for.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    if raw is not None and path.is_dir():
        raise ScanFileError(f"{path}: a folder; a raw layout describes one file")
    reader = READERS["raw"] if raw else _reader_of(path)
    module, name = reader.function.split(":")
    try:
        function = getattr(import_module(module), name)
        stored = scan_shape[::-1] if scan_shape and axes and axes.columns_first else scan_shape
        layout = {"layout": raw} if raw else {}
        scan: Scan4D = function(path, scan_shape=stored, dataset=dataset, allow_external=allow_external, **layout)
        check_pieces(path, scan.detector_shape, scan.dtype.itemsize, "patterns")
        scan = replace(scan, options=_record(scan_shape, raw, allow_external=allow_external))
        return scan if axes is None or axes.usual else replace(scan, data=Reordered(scan.data, axes), axes=axes)
    except ScanFileError:
        raise
    except PermissionError:
        raise ScanFileError(f"{path}: not allowed to read it; check the permissions of the file") from None
    except ImportError as error:
        raise ScanFileError(f"{path}: reading {reader.title} needs a package that is missing ({error})") from error
    except Exception as error:
        text = str(error).removeprefix(f"{path.stem} ").removeprefix(f"{path}: ")
        raise ScanFileError(f"{path}: cannot be read as {reader.title} ({text or type(error).__name__})") from error


def _record(scan_shape: tuple[int, int] | None, raw: RawLayout | None, *, allow_external: bool) -> dict[str, Any]:
    """Return options as JSON values; those that were not given are left out."""
    layout = None if raw is None else {**asdict(raw), "detector_shape": list(raw.detector_shape)}
    options = {"scan_shape": scan_shape and list(scan_shape), "raw": layout, "allow_external": allow_external or None}
    return {name: value for name, value in options.items() if value}


def _reader_of(path: Path) -> Reader:
    if path.is_dir():
        marks = (".zgroup", ".zarray", "zarr.json")
        return READERS["zarr" if any((path / mark).is_file() for mark in marks) else "tiff_folder"]
    name = path.name.lower()
    for reader in READERS.values():
        if name.endswith(reader.suffixes or ("\0",)):
            return reader
    with path.open("rb") as stream:
        if stream.read(8) == _HDF5_MAGIC:
            return READERS["hdf5"]
    known = ", ".join(suffix for reader in READERS.values() for suffix in reader.suffixes)
    raise ScanFileError(f"{path}: not a known format; {known}, or a folder of TIFF files fits")
