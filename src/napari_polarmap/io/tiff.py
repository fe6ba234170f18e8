"""TIFF: a folder with one file per scan position, or all patterns as the pages of one file."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_polarmap.core.data import Calibration, Scan4D
from napari_polarmap.io.errors import ScanFileError
from napari_polarmap.io.file_frames import plain_array
from napari_polarmap.io.frames import FrameStack, arranged, check_scan_shape, scan_shape_needed
from napari_polarmap.io.limits import check_inside, check_pieces

SUFFIXES: Final = (".tif", ".tiff")
_PACKED_BYTES: Final = 2**16
_COLUMN_WORDS: Final = ("x", "col", "column", "c")
_ROW_WORDS: Final = ("y", "row", "line", "r")


def read_folder(
    path: Path,
    *,
    scan_shape: tuple[int, int] | None = None,
    dataset: str | None = None,
    allow_external: bool = False,
) -> Scan4D:
    """Open a folder of TIFFs, one per scan position, row by row.

    Files are put in order by the numbers in their names. With one number that
    counts, the scan is square, or of the shape given; with two, they are row and
    column (the other way round where the names say ``x`` before ``y``).

    Raises
    ------
    ScanFileError
        If there are no TIFFs, numbers are missing or the shape does not fit.
    ScanShapeNeededError
        If the number of files is no square number and no shape is given.
    """
    del dataset
    files = [entry for entry in path.iterdir() if entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".")]
    if not files:
        raise ScanFileError(f"{path}: holds no TIFF files; a folder with one TIFF per scan position fits")
    for file in files:
        check_inside(path, file, allow_external=allow_external)
    files, found_shape = _in_order(path, files)
    frame = _read_frame(files[0])
    if frame.ndim != 2:
        raise ScanFileError(f"{files[0]}: has shape {frame.shape}; one pattern (det_y, det_x) per file fits")
    side = math.isqrt(len(files))
    shape = scan_shape or found_shape or ((side, side) if side * side == len(files) else None)
    if shape is None:
        raise scan_shape_needed(path, len(files), frame.shape)
    check_scan_shape(path, shape, len(files))

    def read_frames(start: int, stop: int) -> NDArray[Any]:
        out = np.empty((stop - start, *frame.shape), dtype=frame.dtype)
        for index, file in enumerate(files[start:stop]):
            pattern = _read_frame(file)
            if pattern.shape != frame.shape or pattern.dtype != frame.dtype:
                raise ScanFileError(
                    f"{file}: is {pattern.dtype} of shape {pattern.shape}; "
                    f"the first file of the folder is {frame.dtype} of shape {frame.shape}"
                )
            out[index] = pattern
        return out

    stack = FrameStack(read_frames, shape, (frame.shape[0], frame.shape[1]), frame.dtype)
    return Scan4D(stack, Calibration(), path.name, path)


def _read_frame(file: Path) -> NDArray[Any]:
    try:
        with tifffile.TiffFile(file) as opened:
            series = opened.series[0]
            check_pieces(file, series.shape, series.dtype.itemsize, "images")
            for page in series.pages:
                _check_packed(file, page)
            return np.asarray(series.asarray())
    except ScanFileError:
        raise
    except Exception as error:  # noqa: BLE001 -- what tifffile raises at a damaged file is not one kind of error
        raise ScanFileError(f"{file}: not a readable TIFF file ({str(error) or type(error).__name__})") from None


def _check_packed(file: Path, page: Any) -> None:
    """Raise `ScanFileError` if a page is packed into more bytes than it unpacks to: it would unpack to far more."""
    if page is not None and sum(page.databytecounts) > 2 * page.nbytes + _PACKED_BYTES:
        raise ScanFileError(
            f"{file}: {sum(page.databytecounts)} bytes are said to unpack to an image of {page.nbytes}; it is damaged"
        )


def _in_order(path: Path, files: list[Path]) -> tuple[list[Path], tuple[int, int] | None]:
    """Return the files row by row and, where their names tell, the scan shape."""
    parts = {file: re.split(r"(\d+)", file.stem) for file in files}
    patterns = {tuple(part[::2]) for part in parts.values()}
    natural = sorted(files, key=lambda file: [(int(p), "") if p.isdigit() else (-1, p) for p in parts[file]])
    if len(patterns) > 1:
        return natural, None
    numbers = np.array([[int(number) for number in parts[file][1::2]] for file in files])
    counting = [column for column in range(numbers.shape[1]) if len(np.unique(numbers[:, column])) > 1]
    if len(counting) == 1:
        _check_complete(path, numbers[:, counting[0]], natural)
        return natural, None
    if len(counting) != 2:
        return natural, None
    row, column = counting
    words = [re.sub(r".*[^a-z]", "", next(iter(patterns))[index].rstrip("_-= ").lower()) for index in counting]
    if words[0] in _COLUMN_WORDS and words[1] in _ROW_WORDS:
        row, column = column, row
    rows, columns = np.unique(numbers[:, row]), np.unique(numbers[:, column])
    if len(rows) * len(columns) != len(files):
        places = {(int(a), int(b)) for a, b in numbers[:, (row, column)]}
        gap = next((a, b) for a in rows.tolist() for b in columns.tolist() if (a, b) not in places)
        raise ScanFileError(
            f"{path}: {len(files)} files for {len(rows)} rows and {len(columns)} columns; "
            f"the one for row {gap[0]}, column {gap[1]} is missing"
        )
    order = np.lexsort((numbers[:, column], numbers[:, row]))
    return [files[index] for index in order], (len(rows), len(columns))


def _check_complete(path: Path, numbers: NDArray[np.int64], files: list[Path]) -> None:
    steps = np.diff(np.sort(numbers))
    if len(steps) and steps.min() != steps.max():
        place = int(np.argmax(steps != np.median(steps)))
        raise ScanFileError(
            f"{path}: the numbers of the files do not run on evenly after {files[place].name} "
            f"(next is {files[place + 1].name}); every scan position needs its file"
        )


def read_stack(
    path: Path,
    *,
    scan_shape: tuple[int, int] | None = None,
    dataset: str | None = None,
    allow_external: bool = False,
) -> Scan4D:
    """Open the pages of one TIFF file as patterns; read in blocks where they are stored plainly.

    Raises
    ------
    ScanFileError
        If it is no TIFF file or its pages are no patterns.
    ScanShapeNeededError
        If the file does not say how the patterns were scanned.
    """
    del dataset, allow_external
    try:
        file = tifffile.TiffFile(path)
    except (OSError, ValueError, tifffile.TiffFileError) as error:
        raise ScanFileError(f"{path}: not a readable TIFF file ({error})") from None
    try:
        series = file.series[0]
        if series.ndim < 3:
            raise ScanFileError(
                f"{path}: holds one image of shape {series.shape}; "
                "a TIFF with one page per scan position, or the folder that holds one TIFF each, fits"
            )
        offset = series.dataoffset
        if offset is not None and path.stat().st_size >= offset + series.nbytes:
            dtype = np.dtype(series.dtype).newbyteorder(file.byteorder)
            data = plain_array(path, tuple(series.shape), dtype, offset_bytes=offset)
            file.close()
            return Scan4D(arranged(data, scan_shape, path, "the series"), Calibration(), path.stem, path)
        return _paged(file, path, scan_shape)
    except BaseException:
        file.close()
        raise


def _paged(file: tifffile.TiffFile, path: Path, scan_shape: tuple[int, int] | None) -> Scan4D:
    series = file.series[0]
    file.filehandle.set_lock(True)
    shape = scan_shape or ((series.shape[0], series.shape[1]) if series.ndim == 4 else None)
    if shape is None:
        raise scan_shape_needed(path, len(series), series.shape[1:])
    check_scan_shape(path, shape, len(series))

    def read_frames(start: int, stop: int) -> NDArray[Any]:
        pages = [series[index] for index in range(start, stop)]
        if any(page is None for page in pages):
            raise ScanFileError(f"{path}: a page among patterns {start} to {stop - 1} is missing")
        for page in pages:
            _check_packed(path, page)
        return np.stack([page.asarray() for page in pages if page is not None])

    stack = FrameStack(read_frames, shape, (series.shape[-2], series.shape[-1]), series.dtype)
    return Scan4D(stack, Calibration(), path.stem, path, None, file.close)
