"""Patterns that lie plainly in a file, at even distances: mapped into memory, or read where asked.

Mapping makes a pass over a scan a third faster. But a mapped file that does not answer can hold all threads of the
process, and one that becomes shorter while it is used ends the process. On a network share either happens.
"""

from __future__ import annotations

import math
import re
import threading
import weakref
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_polarmap.io.errors import ScanFileError
from napari_polarmap.io.indices import expanded, positions

_MOUNTS: Final = Path("/proc/self/mountinfo")
_LOCAL: Final = re.compile("bcachefs|btrfs|exfat|ext[234]|f2fs|fuseblk|ntfs3|overlay|squashfs|tmpfs|vfat|xfs|zfs")


def plain_array(
    path: Path,
    shape: tuple[int, ...],
    dtype: DTypeLike,
    *,
    offset_bytes: int = 0,
    before_bytes: int = 0,
    after_bytes: int = 0,
) -> FileFrames | NDArray[Any]:
    """Return patterns in a file: as a memory map where it lies on a disk of this machine, else as `FileFrames`.

    Parameters
    ----------
    path, shape, dtype, offset_bytes, before_bytes, after_bytes
        As for `FileFrames`.

    Raises
    ------
    ScanFileError
        If the file is shorter.
    """
    gaps = {"offset_bytes": offset_bytes, "before_bytes": before_bytes, "after_bytes": after_bytes}
    frames = FileFrames(path, shape, dtype, **gaps)
    if not on_local_disk(path):
        return frames
    fields = {"names": ["pattern"], "formats": [(frames.dtype, frames.shape[-2:])], "offsets": [before_bytes]}
    record = np.dtype({**fields, "itemsize": frames.stride_bytes})  # type: ignore[call-overload]
    try:
        return np.memmap(path, dtype=record, mode="r", offset=offset_bytes, shape=shape[:-2])["pattern"]
    except (OSError, ValueError):
        return frames


def on_local_disk(path: Path) -> bool:
    """Tell whether a file lies on a disk of this machine; no where nothing says so, as on other systems than Linux."""
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    kind, longest, real = "", -1, path.resolve()
    for line in lines:
        words, _, rest = line.partition(" - ")
        place = re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), words.split(" ")[4])
        if len(place) >= longest and real.is_relative_to(place):
            kind, longest = rest.split(" ")[0], len(place)
    return _LOCAL.fullmatch(kind) is not None


class FileFrames:
    """Patterns in a file as an array of shape ``(..., det_y, det_x)``; with four axes it can be indexed.

    They are read where asked: a disk that does not answer holds the thread that reads and no other, and a file that
    has become shorter is an error, not the end of the process.

    Parameters
    ----------
    path : Path
    shape : tuple of int
    dtype : dtype
    offset_bytes : int
        Before the first pattern.
    before_bytes, after_bytes : int
        Before and after every pattern.

    Raises
    ------
    ScanFileError
        If the file is shorter.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, ...],
        dtype: DTypeLike,
        *,
        offset_bytes: int = 0,
        before_bytes: int = 0,
        after_bytes: int = 0,
    ) -> None:
        self.path, self.dtype = path, np.dtype(dtype)
        pattern_bytes = math.prod(shape[-2:]) * self.dtype.itemsize
        self._first, self.stride_bytes = offset_bytes + before_bytes, before_bytes + pattern_bytes + after_bytes
        self._file = _OpenFile(path)
        self._take(shape)
        needed = offset_bytes + math.prod(shape[:-2]) * self.stride_bytes
        if self._file.n_bytes < needed:
            raise ScanFileError(
                f"{path}: the file is cut short; it has {self._file.n_bytes} bytes of the {needed} its header promises"
            )

    def _take(self, shape: tuple[int, ...]) -> None:
        self.shape, self.ndim = tuple(int(size) for size in shape), len(shape)

    def reshape(self, *shape: int) -> FileFrames:
        """Return the same patterns with other scan axes."""
        other = FileFrames.__new__(FileFrames)
        other.__dict__.update(self.__dict__)
        other._take(shape)
        return other

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Read the patterns under `key` (integers, slices, index lists); of detector rows only what is asked for."""
        keys = expanded(key)
        height, width = self.shape[2:]
        rows, columns = (positions(part, size) for part, size in zip(keys[:2], self.shape[:2], strict=True))
        part, rest = range(height), keys[2]
        if isinstance(rest, slice) and rest.step in (None, 1):
            part, rest = part[rest], slice(None)
        number = np.add.outer(np.array(rows, np.int64) * self.shape[1], np.array(columns, np.int64))
        out = np.empty((number.size, len(part), width), self.dtype)
        if out.size:
            self._fill(out, number.ravel(), part.start)
        out = out.reshape(len(rows), len(columns), len(part), width)
        picked = tuple(0 if isinstance(each, (int, np.integer)) else slice(None) for each in keys[:2])
        return np.asarray(out[picked][(..., rest, keys[3])])

    def _fill(self, out: NDArray[Any], number: NDArray[np.int64], top: int) -> None:
        """Read some rows, from `top`, of the patterns with these numbers."""
        first = self._first + top * self.shape[-1] * self.dtype.itemsize
        gapless = self.stride_bytes == out[0].nbytes
        apart = np.diff(number) != 1 if gapless else np.ones(len(number) - 1, np.bool_)
        edges = [0, *(np.flatnonzero(apart) + 1).tolist(), len(number)]
        for start, stop in pairwise(edges):
            self._file.read_into(out[start:stop], first + int(number[start]) * self.stride_bytes)


class _OpenFile:
    """A file that is closed when nobody needs it any more."""

    def __init__(self, path: Path) -> None:
        self.path, self._lock = path, threading.Lock()
        self._stream = path.open("rb", buffering=0)
        weakref.finalize(self, self._stream.close)
        self.n_bytes = self._stream.seek(0, 2)

    def read_into(self, out: NDArray[Any], position: int) -> None:
        """Fill a contiguous array with the bytes from `position`."""
        left = out.reshape(-1).view(np.uint8).data
        with self._lock:
            self._stream.seek(position)
            while len(left):
                n_bytes = self._stream.readinto(left)
                if not n_bytes:
                    raise OSError(f"{self.path}: has become shorter since it was opened; it had {self.n_bytes} bytes")
                left = left[n_bytes:]
