"""Which of the arrays in a file is the scan."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

from napari_polarmap.io.errors import DatasetNeededError, ScanFileError


def choose_place(
    found: Mapping[str, tuple[int, ...]],
    path: Path,
    *,
    shape_given: bool = False,
    preferred: str | None = None,
    what: str = "dataset",
) -> str:
    """Return the place of the one 4D array, or of the one stack of patterns where there is none.

    Parameters
    ----------
    found : mapping of str to tuple
        Shapes by place.
    path : Path
        For messages.
    shape_given : bool
        A scan shape was given, so that a stack need not ask for it.
    preferred : str, optional
        What the file itself names as its main data; taken where several would do.
    what : str
        The array in a message.

    Raises
    ------
    DatasetNeededError
        If several would do.
    ScanFileError
        If none would.
    """
    scans = [place for place, shape in found.items() if len(shape) == 4]
    choices = scans or [place for place, shape in found.items() if len(shape) == 3]
    if preferred in choices:
        return str(preferred)
    if len(choices) == 1:
        return choices[0]
    if choices:
        listed = ", ".join(f"{place} {found[place]}" for place in choices)
        also = "" if scans or shape_given else ", and give its scan shape with --scan-shape Y X"
        kind = f"4D {what}s" if scans else "3D stacks"
        raise DatasetNeededError(f"{path}: holds several {kind} ({listed}); choose one with --dataset{also}", choices)
    listed = ", ".join(f"{place} {shape}" for place, shape in itertools.islice(found.items(), 5)) or "no numbers"
    raise ScanFileError(f"{path}: holds no 4D {what} (scan_y, scan_x, det_y, det_x); found {listed}")
