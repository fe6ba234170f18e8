"""4D scans in ``.npy`` and ``.npz``; nothing is ever unpickled."""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.data import Calibration, LazyArray, Scan4D
from napari_polarmap.io.choice import choose_place
from napari_polarmap.io.errors import ScanFileError
from napari_polarmap.io.file_frames import plain_array
from napari_polarmap.io.frames import arranged

_IN_MEMORY_BYTES: Final = 256 * 2**20
_DESCRIPTION_BYTES: Final = 2**20
_HEADER_READERS: Final = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
    (3, 0): np.lib.format.read_array_header_2_0,
}


def read_npy(
    path: Path,
    *,
    scan_shape: tuple[int, int] | None = None,
    dataset: str | None = None,
    allow_external: bool = False,
) -> Scan4D:
    """Open an array; C and Fortran order, any byte order. In Fortran order it is mapped into memory.

    Raises
    ------
    ScanFileError
        If the file is no array of real numbers or shorter than its header says.
    """
    del dataset, allow_external
    with path.open("rb") as stream:
        shape, fortran, dtype, offset = _header(stream, path, "the array")
    data: LazyArray = plain_array(path, shape, dtype, offset_bytes=offset)
    if fortran:
        data = np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape, order="F")
    return Scan4D(arranged(data, scan_shape, path, "the array"), Calibration(), path.stem, path)


def read_npz(
    path: Path,
    *,
    scan_shape: tuple[int, int] | None = None,
    dataset: str | None = None,
    allow_external: bool = False,
) -> Scan4D:
    """Open the one 4D array of an archive; unpacked when the first pattern is asked for.

    Attributes in an array ``meta`` of JSON text are taken as calibration where they
    are named like it.

    Raises
    ------
    ScanFileError
        If the file is no archive or holds no such array.
    DatasetNeededError
        If it holds several.
    """
    del allow_external
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise ScanFileError(f"{path}: not a readable .npz archive ({error})") from None
    with archive:
        members = {
            info.filename.removesuffix(".npy"): member
            for info in archive.infolist()
            if info.filename.endswith(".npy") and (member := ArchiveMember.open(path, archive, info)) is not None
        }
        if dataset is None:
            found = {name: member.shape for name, member in members.items()}
            dataset = choose_place(found, path, shape_given=scan_shape is not None, what="array")
        elif dataset not in members:
            raise ScanFileError(f"{path}: holds no array {dataset!r}; it holds {', '.join(members) or 'none'}")
        calibration = _calibration(archive)
    data = arranged(members[dataset], scan_shape, path, f"array {dataset!r}")
    return Scan4D(data, calibration, path.stem, path, dataset)


def _header(stream: IO[bytes], path: Path, what: str) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Return shape, Fortran order, dtype and offset of the numbers."""
    try:
        version = np.lib.format.read_magic(stream)
        if version not in _HEADER_READERS:
            raise ValueError(f"version {version[0]}.{version[1]} is not known")
        shape, fortran, dtype = _HEADER_READERS[version](stream)
    except Exception as error:  # noqa: BLE001 -- damaged headers end in whatever Python's own parser raises
        reason = str(error).splitlines() or [type(error).__name__]
        raise ScanFileError(f"{path}: {what} is not in the .npy format ({reason[0]})") from None
    if dtype.kind not in "buif":
        raise ScanFileError(f"{path}: {what} holds {dtype}; patterns must be real numbers")
    if 0 in shape:
        raise ScanFileError(f"{path}: {what} has shape {shape}; every axis must hold at least one element")
    return shape, fortran, dtype, stream.tell()


def _calibration(archive: zipfile.ZipFile) -> Calibration:
    for name in ("meta.npy", "meta_data_json.npy"):
        try:
            if archive.getinfo(name).file_size > _DESCRIPTION_BYTES:
                continue
            with archive.open(name) as stream:
                values = json.loads(str(np.lib.format.read_array(stream, allow_pickle=False)))
            names = ("voltage_kV", "convergence_mrad", "mrad_per_px", "scan_step_A", "thickness_nm")
            return Calibration(**{key: values[key] for key in names if key in values})
        except Exception:  # noqa: BLE001, S112 -- a description that cannot be read says nothing
            continue
    return Calibration()


class ArchiveMember:
    """An array in an archive, unpacked once, when first needed: to memory or, if large, to a temporary file."""

    def __init__(
        self, path: Path, name: str, offset: int, shape: tuple[int, ...], fortran: bool, dtype: np.dtype[Any]
    ) -> None:
        self.path, self.name, self.offset, self.fortran = path, name, offset, fortran
        self.shape, self.ndim, self.dtype = shape, len(shape), dtype
        self._data: NDArray[Any] | None = None
        self._damage = ""

    @classmethod
    def open(cls, path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> ArchiveMember | None:
        """Read the header of a member; ``None`` where it holds no numbers."""
        try:
            with archive.open(info) as stream:
                shape, fortran, dtype, offset = _header(stream, path, info.filename)
        except (ScanFileError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
            return None
        if info.file_size != offset + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize:
            raise ScanFileError(f"{path}: {info.filename} is not as long as its header says; the file is damaged")
        return cls(path, info.filename, offset, shape, fortran, dtype)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        if self._damage:
            raise OSError(self._damage)
        if self._data is None:
            try:
                self._data = self._unpack()
            except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
                # the checksum is one for all numbers: none of them can be trusted
                self._damage = f"{self.path}: {self.name} is damaged ({error})"
                raise OSError(self._damage) from None
        return np.asarray(self._data[key])

    def _unpack(self) -> NDArray[Any]:
        n_bytes = int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize
        order = "F" if self.fortran else "C"
        with zipfile.ZipFile(self.path) as archive, archive.open(self.name) as stream:
            stream.read(self.offset)
            if n_bytes <= _IN_MEMORY_BYTES:
                numbers = np.frombuffer(stream.read(n_bytes), dtype=self.dtype)
                return numbers.reshape(self.shape, order=order)  # type: ignore[call-overload,no-any-return]
            free = shutil.disk_usage(tempfile.gettempdir()).free
            if free < n_bytes:
                raise ScanFileError(
                    f"{self.path}: unpacks to {n_bytes / 2**30:.1f} GiB, but {tempfile.gettempdir()} "
                    f"has room for {free / 2**30:.1f} GiB"
                )
            with tempfile.TemporaryFile(prefix="polarmap-") as room:
                shutil.copyfileobj(stream, room, 16 * 2**20)
                room.flush()
                return np.memmap(room, dtype=self.dtype, mode="r", shape=self.shape, order=order)  # type: ignore[call-overload,no-any-return]
