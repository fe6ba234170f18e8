"""Headless files: patterns one after the other, laid out as the user says or as EMPAD writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.data import Calibration, Scan4D
from napari_polarmap.io.errors import RawLayoutNeededError, ScanFileError
from napari_polarmap.io.file_frames import FileFrames, plain_array
from napari_polarmap.io.frames import arranged, check_scan_shape


@dataclass(frozen=True, kw_only=True)
class RawLayout:
    """How the patterns of a headless file lie.

    Attributes
    ----------
    dtype : str
        Type of the numbers as numpy writes it; ``>u2`` is big-endian uint16.
    detector_shape : (int, int)
        ``(det_y, det_x)``.
    offset_bytes : int
        Before the first pattern.
    gap_bytes : int
        After every pattern.
    """

    dtype: str
    detector_shape: tuple[int, int]
    offset_bytes: int = 0
    gap_bytes: int = 0

    def __post_init__(self) -> None:
        try:
            known = np.dtype(self.dtype).kind in "uif"
        except (TypeError, ValueError):  # the latter for texts that look like several types
            known = False
        if not known:
            raise ValueError(f"raw layout: {self.dtype!r} is no type of numbers; uint16, >u2 or float32 fits")
        if min(self.detector_shape) < 1 or min(self.offset_bytes, self.gap_bytes) < 0:
            raise ValueError(f"raw layout: {self.detector_shape} px, offset {self.offset_bytes}, gap {self.gap_bytes}")

    @classmethod
    def parse(cls, text: str) -> RawLayout:
        """Read ``TYPE,DET_Y,DET_X[,OFFSET[,GAP]]`` or ``empad``.

        Examples
        --------
        >>> RawLayout.parse("uint16,256,128").detector_shape
        (256, 128)
        """
        if text == "empad":
            return EMPAD
        dtype, *numbers = (part.strip() for part in text.split(","))
        if not 2 <= len(numbers) <= 4 or not all(number.isdigit() for number in numbers):
            raise ValueError(f"raw layout {text!r}: TYPE,DET_Y,DET_X[,OFFSET[,GAP]] fits, or empad")
        rows, columns, *rest = (int(number) for number in numbers)
        offset, gap = (*rest, 0, 0)[:2]
        return cls(dtype=dtype, detector_shape=(rows, columns), offset_bytes=offset, gap_bytes=gap)

    @property
    def stride_bytes(self) -> int:
        """From one pattern to the next."""
        rows, columns = self.detector_shape
        return rows * columns * np.dtype(self.dtype).itemsize + self.gap_bytes

    def count(self, n_bytes: int) -> int | None:
        """Return how many patterns a file of `n_bytes` holds; None if it does not come out even."""
        n_patterns, left = divmod(n_bytes - self.offset_bytes, self.stride_bytes)
        return n_patterns if n_patterns > 0 and left == 0 else None


EMPAD = RawLayout(dtype="<f4", detector_shape=(128, 128), gap_bytes=2 * 128 * 4)
"""EMPAD: two rows of other numbers follow the 128 of the detector."""


def plain_frames(
    path: Path, shape: tuple[int, ...], layout: RawLayout, *, before_bytes: int = 0
) -> FileFrames | NDArray[Any]:
    """Return patterns as an array of shape ``(*shape, det_y, det_x)``, `before_bytes` in front of each."""
    return plain_array(
        path,
        (*shape, *layout.detector_shape),
        layout.dtype,
        offset_bytes=layout.offset_bytes,
        before_bytes=before_bytes,
        after_bytes=layout.gap_bytes,
    )


def read_raw(
    path: Path,
    *,
    scan_shape: tuple[int, int] | None = None,
    dataset: str | None = None,
    allow_external: bool = False,
    layout: RawLayout | None = None,
) -> Scan4D:
    """Open a headless file.

    Without a layout, a ``.raw`` of EMPAD is known by the name ``scan_x*_y*.raw`` together with
    its length; anything else is asked for.

    Raises
    ------
    RawLayoutNeededError
        If nothing tells how the numbers lie.
    ScanShapeNeededError
        If nothing tells the scan shape.
    ScanFileError
        If the length of the file does not fit.
    """
    del dataset, allow_external
    n_bytes = path.stat().st_size
    named = shape_in_name(path)
    if layout is None:
        if named is None or EMPAD.count(n_bytes) != named[0] * named[1]:
            also = ", or --raw empad" if EMPAD.count(n_bytes) else ""
            raise RawLayoutNeededError(
                f"{path}: has no header; open the .xml file that came with it, "
                f"or give the layout of its {n_bytes} bytes with --raw TYPE,DET_Y,DET_X[,OFFSET[,GAP]]{also}"
            )
        layout = EMPAD
    n_patterns = layout.count(n_bytes)
    if n_patterns is None:
        rows, columns = layout.detector_shape
        raise ScanFileError(
            f"{path}: {n_bytes} bytes less an offset of {layout.offset_bytes} are no whole number of patterns of "
            f"{rows} x {columns} px in {layout.dtype} ({layout.stride_bytes} bytes each); check the layout"
        )
    if scan_shape is None and named is not None and named[0] * named[1] == n_patterns:
        scan_shape = named
    if scan_shape is not None:
        check_scan_shape(path, scan_shape, n_patterns)
    frames = plain_frames(path, scan_shape or (n_patterns,), layout)
    return Scan4D(arranged(frames, scan_shape, path, "the file"), Calibration(), path.stem, path)


def shape_in_name(path: Path) -> tuple[int, int] | None:
    """Return the scan shape of an EMPAD file name, ``scan_x128_y64.raw``."""
    found = re.search(r"_x(\d+)_y(\d+)", path.stem)
    return None if found is None else (int(found[2]), int(found[1]))
