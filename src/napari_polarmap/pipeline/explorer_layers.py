"""Layers of the explorer: virtual images, the field of deflections, pinned positions."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.palette import angle_rgb
from napari_polarmap.pipeline.display_layers import arrow_grid, arrow_lines, default_spacing_px
from napari_polarmap.pipeline.layer_base import SOURCE_KEY, LayerData, contrast, layer_options, scan_geometry

PIN_NAMES: Final = "ABCDEF"
"""Names of pinned positions; more do not fit the window."""


def virtual_layer(scan: Scan4D, image: NDArray[np.floating]) -> LayerData:
    """The image of a virtual detector, in grey."""
    return image, _options(scan, "virtual image", "virtual", colormap="gray", **contrast(image)), "image"


def field_layers(scan: Scan4D, shift_mrad: NDArray[np.floating]) -> list[LayerData]:
    """Deflection of the beam: hue and lightness for direction and size, and arrows as long as they are large.

    Parameters
    ----------
    scan : Scan4D
    shift_mrad : ndarray, shape (scan_y, scan_x, 2)
        ``(y, x)`` in the frame of the scan, as from `com_shift`.
    """
    angle_deg = np.rad2deg(np.arctan2(-shift_mrad[..., 0], shift_mrad[..., 1]))
    size = np.linalg.norm(shift_mrad, axis=-1)
    known = np.isfinite(size)
    top = float(np.percentile(size[known], 99)) if known.any() else 0.0
    share = np.clip(np.where(known, size, 0) / (top or 1.0), 0, 1)
    rgb = np.where(known[..., None], angle_rgb(np.where(known, angle_deg, 0), share), 0)
    image = np.round(255 * np.dstack([rgb, known])).astype(np.uint8)
    spacing = default_spacing_px(scan.scan_shape)
    position = arrow_grid(scan.scan_shape, spacing)
    place = tuple(position.astype(np.int64).T)
    kept = known[place] & (share[place] > 0.1)
    position, place = position[kept], tuple(axis[kept] for axis in place)
    lines = arrow_lines(position, angle_deg[place], spacing * share[place])
    name = f"deflection (full length {top:.2g} mrad)"
    arrows = _options(
        scan, name, "field arrows", vector_style="line", edge_width=0.1 * spacing, edge_color="#ffffff", opacity=1.0
    )
    return [(image, _options(scan, "deflection", "field", rgb=True), "image"), (lines, arrows, "vectors")]


def pin_layer(scan: Scan4D, positions: list[tuple[int, int]], names: list[str]) -> LayerData:
    """Pinned positions with their names."""
    options = _options(
        scan,
        "pinned",
        "pins",
        size=1.6,
        face_color="transparent",
        border_color="#35e0ff",
        border_width=0.25,
        opacity=1.0,
        features={"pin": np.array(names, dtype=object)},
        text={"string": "{pin}", "color": "#35e0ff", "size": 11, "anchor": "upper_left"},
    )
    return np.array(positions, np.float64).reshape(-1, 2), options, "points"


def drawn_options(scan: Scan4D, name: str, role: str) -> dict[str, Any]:
    """Return the options of an empty layer of shapes to draw into."""
    return _options(scan, name, role, edge_color="#35e0ff", face_color="#35e0ff22", edge_width=0.4, opacity=1.0)


def _options(scan: Scan4D, name: str, role: str, **display: Any) -> dict[str, Any]:
    options = layer_options(f"{scan.name}: {name}", role, scan_geometry(scan.calibration), **display)
    options["metadata"] |= {SOURCE_KEY: scan.data}
    return options
