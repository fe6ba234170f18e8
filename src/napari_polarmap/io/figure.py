"""A figure of a polarization map to put in a paper: map, arrows, wheel, scale bar, irregular positions."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path as Outline
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from napari_polarmap.core.directions import N_DIRECTIONS, UNDEFINED
from napari_polarmap.core.domain_table import boundaries
from napari_polarmap.core.palette import luminance
from napari_polarmap.io.display import Display, arrow_angle_deg, map_rgb
from napari_polarmap.io.figure_file import write_figure
from napari_polarmap.io.figure_legend import GREY, HATCH, INK, SIDE_IN, UNDEFINED_COLOR, draw_legend, legend_height_in
from napari_polarmap.io.result import PolarizationMap

_ARROWS_ACROSS: Final = 16
_ARROW_SHARE: Final = 0.86
"""Of the length asked for, because these arrows are thicker than those of the window."""
_DARK_BELOW: Final = 0.35
_MAP_IN: Final = 4.3
_BAR_IN: Final = 0.32
_LINE_IN: Final = 0.14
_MARGIN_IN: Final = 0.12


def map_figure(
    result: PolarizationMap,
    path: str | Path,
    *,
    title: str | None = None,
    dpi: int = 300,
    display: Display | None = None,
) -> Path:
    """Draw the direction map of a result.

    Colours and arrows show `domain`, or the continuous angle; positions where it is undefined are light grey,
    domains outlined, irregular positions outlined and hatched. The scale bar is in nanometre or angstrom
    where the scan step is known, in scan positions elsewhere.

    Parameters
    ----------
    result : PolarizationMap
    path : str or Path
        Its suffix gives the format: ``.png``, ``.svg`` or ``.pdf``.
    title : str, optional
        Line above the map; none by default.
    dpi : int
        Resolution of a ``.png``.
    display : Display, optional
        Eight colours at first.

    Raises
    ------
    ValueError
        For another suffix.
    OSError
        If the folder cannot be written; an existing file is left as it was.
    """
    return write_figure(lambda: draw_map(result, title=title, display=display), path, dpi=dpi)


def draw_map(result: PolarizationMap, *, title: str | None = None, display: Display | None = None) -> Figure:
    """Return the figure that `map_figure` writes."""
    display = display or Display()
    rows, columns = result.scan_shape
    longest = max(rows, columns)
    width, height = (max(_MAP_IN * count / longest, 0.2) for count in (columns, rows))
    caption, legend_in = _caption(result), legend_height_in(result, display)
    top = 0.34 if title else _MARGIN_IN
    below = top + height + _BAR_IN
    size = (
        max(width, 2.2) + SIDE_IN + 3 * _MARGIN_IN,
        max(below + _LINE_IN * (len(caption) + 0.5), top + legend_in) + _MARGIN_IN,
    )
    figure = Figure(figsize=size)
    FigureCanvasAgg(figure)

    def inches(left: float, down: float, wide: float, high: float) -> Axes:
        return figure.add_axes((left / size[0], 1 - (down + high) / size[1], wide / size[0], high / size[1]))

    def write(line: str, down: float, **style: Any) -> None:
        figure.text(_MARGIN_IN / size[0], 1 - down / size[1], line, ha="left", va="baseline", **style)

    axes = inches(_MARGIN_IN, top, width, height)
    points_per_px = 72 * height / rows
    rgb = map_rgb(result, display)
    _draw_directions(axes, rgb)
    _draw_outlines(axes, result.domain, points_per_px)
    _draw_arrows(axes, result, rgb, display)
    _draw_irregular(axes, result.irregular, points_per_px)
    step_A = (result.provenance.get("calibration") or {}).get("scan_step_A")
    _draw_scale_bar(inches(_MARGIN_IN, top + height, width, _BAR_IN), columns, step_A)
    draw_legend(inches(size[0] - SIDE_IN - _MARGIN_IN, top, SIDE_IN, legend_in), result, display)
    if title:
        write(title, top - 0.1, fontsize=10, color=INK)
    for index, line in enumerate(caption):
        write(line, below + _LINE_IN * (index + 1), fontsize=6.5, color=GREY)
    return figure


def _draw_directions(axes: Axes, rgb: NDArray[np.float64]) -> None:
    shown = np.where(np.isfinite(rgb), rgb, to_rgb(UNDEFINED_COLOR))
    axes.imshow(shown, interpolation="nearest", aspect="auto")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(linewidth=0.6, color=INK)


def _draw_outlines(axes: Axes, domain: NDArray[np.uint8], points_per_px: float) -> None:
    """Draw the edges between unlike positions."""
    lines = boundaries(domain)[..., ::-1]
    edges = list(np.stack([lines[:, 0], lines.sum(axis=1)], axis=1))
    width = float(np.clip(0.1 * points_per_px, 0.4, 0.9))
    axes.add_collection(LineCollection(edges, colors=INK, linewidths=width, capstyle="projecting", zorder=1.5))


def arrow_field(direction: NDArray[np.uint8], across: int = _ARROWS_ACROSS) -> tuple[NDArray[Any], NDArray[Any], int]:
    """Return one arrow per block of positions, where one direction holds most of it.

    Parameters
    ----------
    direction : ndarray of uint8, shape (scan_y, scan_x)
    across : int
        Most arrows along the longer side.

    Returns
    -------
    centers : ndarray, shape (n, 2)
        ``(y, x)`` in scan positions.
    classes : ndarray of int, shape (n,)
    step : int
        Block size in scan positions.
    """
    step = max(1, -(-max(direction.shape) // across))
    rows, columns = (size // step or 1 for size in direction.shape)
    starts = [(size - count * step) // 2 for size, count in zip(direction.shape, (rows, columns), strict=True)]
    centers, classes = [], []
    for row, column in np.ndindex(rows, columns):
        corner = max(0, starts[0] + row * step), max(0, starts[1] + column * step)
        block = direction[corner[0] : corner[0] + step, corner[1] : corner[1] + step]
        counts = np.bincount(block.ravel(), minlength=256)[:N_DIRECTIONS]
        if counts.max() >= 0.6 * block.size:
            centers.append([corner[0] + (block.shape[0] - 1) / 2, corner[1] + (block.shape[1] - 1) / 2])
            classes.append(int(counts.argmax()))
    return np.reshape(centers, (-1, 2)), np.array(classes, dtype=np.int64), step


def _draw_arrows(axes: Axes, result: PolarizationMap, rgb: NDArray[np.float64], display: Display) -> None:
    """Draw arrows light on dark colours, dark on light ones, each with a thin rim of the other."""
    shown = np.where(result.irregular, UNDEFINED, result.domain).astype(np.uint8)
    across = _ARROWS_ACROSS
    if display.arrow_spacing_px is not None:
        across = max(1, max(result.scan_shape) // display.arrow_spacing_px)
    centers, _, step = arrow_field(shown, across)
    if not len(centers):
        return
    place = tuple(np.round(centers - 0.25).astype(np.int64).T)
    angle_deg = arrow_angle_deg(result, display)[place]
    on_dark = np.nan_to_num(luminance(rgb[place])) < _DARK_BELOW
    for chosen, ink, rim in ((on_dark, "white", INK), (~on_dark, INK, "white")):
        chosen = chosen & np.isfinite(angle_deg)
        if not chosen.any():
            continue
        length = np.full(chosen.sum(), _ARROW_SHARE * display.arrow_length * step)
        arrows = axes.quiver(
            centers[chosen, 1], centers[chosen, 0], length, 0 * length, angles=angle_deg[chosen],
            scale_units="x", scale=1, units="x", pivot="mid", width=0.118 * length[0],
            headwidth=4.2, headlength=4.2, headaxislength=3.7, minlength=0, color=ink, zorder=3,
        )  # fmt: skip
        arrows.set_path_effects([withStroke(linewidth=0.7, foreground=(*to_rgb(rim), 0.6))])


def _draw_irregular(axes: Axes, irregular: NDArray[np.bool_], points_per_px: float) -> None:
    """Outline regions along the edges of positions, white under black, and hatch them."""
    if not irregular.any():
        return
    edges = list(region_edges(irregular))
    width = float(np.clip(0.16 * points_per_px, 0.7, 1.5))
    axes.add_collection(LineCollection(edges, colors="white", linewidths=2 * width, capstyle="projecting", zorder=4))
    axes.add_collection(LineCollection(edges, colors=INK, linewidths=width, capstyle="projecting", zorder=5))
    rows, columns = np.nonzero(irregular)
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5], [-0.5, -0.5]])
    squares = np.stack([columns, rows], axis=1)[:, None] + corners
    codes = [Outline.MOVETO, Outline.LINETO, Outline.LINETO, Outline.LINETO, Outline.CLOSEPOLY] * len(rows)
    outline = Outline(squares.reshape(-1, 2), codes)
    axes.add_patch(PathPatch(outline, facecolor=(1, 1, 1, 0.35), edgecolor=INK, hatch=HATCH, linewidth=0, zorder=2))


def region_edges(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the boundary of the true positions as line segments.

    Returns
    -------
    edges : ndarray, shape (n, 2, 2)
        Start and end, ``(x, y)`` each, in scan positions.
    """
    padded = np.pad(mask, 1)
    row, column = np.nonzero(padded[1:, 1:-1] != padded[:-1, 1:-1])
    level = np.stack([np.stack([column - 0.5, row - 0.5], 1), np.stack([column + 0.5, row - 0.5], 1)], 1)
    row, column = np.nonzero(padded[1:-1, 1:] != padded[1:-1, :-1])
    upright = np.stack([np.stack([column - 0.5, row - 0.5], 1), np.stack([column - 0.5, row + 0.5], 1)], 1)
    return np.concatenate([level, upright])


