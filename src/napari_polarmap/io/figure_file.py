"""Figures as files: one style, three formats, never half written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import matplotlib
from matplotlib.figure import Figure

from napari_polarmap.core.whole_file import whole_file

FORMATS: Final = ("png", "svg", "pdf")
_STYLE: Final[dict[Any, Any]] = {
    "font.family": "sans-serif",
    "font.size": 8,
    "svg.fonttype": "none",
    "svg.hashsalt": "napari-polarmap",
    "pdf.fonttype": 42,
    "hatch.linewidth": 0.5,
}


def write_figure(draw: Callable[[], Figure], path: str | Path, *, dpi: int) -> Path:
    """Draw a figure in our style and write it, under a temporary name until it is whole.

    Parameters
    ----------
    draw : callable
        Returns the figure; not called for a suffix that does not fit.
    path : str or Path
        Its suffix gives the format: ``.png``, ``.svg`` or ``.pdf``.
    dpi : int
        Resolution of a ``.png``.

    Raises
    ------
    ValueError
        For another suffix.
    OSError
        If the folder cannot be written; an existing file is left as it was.
    """
    path = Path(path)
    kind = path.suffix.lower().lstrip(".")
    if kind not in FORMATS:
        raise ValueError(f"{path}: figures are written as {', '.join(f'.{name}' for name in FORMATS)}")
    metadata = {"png": {"Software": "napari-polarmap"}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    with whole_file(path) as partial, matplotlib.rc_context(_STYLE):
        draw().savefig(partial, format=kind, dpi=dpi, metadata=metadata, facecolor="white")
    return path
