"""The column beside a map in a figure: colour wheel and keys with their shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch, Rectangle, Wedge

from napari_polarmap.core.directions import ANGLES_DEG, COLORS, LABELS, N_DIRECTIONS, UNDEFINED, VECTORS_YX
from napari_polarmap.core.palette import angle_rgb
from napari_polarmap.io.display import Display, full_magnitude
from napari_polarmap.io.result import PolarizationMap

SIDE_IN: Final = 1.75
UNDEFINED_COLOR: Final = "#dcdcdc"
INK: Final = "#1a1a1a"
GREY: Final = "#5a5a5a"
HATCH: Final = "//////"
_RADIUS_IN: Final = 0.62
_KEYS_DOWN_IN: Final = 2.12
_KEY_IN: Final = 0.2


def legend_height_in(result: PolarizationMap, display: Display) -> float:
    """Return the height of the column in inches."""
    return _KEYS_DOWN_IN + _KEY_IN * len(_keys(result, display))


def draw_legend(axes: Axes, result: PolarizationMap, display: Display) -> None:
    """Draw wheel and keys; one unit of `axes` is one inch."""
    axes.set(xlim=(0, SIDE_IN), ylim=(legend_height_in(result, display), 0), aspect="equal")
    axes.axis("off")
    continuous = display.colors == "angle"
    title = "direction of P" if not continuous else f"hue: angle of P{_LIGHTNESS[display.lightness]}"
    title = title.format(full=full_magnitude(result))
    axes.text(SIDE_IN / 2, 0.06, title, ha="center", va="center", fontsize=7.5, color=GREY)
    present = (np.bincount(result.domain.ravel(), minlength=256) >= 0.01 * result.domain.size).tolist()
    draw_wheel(axes, (SIDE_IN / 2, 1.04), present, display)
    for index, (style, label, fraction) in enumerate(_keys(result, display)):
        down = _KEYS_DOWN_IN + _KEY_IN * index
        axes.add_patch(Rectangle((0.18, down - 0.065), 0.2, 0.13, edgecolor=INK, linewidth=0.6, **style))
        axes.text(0.48, down, label, ha="left", va="center", fontsize=7.5, color=INK)
        axes.text(SIDE_IN - 0.06, down, percent(fraction), ha="right", va="center", fontsize=7.5, color=INK)


_LIGHTNESS: Final = {
    "magnitude": "\nlightness: magnitude, 0 to {full:.2g}",
    "confidence": "\nlightness: confidence, 0 to 1",
    "full": "",
}


def _keys(result: PolarizationMap, display: Display) -> list[tuple[dict[str, Any], str, float]]:
    """Return style, label and share of every key: directions that occur, most frequent first, and the rest."""
    shares = np.bincount(result.domain.ravel(), minlength=256) / result.domain.size
    keys: list[tuple[dict[str, Any], str, float]] = [
        ({"facecolor": COLORS[index]}, f"{LABELS[index]}  {ANGLES_DEG[index]:g}°", float(shares[index]))
        for index in np.argsort(-shares[:N_DIRECTIONS], kind="stable")
        if shares[index] > 0 and display.colors == "class"
    ]
    keys.append(({"facecolor": UNDEFINED_COLOR}, "undefined", float(shares[UNDEFINED])))
    keys.append(({"facecolor": "white", "hatch": HATCH}, "irregular", float(result.irregular.mean())))
    return keys


def percent(fraction: float) -> str:
    """Return a share in percent with one decimal.

    Examples
    --------
    >>> percent(0.1234), percent(0.0001), percent(0)
    ('12.3 %', '< 0.1 %', '0 %')
    """
    return "0 %" if fraction == 0 else "< 0.1 %" if fraction < 0.001 else f"{100 * fraction:.1f} %"


def draw_wheel(axes: Axes, center: tuple[float, float], present: Sequence[bool], display: Display) -> None:
    """Draw the wheel; `present` names in bold what occurs. One unit of `axes` is one inch, its y runs down."""
    radius = _RADIUS_IN
    if display.colors == "angle":
        _draw_continuous(axes, center, display.lightness != "full")
    for index, (angle, color, label, (dy, dx)) in enumerate(zip(ANGLES_DEG, COLORS, LABELS, VECTORS_YX, strict=True)):
        # the axis points down, so that angles run the other way
        span = {"theta1": -angle - 22.5, "theta2": -angle + 22.5}
        if display.colors == "class":
            axes.add_patch(Wedge(center, radius, **span, width=0.42 * radius, facecolor=color, edgecolor="white"))
        tip = (center[0] + 0.5 * radius * dx, center[1] + 0.5 * radius * dy)
        head: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 5, "shrinkA": 0, "shrinkB": 0}
        if display.colors == "class":
            axes.add_patch(FancyArrowPatch(center, tip, linewidth=0.7, color=INK, **head))
        place = (center[0] + 1.17 * radius * dx, center[1] + 1.17 * radius * dy)
        weight = "bold" if present[index] else "normal"
        axes.text(*place, label, ha="center", va="center", fontsize=7.5, color=INK, weight=weight)
    if display.colors == "class":
        axes.add_patch(Circle(center, 0.025, color=INK))


def _draw_continuous(axes: Axes, center: tuple[float, float], shaded: bool) -> None:
    """Draw hue around the wheel and lightness from its middle outwards, as an image."""
    x, y = np.meshgrid(*2 * (np.linspace(-1, 1, 241),))
    radius = np.hypot(x, y)
    rgb = angle_rgb(np.degrees(np.arctan2(-y, x)), radius if shaded else np.ones_like(radius))
    left, right = center[0] - _RADIUS_IN, center[0] + _RADIUS_IN
    extent = (left, right, center[1] + _RADIUS_IN, center[1] - _RADIUS_IN)
    image = axes.imshow(np.clip(rgb, 0, 1), extent=extent, interpolation="bilinear", zorder=1)
    image.set_clip_path(Circle(center, _RADIUS_IN, transform=axes.transData))
    axes.set(xlim=(0, SIDE_IN), ylim=axes.get_ylim())
