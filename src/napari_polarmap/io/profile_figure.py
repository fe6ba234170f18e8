"""A figure of profiles along a line."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

COLORS = ("#4f9fe0", "#e0803f")


def draw_profile(
    figure: Figure, distance: NDArray[np.floating], unit: str, curves: Mapping[str, NDArray[np.floating]], label: str
) -> None:
    """Draw curves over the distance along a line; a legend where there are several."""
    figure.clear()
    axes = figure.add_subplot()
    for (name, values), color in zip(curves.items(), COLORS, strict=False):
        axes.plot(distance, values, color=color, label=name, linewidth=1.6)
    axes.set_xlabel(f"distance along the line [{unit}]")
    axes.set_ylabel(label)
    axes.margins(x=0.01)
    axes.grid(alpha=0.25)
    if len(curves) > 1:
        axes.legend(frameon=False, fontsize="small")
