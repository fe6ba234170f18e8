"""Lazy stacks of patterns seen as 4D scans."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.data import LazyArray
from napari_polarmap.io.errors import ScanFileError, ScanShapeNeededError
from napari_polarmap.io.file_frames import FileFrames
from napari_polarmap.io.indices import expanded, positions


class FrameStack:
    """Patterns stored one after the other, seen as ``(scan_y, scan_x, det_y, det_x)``, row by row.

    Parameters
    ----------
    read_frames : callable
        ``read_frames(start, stop)`` returns patterns ``start`` to ``stop - 1``,
        shape (stop - start, det_y, det_x).
    scan_shape, detector_shape : (int, int)
    dtype : dtype
    """

    ndim = 4

    def __init__(
        self,
        read_frames: Callable[[int, int], NDArray[Any]],
        scan_shape: tuple[int, int],
        detector_shape: tuple[int, int],
        dtype: np.dtype[Any],
    ) -> None:
        self._read_frames = read_frames
        self.shape = (*scan_shape, *detector_shape)
        self.dtype = np.dtype(dtype)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Read the patterns under `key` (integers, slices, index lists); scan axes first."""
        keys = expanded(key)
        rows, columns = (positions(part, size) for part, size in zip(keys[:2], self.shape[:2], strict=True))
        out = np.empty((len(rows), len(columns), *self.shape[2:]), dtype=self.dtype)
        whole_rows = columns == range(self.shape[1]) and rows == range(rows[0], rows[0] + len(rows)) if rows else False
        if whole_rows:
            frames = self._frames(rows[0] * self.shape[1], (rows[0] + len(rows)) * self.shape[1])
            out[:] = frames.reshape(out.shape)
        else:
            for index, row in enumerate(rows):
                self._read_row(row, columns, out[index])
        picked = tuple(0 if isinstance(part, (int, np.integer)) else slice(None) for part in keys[:2])
        return np.asarray(out[picked][(..., *keys[2:])])

    def _read_row(self, row: int, columns: range | list[int], out: NDArray[Any]) -> None:
        first = row * self.shape[1]
        if len(columns) and list(columns) == list(range(columns[0], columns[0] + len(columns))):
            out[:] = self._frames(first + columns[0], first + columns[0] + len(columns))
            return
        for index, column in enumerate(columns):
            out[index] = self._frames(first + column, first + column + 1)[0]

    def _frames(self, start: int, stop: int) -> NDArray[Any]:
        frames = np.asarray(self._read_frames(start, stop))
        if frames.shape != (stop - start, *self.shape[2:]):
            raise ScanFileError(
                f"patterns {start} to {stop - 1} came as {frames.shape}; {(stop - start, *self.shape[2:])} was expected"
            )
        return frames


def arranged(data: LazyArray, scan_shape: tuple[int, int] | None, path: Path, what: str = "it") -> LazyArray:
    """Return stored patterns as a 4D scan.

    Parameters
    ----------
    data : array-like, shape (scan_y, scan_x, det_y, det_x) or (n, det_y, det_x)
    scan_shape : (int, int), optional
        ``(scan_y, scan_x)``; needed for a stack.
    path : Path
        For messages.
    what : str
        The data in a message, for example ``"dataset /data"``.

    Raises
    ------
    ScanShapeNeededError
        For a stack without a scan shape.
    ScanFileError
        If the number of axes or of patterns does not fit.
    """
    shape = tuple(int(size) for size in data.shape)
    if len(shape) not in (3, 4):
        raise ScanFileError(
            f"{path}: {what} has shape {shape}; "
            "a 4D scan (scan_y, scan_x, det_y, det_x), or a 3D stack of patterns with --scan-shape, fits"
        )
    if scan_shape is None:
        if len(shape) == 3:
            raise scan_shape_needed(path, shape[0], shape[1:])
        return data
    n_patterns = int(np.prod(shape[:-2], dtype=np.int64))
    check_scan_shape(path, scan_shape, n_patterns)
    if shape[:-2] == scan_shape:
        return data
    if isinstance(data, (np.ndarray, FileFrames)):
        return data.reshape(*scan_shape, *shape[-2:])
    return FrameStack(_frame_reader(data), scan_shape, (shape[-2], shape[-1]), np.dtype(data.dtype))


def _frame_reader(data: LazyArray) -> Callable[[int, int], NDArray[Any]]:
    if len(data.shape) == 3:
        return lambda start, stop: np.asarray(data[start:stop])
    width = data.shape[1]

    def read(start: int, stop: int) -> NDArray[Any]:
        first, last = start // width, -(-stop // width)
        frames = np.asarray(data[first:last])
        return frames.reshape(-1, *frames.shape[2:])[start - first * width : stop - first * width]

    return read


def check_scan_shape(path: Path, scan_shape: tuple[int, int], n_patterns: int) -> None:
    """Raise `ScanFileError` unless the scan shape holds exactly the patterns there are."""
    rows, columns = scan_shape
    if rows < 1 or columns < 1 or rows * columns != n_patterns:
        raise ScanFileError(
            f"{path}: holds {n_patterns} patterns, but --scan-shape {rows} {columns} asks for {rows * columns}; "
            f"choose two numbers whose product is {n_patterns}"
        )


def scan_shape_needed(path: Path, n_patterns: int, detector_shape: tuple[int, ...]) -> ScanShapeNeededError:
    """Return the error that asks for the scan shape of a stack."""
    return ScanShapeNeededError(
        f"{path}: holds a stack of {n_patterns} patterns of {' x '.join(map(str, detector_shape))} px and does not "
        f"say how they were scanned; give --scan-shape Y X with Y x X = {n_patterns}",
        n_patterns,
    )
