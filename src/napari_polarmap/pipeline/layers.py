"""Results and scans as napari layers, in plain data: ``(data, options, kind)``."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.data import Calibration, Scan4D
from napari_polarmap.core.directions import ANGLES_DEG, COLORS, LABELS, N_DIRECTIONS, UNDEFINED
from napari_polarmap.core.lattice import Lattice
from napari_polarmap.core.lattice_lines import lattice_lines
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.pipeline.estimate_layers import estimate_parts

LayerData = tuple[Any, dict[str, Any], str]

ROLE_KEY: Final = "polarmap_role"
MAP_KEY: Final = "polarization_map"
SCAN_KEY: Final = "scan_4d"
SOURCE_KEY: Final = "polarmap_source"
"""Whatever is one and the same object for all layers that belong together."""

SCAN_ROLE: Final = "virtual image"
DARK: Final = "#101216"
LIGHT: Final = "#ffffff"
ARROWS_ACROSS: Final = 24
"""Most arrows along the longer side of a map when no spacing is asked for."""
HEAD_DEG: Final = 142.0
"""Turn from the direction of an arrow to the sides of its head."""


def scan_geometry(calibration: Calibration) -> dict[str, Any]:
    """Return scale, units and axis labels that every layer of a scan carries.

    The unit is the nanometre where the scan step is known, the pixel elsewhere.
    """
    step_A = calibration.scan_step_A
    step, unit = (1.0, "pixel") if step_A is None else (step_A / 10.0, "nm")
    return {"scale": (step, step), "units": (unit, unit), "axis_labels": ("y", "x")}


def scan_layer(scan: Scan4D, image: NDArray[np.number], *, preview: bool = False) -> LayerData:
    """Return the virtual image of a scan; its metadata hold the scan itself."""
    title = f"{scan.name}: bright field" + (" (preview)" if preview else "")
    options = _options(title, SCAN_ROLE, scan_geometry(scan.calibration), **_contrast(image))
    options["metadata"] |= {SCAN_KEY: scan, SOURCE_KEY: scan.data}
    return np.asarray(image), options, "image"


def lattice_layer(scan: Scan4D, lattice: Lattice, image: NDArray[np.floating]) -> LayerData:
    """Lines through the dark columns of the image along both vectors of a lattice."""
    lines = lattice_lines(lattice, image)
    options = _options(
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


def map_layers(result: PolarizationMap, *, arrow_spacing_px: int | None = None) -> list[LayerData]:
    """Return every layer of a result, the lowest first.

    Parameters
    ----------
    result : PolarizationMap
    arrow_spacing_px : int, optional
        Scan positions from one arrow to the next; chosen by the size of the map when not given.

    Returns
    -------
    layers : list of (data, options, kind)
        What napari's readers return; `options` name the part in ``metadata["polarmap_role"]``
        and hold the result in ``metadata["polarization_map"]``.
    """
    from napari_polarmap.pipeline.region_layer import region_layer  # it uses what stands below

    layers = []
    if result.virtual_image is not None:
        layers.append(virtual_image_layer(result))
    layers += [confidence_layer(result), *estimate_layers(result), score_layer(result)]
    layers += [window_layer(result), direction_layer(result)]
    if result.misclassified is not None:
        layers.append(misclassified_layer(result))
    return [*layers, arrow_layer(result, spacing_px=arrow_spacing_px), irregular_layer(result), region_layer(result)]


def result_calibration(result: PolarizationMap) -> Calibration:
    """Return the calibration kept in the provenance of a result; unknown entries are left out."""
    known = Calibration.__dataclass_fields__
    stored = result.provenance.get("calibration") or {}
    return Calibration(**{name: value for name, value in stored.items() if name in known})


def virtual_image_layer(result: PolarizationMap) -> LayerData:
    """Counts inside the direct disk, in grey."""
    image = np.asarray(result.virtual_image)
    return image, _map_options(result, "Bright field", SCAN_ROLE, **_contrast(image)), "image"


def estimate_layers(result: PolarizationMap) -> list[LayerData]:
    """Window size, thickness, tilt and magnitude, as far as the result holds them; hidden at first."""
    return [
        (np.asarray(data), _map_options(result, name, role, visible=False, **display), "image")
        for data, name, role, display in estimate_parts(result)
    ]


def confidence_layer(result: PolarizationMap) -> LayerData:
    """Probability that the direction is right, 0 to 1, transparent where there is none; hidden at first."""
    options = _map_options(
        result, "Confidence", "confidence", colormap="viridis", contrast_limits=(0.0, 1.0), visible=False
    )
    return np.where(result.direction == UNDEFINED, np.nan, result.confidence).astype(np.float32), options, "image"


def score_layer(result: PolarizationMap) -> LayerData:
    """Irregularity score as an image; hidden at first."""
    options = _map_options(
        result, "Irregularity score", "score", colormap="inferno", visible=False, **_contrast(result.irregularity)
    )
    return result.irregularity, options, "image"


def window_layer(result: PolarizationMap) -> LayerData:
    """Direction of each window by itself, before the domains are drawn; hidden at first."""
    return _labels(result, result.direction, "Direction, single windows", "window", visible=False)


def direction_layer(result: PolarizationMap) -> LayerData:
    """The direction map in the eight colours; undefined positions are transparent."""
    return _labels(result, result.domain, "Polarization direction", "direction", opacity=0.9)


def arrow_layer(result: PolarizationMap, *, spacing_px: int | None = None) -> LayerData:
    """Arrows along P on a coarse grid, dark on light colours and light on dark ones.

    Each arrow is three lines, because napari's own arrows have heads too small to read:
    all shafts come first, then the left sides of the heads, then the right ones.
    """
    spacing = spacing_px or default_spacing_px(result.scan_shape)
    rows, columns = (_centred_grid(n, spacing) for n in result.scan_shape)
    position = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    direction = result.domain[tuple(position.astype(np.int64).T)]
    position, direction = position[direction != UNDEFINED], direction[direction != UNDEFINED]
    angle_deg = ANGLES_DEG[direction] + axis_offset_deg(result)
    length = 0.84 * spacing
    shaft = length * _unit_yx(angle_deg)
    head = [0.42 * length * _unit_yx(angle_deg + turn) for turn in (HEAD_DEG, -HEAD_DEG)]
    tail, tip = position - shaft / 2, position + shaft / 2
    lines = [np.stack([start, shift], axis=1) for start, shift in ((tail, shaft), (tip, head[0]), (tip, head[1]))]
    color = np.tile(ARROW_RGBA[direction], (3, 1))
    options = _map_options(
        result,
        "Polarization arrows",
        "arrows",
        vector_style="line",
        edge_width=0.11 * spacing,
        edge_color=color if direction.size else LIGHT,
        opacity=1.0,
        features={"direction": 3 * [LABELS[i] for i in direction]},
    )
    return np.concatenate(lines), options, "vectors"


def irregular_layer(result: PolarizationMap) -> LayerData:
    """A marked square at each irregular position."""
    return _markers(
        result,
        result.irregular,
        "Irregular positions",
        "irregular",
        symbol="square",
        size=0.95,
        face=DARK,
        border=LIGHT,
    )


def misclassified_layer(result: PolarizationMap) -> LayerData:
    """A cross at each position that differs from the reference."""
    mask = np.zeros(result.scan_shape, bool) if result.misclassified is None else result.misclassified
    return _markers(
        result, mask, "Differs from reference", "misclassified", symbol="x", size=0.6, face=LIGHT, border=DARK
    )


def default_spacing_px(scan_shape: tuple[int, int]) -> int:
    """Return the arrow spacing that leaves a map of this shape readable."""
    return -(-max(scan_shape) // ARROWS_ACROSS)


def axis_offset_deg(result: PolarizationMap) -> float:
    """Return by how much the eight directions of the crystal lie counter-clockwise of their nominal angles [°]."""
    crystal_angle_deg = result_calibration(result).crystal_angle_deg
    return crystal_angle_deg - 45.0 * round(crystal_angle_deg / 45.0)


def direction_shares(direction: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the share of each direction among all positions, shape (8,); undefined positions count in the total."""
    counts = np.bincount(direction.ravel(), minlength=UNDEFINED + 1)[:N_DIRECTIONS]
    return counts / max(direction.size, 1)


