"""Results and scans as napari layers, in plain data: ``(data, options, kind)``."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.directions import ANGLES_DEG, COLORS, LABELS, N_DIRECTIONS, UNDEFINED
from napari_polarmap.core.lattice import Lattice
from napari_polarmap.core.lattice_lines import lattice_lines
from napari_polarmap.io.display import Display, axis_offset_deg, display_of
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.pipeline.display_layers import angle_layer, arrow_layer, default_spacing_px, outline_layer
from napari_polarmap.pipeline.estimate_layers import estimate_parts
from napari_polarmap.pipeline.layer_base import (
    DARK,
    LIGHT,
    MAP_KEY,
    ROLE_KEY,
    SCAN_KEY,
    SOURCE_KEY,
    LayerData,
    contrast,
    layer_options,
    map_options,
    result_calibration,
    scan_geometry,
)
from napari_polarmap.pipeline.layer_state import apply_appearance
from napari_polarmap.pipeline.region_layer import region_layer

__all__ = [
    "MAPS_BEHIND",
    "MAP_KEY",
    "ROLE_KEY",
    "SCAN_KEY",
    "SOURCE_KEY",
    "LayerData",
    "angle_layer",
    "arrow_layer",
    "default_spacing_px",
    "map_layers",
    "outline_layer",
    "result_calibration",
    "scan_geometry",
    "scan_layer",
]

SCAN_ROLE: Final = "virtual image"
MAPS_BEHIND: Final = {
    SCAN_ROLE: ("virtual_image",),
    "confidence": ("confidence",),
    "cells": ("window_cells",),
    "thickness": ("thickness_nm",),
    "tilt": ("tilt_mrad",),
    "magnitude": ("magnitude",),
    "score": ("irregularity",),
    "window": ("direction",),
    "angle": ("angle_deg", "estimated_angle_deg"),
    "direction": ("domain",),
    "outlines": ("domain",),
    "arrows": ("domain",),
    "misclassified": ("misclassified",),
    "irregular": ("irregular",),
    "regions": ("irregular",),
}
"""Which maps of a result the layer of each role shows."""


def scan_layer(scan: Scan4D, image: NDArray[np.number], *, preview: bool = False) -> LayerData:
    """Return the virtual image of a scan; its metadata hold the scan itself."""
    title = f"{scan.name}: bright field" + (" (preview)" if preview else "")
    options = layer_options(title, SCAN_ROLE, scan_geometry(scan.calibration), **contrast(image))
    options["metadata"] |= {SCAN_KEY: scan, SOURCE_KEY: scan.data}
    return np.asarray(image), options, "image"


def lattice_layer(scan: Scan4D, lattice: Lattice, image: NDArray[np.floating]) -> LayerData:
    """Lines through the dark columns of the image along both vectors of a lattice."""
    lines = lattice_lines(lattice, image)
    options = layer_options(
        f"{scan.name}: lattice ({lattice.source})",
        "lattice",
        scan_geometry(scan.calibration),
        vector_style="line",
        edge_width=max(0.1, 0.035 * lattice.period_px),
        edge_color="#ffb000",
        opacity=0.8,
    )
    options["metadata"] |= {SOURCE_KEY: scan.data}
    return np.stack([lines[:, 0], lines[:, 1] - lines[:, 0]], axis=1), options, "vectors"


def map_layers(result: PolarizationMap, display: Display | None = None) -> list[LayerData]:
    """Return every layer of a result, the lowest first.

    Parameters
    ----------
    result : PolarizationMap
    display : Display, optional
        How it is shown; as it was when it was saved, where that is known.

    Returns
    -------
    layers : list of (data, options, kind)
        What napari's readers return; `options` name the part in ``metadata["polarmap_role"]``
        and hold the result in ``metadata["polarization_map"]``.
    """
    as_saved, display = display is None, display or display_of(result)
    layers = []
    if result.virtual_image is not None:
        layers.append(virtual_image_layer(result))
    layers += [confidence_layer(result), *estimate_layers(result), score_layer(result)]
    layers += [window_layer(result), angle_layer(result, display), direction_layer(result)]
    layers[-1][1]["visible"] = display.colors == "class"
    layers.append(outline_layer(result))
    if result.misclassified is not None:
        layers.append(misclassified_layer(result))
    layers += [arrow_layer(result, display), irregular_layer(result), region_layer(result)]
    return apply_appearance(result, layers) if as_saved else layers


def virtual_image_layer(result: PolarizationMap) -> LayerData:
    """Counts inside the direct disk, in grey."""
    image = np.asarray(result.virtual_image)
    return image, map_options(result, "Bright field", SCAN_ROLE, **contrast(image)), "image"


def estimate_layers(result: PolarizationMap) -> list[LayerData]:
    """Window size, thickness, tilt and magnitude, as far as the result holds them; hidden at first."""
    return [
        (np.asarray(data), map_options(result, name, role, visible=False, **display), "image")
        for data, name, role, display in estimate_parts(result)
    ]


def confidence_layer(result: PolarizationMap) -> LayerData:
    """Probability that the direction is right, 0 to 1, transparent where there is none; hidden at first."""
    options = map_options(
        result, "Confidence", "confidence", colormap="viridis", contrast_limits=(0.0, 1.0), visible=False
    )
    return np.where(result.direction == UNDEFINED, np.nan, result.confidence).astype(np.float32), options, "image"


def score_layer(result: PolarizationMap) -> LayerData:
    """Irregularity score as an image; hidden at first."""
    options = map_options(
        result, "Irregularity score", "score", colormap="inferno", visible=False, **contrast(result.irregularity)
    )
    return result.irregularity, options, "image"


def window_layer(result: PolarizationMap) -> LayerData:
    """Direction of each window by itself, before the domains are drawn; hidden at first."""
    return _labels(result, result.direction, "Direction, single windows", "window", visible=False)


def direction_layer(result: PolarizationMap) -> LayerData:
    """The direction map in the eight colours; undefined positions are transparent."""
    return _labels(result, result.domain, "Polarization direction", "direction", opacity=0.9)


def irregular_layer(result: PolarizationMap) -> LayerData:
    """A dark square at each irregular position; the colour of the direction shines through."""
    data, options, kind = _markers(
        result, result.irregular, "Irregular positions", "irregular", symbol="square", size=1.0, face=DARK, border=DARK
    )
    return data, {**options, "border_width": 0.0, "opacity": 0.6}, kind


def misclassified_layer(result: PolarizationMap) -> LayerData:
    """A cross at each position that differs from the reference."""
    mask = np.zeros(result.scan_shape, bool) if result.misclassified is None else result.misclassified
    return _markers(
        result, mask, "Differs from reference", "misclassified", symbol="x", size=0.6, face=LIGHT, border=DARK
    )


def direction_shares(direction: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the share of each direction among all positions, shape (8,); undefined positions count in the total."""
    counts = np.bincount(direction.ravel(), minlength=UNDEFINED + 1)[:N_DIRECTIONS]
    return counts / max(direction.size, 1)