def scale_bar(columns: int, scan_step_A: float | None) -> tuple[float, str]:
    """Return length in scan positions and label of a bar of about a quarter of the width.

    Examples
    --------
    >>> scale_bar(64, 0.5)
    (20.0, '1 nm')
    """
    step = 1.0 if scan_step_A is None else scan_step_A / 10
    wanted = 0.35 * columns * step
    power = 10.0 ** math.floor(math.log10(wanted))
    size = max(factor * power for factor in (1, 2, 5) if factor * power <= wanted)
    if scan_step_A is None:
        size = max(1.0, size)
        return size, f"{size:g} scan positions" if size > 1 else "1 scan position"
    label = f"{size:g} nm" if size >= 1 else f"{10 * size:g} Å"
    return size / step, label if size < 1000 else f"{size / 1000:g} µm"


def _draw_scale_bar(axes: Axes, columns: int, scan_step_A: float | None) -> None:
    length, label = scale_bar(columns, scan_step_A)
    axes.set(xlim=(0, columns), ylim=(0, 1))
    axes.axis("off")
    axes.add_patch(Rectangle((0, 0.55), length, 0.16, color=INK, linewidth=0))
    axes.text(length + 0.02 * columns, 0.63, label, ha="left", va="center_baseline", fontsize=9, color=INK)


