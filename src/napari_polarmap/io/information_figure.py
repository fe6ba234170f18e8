"""A figure of the information map: what single patterns tell, by the place of the probe in the unit cell."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from napari_polarmap.core.information import InformationMap
from napari_polarmap.io.figure_file import write_figure

_CHANCE: Final = 1 / 8
_MISSING: Final = "#dcdcdc"


def information_figure(
    information: InformationMap, path: str | Path, *, reference: str = "the reference", title: str = "", dpi: int = 200
) -> Path:
    """Write the information map as a figure.

    Parameters
    ----------
    information : InformationMap
    path : str or Path
        Its suffix gives the format: ``.png``, ``.svg`` or ``.pdf``.
    reference : str
        What the directions are compared with, for the caption.
    title : str
        Line above the panels.
    dpi : int
        Resolution of a ``.png``.

    Raises
    ------
    ValueError
        For another suffix.
    OSError
        If the folder cannot be written; an existing file is left as it was.
    """
    return write_figure(lambda: draw_information(information, reference=reference, title=title), path, dpi=dpi)


def draw_information(information: InformationMap, *, reference: str = "the reference", title: str = "") -> Figure:
    """Return the figure that `information_figure` writes."""
    figure = Figure(figsize=(7.4, 2.75))
    FigureCanvasAgg(figure)
    for index, (name, values, colors, low, high) in enumerate(panels(information)):
        axes = figure.add_axes((0.025 + 0.245 * index, 0.3, 0.2, 0.538))
        colormap = matplotlib.colormaps[colors].with_extremes(bad=_MISSING)
        shown = axes.imshow(
            np.ma.masked_invalid(values),
            cmap=colormap,
            vmin=low,
            vmax=high,
            extent=(0, 1, 1, 0),
            interpolation="nearest",
            aspect="auto",
        )
        axes.set(xticks=[], yticks=[])
        axes.set_title(name, fontsize=8, pad=3)
        bar = figure.colorbar(
            shown, cax=figure.add_axes((0.025 + 0.245 * index, 0.23, 0.2, 0.035)), orientation="horizontal"
        )
        bar.ax.tick_params(labelsize=6.5, length=2, pad=1)
        bar.locator = matplotlib.ticker.MaxNLocator(3)
        bar.update_ticks()
    counts = information.counts
    first = "One unit cell, lattice vectors to the right and downwards, darkest place of bright field in the middle."
    median = int(np.median(counts))
    second = f"Single patterns, {median} at each place (median); right: same direction as {reference}; grey: too few."
    for index, line in enumerate((first, second)):
        figure.text(0.025, 0.075 - 0.055 * index, line, fontsize=6.5, color="#5a5a5a")
    if title:
        figure.text(0.025, 0.935, title, fontsize=9)
    return figure


def panels(information: InformationMap) -> list[tuple[str, NDArray[np.floating], str, float, float]]:
    """Return title, values, colormap and its limits for each part.

    The limits are never so narrow that chance differences between places look like a pattern.
    """
    bright = information.image
    return [
        ("bright field", bright, "gray", *_limits(bright, 0.02)),
        (f"right (chance {_CHANCE:.3f})", information.accuracy, "viridis", 0.0, _top(information.accuracy, 0.5)),
        ("confidence", information.confidence, "viridis", 0.0, _top(information.confidence, 0.5)),
        ("entropy [bit]", information.entropy_bits, "viridis_r", *_limits(information.entropy_bits, 0.5)),
    ]


def _limits(values: NDArray[np.floating], least: float) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    extra = max(0.0, least - (high - low)) / 2
    return low - extra, high + extra


def _top(values: NDArray[np.floating], least: float) -> float:
    finite = values[np.isfinite(values)]
    return max(least, float(finite.max())) if finite.size else least