def _labels(result: PolarizationMap, direction: NDArray[np.uint8], name: str, role: str, **display: Any) -> LayerData:
    """Labels count from 1, because napari keeps 0 for what is transparent: here the undefined positions."""
    label = np.where(direction == UNDEFINED, 0, direction + 1).astype(np.uint8)
    colors: dict[int | None, str] = {None: "transparent", 0: "transparent"}
    colors.update({index + 1: color for index, color in enumerate(COLORS)})
    options = map_options(
        result, name, role, colormap=colors, features=_direction_features(result, direction), **display
    )
    return label, options, "labels"


def _direction_features(result: PolarizationMap, direction: NDArray[np.uint8]) -> dict[str, list[Any]]:
    """What the status bar reads for each label."""
    shares = direction_shares(direction)
    confidence = [
        float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
        for values in (result.confidence[direction == index] for index in range(N_DIRECTIONS))
    ]
    return {
        "index": list(range(N_DIRECTIONS + 1)),
        "direction": ["undefined", *LABELS],
        "angle": ["none", *(f"{angle:g}°" for angle in np.round(ANGLES_DEG + axis_offset_deg(result), 1) % 360)],
        "mean confidence": ["none", *("none" if np.isnan(c) else f"{c:.2f}" for c in confidence)],
        "area": [f"{100 * (1 - shares.sum()):.1f} %", *(f"{100 * share:.1f} %" for share in shares)],
    }


def _markers(
    result: PolarizationMap,
    mask: NDArray[np.bool_],
    name: str,
    role: str,
    *,
    symbol: str,
    size: float,
    face: str,
    border: str,
) -> LayerData:
    position = np.argwhere(mask)
    place = tuple(position.T)
    options = map_options(
        result,
        name,
        role,
        symbol=symbol,
        size=size,
        face_color=face,
        border_color=border,
        border_width=0.14,
        opacity=1.0,
        features={"irregularity": result.irregularity[place], "confidence": result.confidence[place]},
    )
    return position.astype(np.float64), options, "points"
