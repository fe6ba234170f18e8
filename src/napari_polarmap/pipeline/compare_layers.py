"""Two maps and where they differ, as napari layers and in words."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.comparison import ONE_UNDEFINED, Comparison
from napari_polarmap.core.directions import UNDEFINED
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.pipeline.layer_base import (
    ROLE_KEY,
    LayerData,
    layer_options,
    result_calibration,
    scan_geometry,
)
from napari_polarmap.pipeline.layers import direction_layer

STEP_NAMES: Final = {0: "same", 1: "45° apart", 2: "90° apart", 3: "135° apart", 4: "opposite", 5: "one undefined"}
STEP_COLORS: Final = {0: "#2f343c", 1: "#fde38a", 2: "#f79a3e", 3: "#d6456c", 4: "#8f1fae", 5: "#8a929c"}
"""From light to dark with the angle, so that they can be told apart without colour."""
COMPARED: Final = ("first", "second", "difference")
GAP: Final = 0.08
"""Between maps side by side, as share of their width."""


def role_of(part: str) -> str:
    """Return the role of one of the layers."""
    return f"compare {part}"


def compare_layers(first: PolarizationMap, second: PolarizationMap, comparison: Comparison) -> list[LayerData]:
    """Return both maps, their difference, and a caption above each, all hidden."""
    layers = [
        _direction(result, part, f"{part.capitalize()}: {title_of(result)}")
        for part, result in (("first", first), ("second", second))
    ]
    return [*layers, _difference(first, comparison), _captions(first)]


def offsets(result: PolarizationMap, *, down: bool) -> list[tuple[float, float]]:
    """Return how far down and right each of the three lies when they are shown together [nm or pixel].

    Parameters
    ----------
    result : PolarizationMap
    down : bool
        One below the other, for a canvas that is higher than wide.
    """
    step = scan_geometry(result_calibration(result))["scale"][1]
    rows, columns = result.scan_shape
    gap = GAP * max(rows, columns)
    size = (rows + gap, 0.0) if down else (0.0, columns + gap)
    return [(place * size[0] * step, place * size[1] * step) for place in range(len(COMPARED))]


def title_of(result: PolarizationMap) -> str:
    """Return what a map was made with."""
    model = result.provenance.get("model") or {}
    pool = (result.provenance.get("parameters") or {}).get("pool")
    name = str(model.get("title") or model.get("name") or "unknown classifier")
    return f"{name}, pooling {pool}" if pool else name


def in_words(first: PolarizationMap, second: PolarizationMap, comparison: Comparison) -> str:
    """Return how much two maps agree, and how sure each is where they do not."""
    if not np.isfinite(comparison.share(0)):
        return "Both maps are undefined everywhere."
    parts = [f"{100 * comparison.share(0):.1f} % of the directions agree"]
    shares = ((comparison.share(step), name) for step, name in STEP_NAMES.items() if step)
    parts += [f"{100 * share:.1f} % {name}" for share, name in shares if share]
    text = ", ".join(parts) + "."
    if comparison.differs.any():
        sure = [float(np.nanmedian(result.confidence[comparison.differs])) for result in (first, second)]
        text += f" Where they differ, the first is {100 * sure[0]:.0f} % and the second {100 * sure[1]:.0f} % sure."
    return text


def _direction(result: PolarizationMap, part: str, name: str) -> LayerData:
    data, options, kind = direction_layer(result)
    options |= {"name": name, "metadata": {ROLE_KEY: role_of(part)}, "visible": False, "opacity": 1.0}
    return data, options, kind


def _difference(result: PolarizationMap, comparison: Comparison) -> LayerData:
    label = np.where(comparison.steps == UNDEFINED, 0, comparison.steps + 1).astype(np.uint8)
    colors: dict[int | None, str] = {None: "transparent", 0: "transparent"}
    colors.update({step + 1: color for step, color in STEP_COLORS.items()})
    steps = range(ONE_UNDEFINED + 1)
    features: dict[str, list[Any]] = {
        "index": [0, *(step + 1 for step in steps)],
        "directions": ["both undefined", *(STEP_NAMES[step] for step in steps)],
        "area": ["", *(f"{100 * comparison.share(step):.1f} %" for step in steps)],
    }
    geometry = scan_geometry(result_calibration(result))
    options = layer_options("Difference", role_of("difference"), geometry, colormap=colors, features=features)
    return label, {**options, "visible": False, "opacity": 1.0}, "labels"


def _captions(result: PolarizationMap) -> LayerData:
    """Words above the upper left corner of each, where they lie is told by `caption_places`."""
    options = layer_options(
        "Captions",
        role_of("captions"),
        scan_geometry(result_calibration(result)),
        features={"name": COMPARED},
        text={"string": "{name}", "anchor": "upper_left", "size": 10, "color": STEP_COLORS[5]},
        size=0.01,
        face_color="transparent",
        border_width=0.0,
    )
    return np.zeros((len(COMPARED), 2)), {**options, "visible": False}, "points"


def caption_places(result: PolarizationMap, places: list[tuple[float, float]]) -> NDArray[np.float64]:
    """Return where the captions stand, in scan positions."""
    step = scan_geometry(result_calibration(result))["scale"][0]
    return np.array(places, np.float64) / float(step) - 0.5