def _unit_yx(angle_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return unit vectors ``(y, x)`` of angles counter-clockwise on the screen, shape (n, 2)."""
    angle = np.deg2rad(angle_deg)
    return np.stack([-np.sin(angle), np.cos(angle)], axis=-1)


def _centred_grid(n: int, spacing: int) -> NDArray[np.float64]:
    """Return the middles of the blocks of `spacing` positions that fit into `n`, with equal margins."""
    count = max(1, n // spacing)
    return spacing * (np.arange(count, dtype=np.float64) - (count - 1) / 2) + (n - 1) / 2


def _labels(result: PolarizationMap, direction: NDArray[np.uint8], name: str, role: str, **display: Any) -> LayerData:
    """Labels count from 1, because napari keeps 0 for what is transparent: here the undefined positions."""
    label = np.where(direction == UNDEFINED, 0, direction + 1).astype(np.uint8)
    colors: dict[int | None, str] = {None: "transparent", 0: "transparent"}
    colors.update({index + 1: color for index, color in enumerate(COLORS)})
    options = _map_options(
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
    options = _map_options(
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


def _map_options(result: PolarizationMap, name: str, role: str, **display: Any) -> dict[str, Any]:
    options = _options(name, role, scan_geometry(result_calibration(result)), **display)
    options["metadata"] |= {MAP_KEY: result, SOURCE_KEY: result}
    return options


def _options(name: str, role: str, geometry: dict[str, Any], **display: Any) -> dict[str, Any]:
    return {"name": name, "metadata": {ROLE_KEY: role}, **geometry, **display}


def _contrast(image: NDArray[Any]) -> dict[str, Any]:
    """Grey limits from the middle 99 % of the values, so that one hot position does not hide the rest."""
    finite = image[np.isfinite(image)]
    if finite.size == 0:
        return {"contrast_limits": (0.0, 1.0)}
    low, high = (float(limit) for limit in np.percentile(finite, (0.5, 99.5)))
    return {"contrast_limits": (low, high if high > low else low + 1.0)}


def _arrow_rgba() -> NDArray[np.float64]:
    """Arrow colour over each direction, shape (8, 4): the one of dark and light with more contrast."""
    rgb = np.array([[int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)] for color in COLORS])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
    dark, light = ([int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] + [1.0] for c in (DARK, LIGHT))
    return np.where(luminance[:, None] > 0.25, dark, light)


ARROW_RGBA: Final[NDArray[np.float64]] = _arrow_rgba()
