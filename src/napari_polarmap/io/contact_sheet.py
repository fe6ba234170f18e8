"""Many small maps on one sheet."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from napari_polarmap.core.directions import N_DIRECTIONS
from napari_polarmap.io.display import Display
from napari_polarmap.io.figure_file import write_figure
from napari_polarmap.io.figure_legend import GREY, INK, draw_wheel

_ACROSS: Final = 5
_TILE_IN: Final = 1.35
_WORDS_IN: Final = 0.32
_MOST: Final = 200
"""Sheets with more maps than this are cut."""


def contact_sheet(maps: Sequence[tuple[str, str, NDArray[Any] | None]], path: str | Path, *, dpi: int = 150) -> Path:
    """Draw maps beside each other with a colour wheel.

    Parameters
    ----------
    maps : sequence of (name, reason, image or None)
        The reason stands where there is no image.
    path : str or Path
        ``.png``, ``.svg`` or ``.pdf``.
    """
    return write_figure(lambda: _draw(maps[:_MOST]), path, dpi=dpi)


def _draw(maps: Sequence[tuple[str, str, NDArray[Any] | None]]) -> Figure:
    across = min(_ACROSS, len(maps)) + 1
    down = -(-len(maps) // (across - 1))
    width, height = across * (_TILE_IN + 0.12), down * (_TILE_IN + _WORDS_IN)
    height = max(height, _TILE_IN + 0.4)
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    for index, (name, reason, image) in enumerate(maps):
        row, column = divmod(index, across - 1)
        left, top = column * (_TILE_IN + 0.12) + 0.06, row * (_TILE_IN + _WORDS_IN) + 0.04
        axes = figure.add_axes((left / width, 1 - (top + _TILE_IN) / height, _TILE_IN / width, _TILE_IN / height))
        axes.axis("off")
        if image is None:
            axes.text(
                0.5, 0.5, textwrap.fill(reason, 26)[:220], ha="center", va="center", fontsize=5.5, color="#b3261e"
            )
            axes.set(xlim=(0, 1), ylim=(0, 1))
        else:
            axes.imshow(image, interpolation="nearest")
        short = name if len(name) <= 26 else f"{name[:23]}…"
        figure.text(
            (left + _TILE_IN / 2) / width,
            1 - (top + _TILE_IN + 0.12) / height,
            short,
            ha="center",
            fontsize=6.5,
            color=INK,
        )
    side = (across - 1) * (_TILE_IN + 0.12)
    wheel = figure.add_axes(
        (side / width, 1 - (_TILE_IN + 0.2) / height, (_TILE_IN + 0.1) / width, (_TILE_IN + 0.1) / height)
    )
    wheel.set(xlim=(0, 1.9), ylim=(1.9, 0), aspect="equal")
    wheel.axis("off")
    draw_wheel(wheel, (0.95, 1.0), N_DIRECTIONS * [False], Display())
    wheel.text(0.95, 0.06, "direction of P", ha="center", va="center", fontsize=6.5, color=GREY)
    return figure
