"""4D scans in HDF5: our own layout, and any file with one 4D dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_polarmap.core.data import LazyArray, Scan4D
from napari_polarmap.core.directions import UNDEFINED
from napari_polarmap.core.whole_file import whole_file
from napari_polarmap.io.choice import choose_place
from napari_polarmap.io.errors import ScanFileError
from napari_polarmap.io.file_frames import FileFrames
from napari_polarmap.io.frames import FrameStack, arranged, check_scan_shape, scan_shape_needed
from napari_polarmap.io.hdf5_calibration import dectris_scan_shape, read_calibration
from napari_polarmap.io.hdf5_tree import (
    DECTRIS_PIECE,
    find_datasets,
    nexus_signal,
    open_dataset,
    outside_error,
    plainly,
)

FORMAT: Final = "napari-polarmap scan"
FORMAT_VERSION: Final = 1
_CHUNK_BYTES: Final = 2**20
_CACHE_BYTES: Final = 64 * 2**20


def read(
    path: Path,
    *,
    scan_shape: tuple[int, int] | None = None,
    dataset: str | None = None,
    allow_external: bool = False,
) -> Scan4D:
    """Open the 4D dataset of an HDF5 file, lazily.

    Contiguous uncompressed data are read without HDF5. Axes are taken in the order in
    which they are stored: the first is the row of the scan, also where a program
    calls it ``x`` (py4DSTEM, Prismatic); both keep the handedness that way.

    Parameters
    ----------
    path : Path
    scan_shape : (int, int), optional
        ``(scan_y, scan_x)``, for stacks of patterns.
    dataset : str, optional
        Place inside the file; needed where several would do.
    allow_external : bool
        Follow links and storage into other files.

    Raises
    ------
    ScanFileError
        If the file holds no such data, or they lie in other files.
    DatasetNeededError
        If several datasets would do.
    ScanShapeNeededError
        If the data are a stack and `scan_shape` is not given.
    """
    file = open_file(path)
    try:
        found, outside = find_datasets(file, allow_external=allow_external)
        places = [dataset] if dataset else _choose(file, path, scan_shape is not None, found, outside)
        nodes = [open_dataset(file, place, path, allow_external=allow_external) for place in places]
        if scan_shape is None and nodes[0].ndim == 3:
            scan_shape = dectris_scan_shape(path, sum(len(node) for node in nodes))
        data = _joined(nodes, scan_shape, path) if len(nodes) > 1 else plainly(nodes[0], path)
        scan = Scan4D(
            arranged(data, scan_shape, path, f"dataset {places[0]}"),
            read_calibration(nodes[0], file, path, own_only=bool(outside)),
            path.stem,
            path,
            places[0],
            file.close,
        )
    except BaseException:
        file.close()
        raise
    if isinstance(data, (FileFrames, np.memmap)):
        file.close()
    return scan


def open_file(path: Path) -> h5py.File:
    """Open an HDF5 file for reading; `ScanFileError` if it is none."""
    try:
        return h5py.File(path, "r", rdcc_nbytes=_CACHE_BYTES, rdcc_nslots=10007, locking="best-effort")
    except OSError as error:
        raise ScanFileError(f"{path}: not a readable HDF5 file ({error})") from None


def _choose(
    file: h5py.File, path: Path, shape_given: bool, found: dict[str, tuple[int, ...]], outside: list[str]
) -> list[str]:
    """Return the place of the one 4D dataset, or of the stack, or of the pieces of one stack."""
    pieces = [place for place, shape in found.items() if DECTRIS_PIECE.fullmatch(place) and len(shape) == 3]
    if pieces and not any(len(shape) == 4 for shape in found.values()):
        return pieces
    if outside and not any(len(shape) in (3, 4) for shape in found.values()):
        raise outside_error(path, outside[0])
    return [choose_place(found, path, shape_given=shape_given, preferred=nexus_signal(file))]


def _joined(nodes: list[h5py.Dataset], scan_shape: tuple[int, int] | None, path: Path) -> LazyArray:
    """See several stacks as one scan."""
    first = nodes[0]
    if any(node.ndim != 3 or node.shape[1:] != first.shape[1:] or node.dtype != first.dtype for node in nodes):
        raise ScanFileError(f"{path}: the pieces of the stack differ in pattern size or type; they must be alike")
    ends = np.cumsum([len(node) for node in nodes])
    if scan_shape is None:
        raise scan_shape_needed(path, int(ends[-1]), first.shape[1:])
    check_scan_shape(path, scan_shape, int(ends[-1]))

    def read_frames(start: int, stop: int) -> NDArray[Any]:
        parts = []
        for node, end in zip(nodes, ends, strict=True):
            begin = int(end) - len(node)
            if begin < stop and start < end:
                parts.append(node[max(0, start - begin) : stop - begin])
        return np.concatenate(parts)

    return FrameStack(read_frames, scan_shape, first.shape[1:], first.dtype)


def read_truth(path: str | Path) -> tuple[NDArray[np.uint8] | None, NDArray[np.bool_] | None]:
    """Read the truth stored with a simulated scan; for scoring, never for classifying.

    Returns
    -------
    label : ndarray of uint8, shape (scan_y, scan_x), or None
        Class per scan position; 255 undefined.
    defect : ndarray of bool, shape (scan_y, scan_x), or None

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ScanFileError
        If it is no HDF5 file or its labels are no map of classes.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    with open_file(path) as file:
        label, defect = (
            open_dataset(file, name, path, allow_external=False)[()] if name in file else None
            for name in ("label", "defect")
        )
    if label is not None and (label.ndim != 2 or not np.isin(label, [*range(8), UNDEFINED]).all()):
        raise ScanFileError(f"{path}: /label must be a map of the classes 0 to 7, with 255 for undefined")
    return None if label is None else label.astype(np.uint8), None if defect is None else defect.astype(bool)


