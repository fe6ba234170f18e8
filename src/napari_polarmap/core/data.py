"""A 4D-STEM scan: lazy patterns and what is known about how they were taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.calibration import Calibration
from napari_polarmap.core.mapped import fetch

if TYPE_CHECKING:
    from napari_polarmap.core.axes import AxisOrder

__all__ = ["Block", "Calibration", "FileState", "LazyArray", "Scan4D"]

_CLOSING_S = 5.0
"""Longest wait for a read under way when a scan is closed."""

Block = tuple[slice, slice]
"""Rows and columns of scan positions."""


class LazyArray(Protocol):
    """What an array must offer to be scanned: h5py datasets, memory maps, dask and numpy arrays do."""

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def dtype(self) -> np.dtype[Any]: ...  # noqa: D102
    def __getitem__(self, key: Any, /) -> Any: ...


@dataclass(frozen=True)
class FileState:
    """What tells that a file, or folder, is still the one that was opened.

    Attributes
    ----------
    number : int
        Of the file on its disk.
    size : int
        Bytes.
    modified_ns : int
        Time of the last change.
    """

    number: int
    size: int
    modified_ns: int

    @classmethod
    def of(cls, path: Path | None) -> FileState | None:
        """Return the state of a file; None where there is none."""
        try:
            status = None if path is None else path.stat()
        except OSError:
            return None
        return None if status is None else cls(status.st_ino, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True)
class Scan4D:
    """A scan of diffraction patterns, read only where asked.

    Attributes
    ----------
    data : LazyArray, shape (scan_y, scan_x, det_y, det_x)
    calibration : Calibration
    name : str
        For titles and messages.
    path : Path, optional
        File or folder the data come from.
    dataset : str, optional
        Place inside the file.
    closer : callable
        Releases the file.
    axes : AxisOrder, optional
        How the stored axes were put in order, where they were not.
    options : mapping
        How the file was asked to be opened, as plain JSON values, for those who open it again.
    opened : FileState, optional
        Of `path` when it was opened.

    Raises
    ------
    ValueError
        If `data` is not four-dimensional, has an empty axis or holds no real numbers.
    """

    data: LazyArray
    calibration: Calibration = field(default_factory=Calibration)
    name: str = "scan"
    path: Path | None = None
    dataset: str | None = None
    closer: Callable[[], None] = field(default=lambda: None, repr=False, compare=False)
    axes: AxisOrder | None = None
    options: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    opened: FileState | None = field(default=None, repr=False, compare=False)
    _mapped: FileState | None = field(default=None, repr=False, compare=False)
    _reading: Lock = field(default_factory=Lock, repr=False, compare=False)

    def __post_init__(self) -> None:
        shape = tuple(self.data.shape)
        if len(shape) != 4:
            raise ValueError(
                f"{self.name} has shape {shape}; a 4D scan has the four axes (scan_y, scan_x, det_y, det_x)"
            )
        if min(shape) == 0:
            raise ValueError(f"{self.name} has shape {shape}; every axis must hold at least one element")
        if np.dtype(self.data.dtype).kind not in "buif":
            raise ValueError(f"{self.name} holds {self.data.dtype}; patterns must be real numbers")
        if self.opened is None:
            object.__setattr__(self, "opened", FileState.of(self.path))
            object.__setattr__(self, "_mapped", FileState.of(_mapped_file(self.data)))

    @property
    def changed(self) -> bool:
        """Whether the file is there, but no longer as it was when it was opened."""
        now = FileState.of(self.path)
        return now is not None and self.opened is not None and now != self.opened

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(scan_y, scan_x, det_y, det_x)``."""
        scan_y, scan_x, det_y, det_x = self.data.shape
        return scan_y, scan_x, det_y, det_x

    @property
    def scan_shape(self) -> tuple[int, int]:
        """``(scan_y, scan_x)``."""
        return self.shape[:2]

    @property
    def detector_shape(self) -> tuple[int, int]:
        """``(det_y, det_x)``."""
        return self.shape[2:]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the stored numbers."""
        return np.dtype(self.data.dtype)

    @property
    def nbytes(self) -> int:
        """Size when unpacked."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def read(self, rows: slice, columns: slice, box: Block | None = None) -> NDArray[np.number]:
        """Return a block of patterns, shape (rows, columns, det_y, det_x), or only detector rows and columns `box`.

        Raises
        ------
        OSError, ValueError
            If they cannot be read.
        """
        return self._read((rows, columns) if box is None else (rows, columns, *box))

    def pattern(self, row: int, column: int) -> NDArray[np.number]:
        """Return one pattern, shape (det_y, det_x); see `read`."""
        return self._read((row, column))

    def _read(self, key: tuple[Any, ...]) -> NDArray[np.number]:
        with self._reading:  # readers of files need not know threads
            self._check_mapped()
            try:
                found = np.asarray(self.data[key])
                if self._mapped:
                    fetch(found, _mapped_file(self.data) or self.name)
                return found
            except (OSError, ValueError, MemoryError):
                raise
            except Exception as error:
                raise OSError(f"{self.path or self.name}: cannot be read ({type(error).__name__}: {error})") from error

    def _check_mapped(self) -> None:
        """Raise `OSError` if the file of a memory map has been cut short: reading beyond its end ends the process."""
        before = self._mapped
        file = _mapped_file(self.data) if before else None
        now = FileState.of(file)
        if before and now and now.number == before.number and now.size < before.size:
            raise OSError(f"{file}: has become shorter since it was opened; it had {before.size} bytes")

    def blocks(self, max_bytes: int = 64 * 2**20) -> Iterator[Block]:
        """Yield blocks of whole rows, or parts of one row, that unpack to at most `max_bytes`."""
        scan_y, scan_x, det_y, det_x = self.shape
        pattern = det_y * det_x * self.dtype.itemsize
        columns = int(np.clip(max_bytes // pattern, 1, scan_x))
        rows = int(np.clip(max_bytes // (pattern * scan_x), 1, scan_y))
        for row in range(0, scan_y, rows):
            for column in range(0, scan_x, columns):
                yield slice(row, min(row + rows, scan_y)), slice(column, min(column + columns, scan_x))

    def calibrated(self, **changes: Any) -> Scan4D:
        """Return the scan with some calibration values replaced; ``None`` leaves a value as it is."""
        given = {name: value for name, value in changes.items() if value is not None}
        return replace(self, calibration=replace(self.calibration, **given))

    def close(self) -> None:
        """Release the file, unless a read of it hangs."""
        if self._reading.acquire(timeout=_CLOSING_S):
            try:
                self.closer()
            finally:
                self._reading.release()

    def __enter__(self) -> Scan4D:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _mapped_file(data: LazyArray) -> Path | None:
    """Return the file behind a memory map, also where its axes are put in order."""
    name = getattr(data, "filename", None) or getattr(getattr(data, "data", None), "filename", None)
    return None if name is None else Path(name)