def _caption(result: PolarizationMap) -> list[str]:
    """Return what was mapped and how, in a line or two."""
    provenance = result.provenance
    calibration, parameters = provenance.get("calibration") or {}, provenance.get("parameters") or {}
    source = Path(str((provenance.get("input") or {}).get("path", ""))).name
    first = [source, f"model {name}" if (name := (provenance.get("model") or {}).get("name")) else ""]
    rows, columns = result.scan_shape
    step = calibration.get("scan_step_A")
    second = [f"{rows} × {columns} positions" + (f", step {step:g} Å" if step else "")]
    for name, text in (
        ("voltage_kV", "{:g} kV"),
        ("convergence_mrad", "{:g} mrad"),
        ("thickness_nm", "{:g} nm thick"),
        ("rotation_deg", "detector turned by {:.3g}°"),
        ("crystal_angle_deg", "crystal at {:.3g}°"),
    ):
        if calibration.get(name):
            second.append(text.format(calibration[name]))
    third = [f"pooling {parameters['pool']}" if parameters.get("pool") else ""]
    third.append(f"disk centre {parameters['center']}" if parameters.get("center") else "")
    third.append(f"crop {parameters['crop_px']} px" if parameters.get("crop_px") else "")
    third.append(f"irregular at a false-discovery rate of {parameters['fdr']:g}" if parameters.get("fdr") else "")
    lines = [" · ".join(filter(None, parts)) for parts in (first, second, third)]
    return [line for line in lines if line]
