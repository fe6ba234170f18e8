"""How large a part of a file may become in memory, and where the files that belong to it may lie.

A few bytes of a compressed file can say that they are terabytes.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

from napari_polarmap.io.errors import ScanFileError

MOST_BYTES: Final = 2**30
"""Of one pattern, and of one compressed chunk, unpacked."""


def check_pieces(path: Path, shape: tuple[int, ...], itemsize: int, what: str) -> None:
    """Raise `ScanFileError` if a piece of `shape` is larger than `MOST_BYTES`."""
    n_bytes = math.prod(shape) * itemsize
    if n_bytes > MOST_BYTES:
        raise ScanFileError(
            f"{path}: {what} of shape {shape} need {n_bytes / 2**30:.1f} GiB each; "
            f"at most {MOST_BYTES / 2**30:g} GiB fit"
        )


def check_inside(path: Path, companion: Path, *, allow_external: bool) -> None:
    """Raise `ScanFileError` if a file that belongs to `path` is a link that leads out of its folder."""
    if allow_external or not companion.is_symlink():
        return
    if companion.resolve().parent not in (companion.parent.resolve(), path.resolve().parent):
        raise ScanFileError(
            f"{path}: {companion.name} is a link that leads to another folder; if you trust it, give --allow-external"
        )