def read_truth_maps(path: str | Path) -> dict[str, NDArray[np.float32]]:
    """Read what else is known of every position of a simulated scan: ``angle_deg``, ``thickness_nm``, ``tilt_mrad``."""
    path = Path(path)
    with open_file(path) as file:
        names = file["truth"] if isinstance(file.get("truth"), h5py.Group) else ()
        return {
            name: np.asarray(open_dataset(file, f"truth/{name}", path, allow_external=False)[()], np.float32)
            for name in names
        }


def write_scan(
    path: str | Path,
    data: NDArray[Any] | Iterable[NDArray[Any]],
    *,
    attrs: Mapping[str, float | str | None] | None = None,
    label: ArrayLike | None = None,
    defect: ArrayLike | None = None,
    extra: Mapping[str, ArrayLike | str | Callable[[], str]] | None = None,
) -> Path:
    """Write a scan in our own layout, under a temporary name until it is whole.

    Parameters
    ----------
    path : str or Path
    data : ndarray, shape (scan_y, scan_x, det_y, det_x), or iterable of ndarray
        All patterns, or blocks of whole scan rows from top to bottom, each of
        shape (rows, scan_x, det_y, det_x).
    attrs : mapping, optional
        ``voltage_kV``, ``convergence_mrad``, ``mrad_per_px``, ``scan_step_A``,
        ``thickness_nm``, ``material``, ``zone_axis`` and whatever else is worth
        keeping; ``None`` is left out.
    label, defect : array_like, shape (scan_y, scan_x), optional
        Truth of simulated data: class (255 undefined) and whether there is a defect.
    extra : mapping, optional
        Further datasets by name: arrays, texts, or functions called when the data are
        written that return a text.

    Returns
    -------
    path : Path

    Raises
    ------
    ValueError
        If shapes do not fit.
    OSError
        If the folder cannot be written; an existing file is left as it was.
    """
    path = Path(path)
    blocks = iter([data] if isinstance(data, np.ndarray) else data)
    with whole_file(path) as partial, h5py.File(partial, "w") as file:
        file.attrs["format"], file.attrs["format_version"] = FORMAT, FORMAT_VERSION
        dataset = _write_blocks(file, blocks)
        dataset.attrs.update({name: value for name, value in (attrs or {}).items() if value is not None})
        truth = {"label": (label, np.uint8), "defect": (defect, np.bool_)}
        for name, (values, dtype) in truth.items():
            if values is not None:
                array: NDArray[Any] = np.asarray(values).astype(dtype)
                if array.shape != dataset.shape[:2]:
                    raise ValueError(f"{name} has shape {array.shape}; the scan has {dataset.shape[:2]} positions")
                file.create_dataset(name, data=array, compression="gzip")
        for name, content in (extra or {}).items():
            file[name] = content() if callable(content) else content
    return path


def _write_blocks(file: h5py.File, blocks: Iterable[NDArray[Any]]) -> h5py.Dataset:
    dataset: h5py.Dataset | None = None
    for block in blocks:
        if block.ndim != 4 or (dataset is not None and block.shape[1:] != dataset.shape[1:]):
            raise ValueError(f"block of shape {block.shape}; (rows, scan_x, det_y, det_x) fits, alike for all blocks")
        if dataset is None:
            side = int(np.clip(np.sqrt(_CHUNK_BYTES / max(1, block[0, 0].nbytes)), 1, 8))
            dataset = file.create_dataset(
                "data",
                shape=(0, *block.shape[1:]),
                maxshape=(None, *block.shape[1:]),
                dtype=block.dtype,
                chunks=(side, min(side, block.shape[1]), *block.shape[2:]),
                compression="gzip",
                shuffle=True,
            )
        dataset.resize(dataset.shape[0] + len(block), axis=0)
        dataset[-len(block) :] = block
    if dataset is None:
        raise ValueError("there are no patterns to write")
    return dataset
