"""Layers that show the direction: continuous angle, domain outlines and arrows."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.directions import LABELS, UNDEFINED, nearest_direction
from napari_polarmap.core.domain_table import boundaries
from napari_polarmap.core.palette import luminance, rgb_of
from napari_polarmap.io.display import Display, arrow_angle_deg, axis_offset_deg, map_rgb
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.pipeline.layer_base import DARK, DISPLAY_KEY, LIGHT, LayerData, map_options

ARROWS_ACROSS: Final = 24
"""Most arrows along the longer side of a map when no spacing is asked for."""
FEWEST_ACROSS: Final = 6
MOST_ACROSS: Final = 128
"""Bounds of the arrows along the longer side of a map that follow the zoom."""
HEAD_DEG: Final = 142.0
"""Turn from the direction of an arrow to the sides of its head."""
_BRIGHT: Final = 0.19
"""Luminance above which a dark arrow has more contrast than a light one."""
_STEPS: Final = (1, 2, 3, 4, 6, 8)


def angle_layer(result: PolarizationMap, display: Display | None = None) -> LayerData:
    """The continuous angle as hue, magnitude or confidence as lightness; undefined positions are transparent."""
    shown = display or Display()
    chosen = Display(colors="angle", lightness=shown.lightness)
    rgb = map_rgb(result, chosen)
    told = np.isfinite(rgb[..., 0])
    data = np.dstack([np.where(told[..., None], rgb, 0), told])
    options = map_options(result, "Polarization angle", "angle", rgb=True, visible=shown.colors == "angle")
    return np.round(255 * data).astype(np.uint8), options, "image"


def outline_layer(result: PolarizationMap) -> LayerData:
    """Lines between positions of different direction, along the edges of the positions."""
    lines = boundaries(result.domain)
    options = map_options(
        result,
        "Domain outlines",
        "outlines",
        vector_style="line",
        edge_width=max(0.2, min(result.scan_shape) / 160),
        edge_color=DARK,
        opacity=1.0,
    )
    return lines, options, "vectors"


def arrow_layer(result: PolarizationMap, display: Display | None = None) -> LayerData:
    """Arrows along P on a coarse grid, dark on light colours and light on dark ones.

    Each arrow is three lines, because napari's own arrows have heads too small to read.
    """
    display = display or Display()
    spacing = display.arrow_spacing_px or default_spacing_px(result.scan_shape)
    position = arrow_grid(result.scan_shape, spacing)
    place = tuple(position.astype(np.int64).T)
    told = result.domain[place] != UNDEFINED
    angle_deg = arrow_angle_deg(result, display)[place]
    told &= np.isfinite(angle_deg)
    position, angle_deg = position[told], angle_deg[told]
    ink = arrow_ink(map_rgb(result, display)[place][told])
    length = display.arrow_length * spacing
    named = nearest_direction(angle_deg - axis_offset_deg(result))
    options = map_options(
        result,
        "Polarization arrows",
        "arrows",
        vector_style="line",
        edge_width=0.13 * length,
        edge_color=np.tile(ink, (3, 1)) if len(position) else LIGHT,
        opacity=1.0,
        features={"direction": 3 * [LABELS[i] for i in named], "angle": 3 * [f"{a:.0f}°" for a in angle_deg % 360]},
    )
    options["metadata"][DISPLAY_KEY] = display
    return arrow_lines(position, angle_deg, length), options, "vectors"


def arrow_lines(
    position: NDArray[np.float64], angle_deg: NDArray[np.float64], length: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return arrows around positions, shape (n, 2), as start and extent of three lines each, shape (3 n, 2, 2).

    All shafts come first, then the left sides of the heads, then the right ones.
    """
    lengths: NDArray[np.float64] = np.broadcast_to(length, len(position))[:, None]
    shaft = lengths * _unit_yx(angle_deg)
    head = [0.42 * lengths * _unit_yx(angle_deg + turn) for turn in (HEAD_DEG, -HEAD_DEG)]
    tail, tip = position - shaft / 2, position + shaft / 2
    lines = [np.stack([start, shift], axis=1) for start, shift in ((tail, shaft), (tip, head[0]), (tip, head[1]))]
    return np.concatenate(lines)


def arrow_ink(rgb: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return what is seen better over colours, dark or light, shape (n, 4) for (n, 3)."""
    dark, light = ([*rgb_of(color), 1.0] for color in (DARK, LIGHT))
    return np.where(luminance(rgb)[..., None] > _BRIGHT, dark, light)


def default_spacing_px(scan_shape: tuple[int, int]) -> int:
    """Return the arrow spacing that leaves a map of this shape readable."""
    return -(-max(scan_shape) // ARROWS_ACROSS)


def spacing_on_screen(scan_shape: tuple[int, int], distance: float, position_on_screen: float) -> int:
    """Return the arrow spacing [scan positions] that is about some distance on the screen.

    Parameters
    ----------
    scan_shape : (int, int)
    distance : float
        From one arrow to the next [screen px].
    position_on_screen : float
        Edge of a scan position [screen px], which follows from the zoom.

    Examples
    --------
    >>> [spacing_on_screen((256, 256), 28, size) for size in (0.5, 2, 7, 60)]
    [48, 16, 4, 2]
    """
    longest = max(scan_shape)
    wanted = np.clip(distance / max(position_on_screen, 1e-6), longest / MOST_ACROSS, longest / FEWEST_ACROSS)
    power = 8 ** int(np.log(max(wanted, 1)) / np.log(8))
    return int(next((step * power for step in _STEPS if step * power >= wanted * 0.999), _STEPS[-1] * power))


def _unit_yx(angle_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return unit vectors ``(y, x)`` of angles counter-clockwise on the screen, shape (n, 2)."""
    angle = np.deg2rad(angle_deg)
    return np.stack([-np.sin(angle), np.cos(angle)], axis=-1)


def arrow_grid(scan_shape: tuple[int, int], spacing: int) -> NDArray[np.float64]:
    """Return the positions of arrows `spacing` apart, with equal margins, shape (n, 2)."""
    rows, columns = (_centred_grid(n, spacing) for n in scan_shape)
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)


def _centred_grid(n: int, spacing: int) -> NDArray[np.float64]:
    """Return the middles of the blocks of `spacing` positions that fit into `n`, with equal margins."""
    count = max(1, n // spacing)
    return spacing * (np.arange(count, dtype=np.float64) - (count - 1) / 2) + (n - 1) / 2
