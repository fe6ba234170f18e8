"""How the layers of a result look, kept with the result, so that they return as they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np

from napari_polarmap.io.display import Display
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.pipeline.layer_base import DISPLAY_KEY, ROLE_KEY, LayerData

_COLORMAPS: Final = (
    "gray", "gray_r", "viridis", "magma", "inferno", "plasma", "cividis", "turbo", "twilight", "hsv", "red",
    "green", "blue", "cyan", "magenta", "yellow", "bop blue", "bop orange", "bop purple", "gist_earth", "PiYG",
)  # fmt: skip
"""Colormaps that every napari knows by name."""
_BLENDINGS: Final = ("opaque", "translucent", "translucent_no_depth", "additive", "minimum", "multiplicative")


def with_appearance(result: PolarizationMap, layers: Sequence[LayerData]) -> PolarizationMap:
    """Return the result with the looks of its layers, the lowest first."""
    display = next(
        (meta[DISPLAY_KEY] for _, options, _ in layers if DISPLAY_KEY in (meta := options["metadata"])), Display()
    )
    states = [_state(options) for _, options, _ in layers]
    return replace(result, display={"map": asdict(display), "layers": states})


def apply_appearance(result: PolarizationMap, layers: list[LayerData]) -> list[LayerData]:
    """Return layers in the order and with the looks kept in the result; those that were not there are hidden."""
    states = result.display.get("layers")
    if not isinstance(states, list):
        return layers
    kept = {
        state["role"]: (place, state)
        for place, state in enumerate(states)
        if isinstance(state, dict) and "role" in state
    }
    looked = []
    for place, (data, options, kind) in enumerate(layers):
        rank, state = kept.get(options["metadata"][ROLE_KEY], (None, {"visible": False}))
        known = {name: value for name, value in state.items() if name in _FITS and _FITS[name](value)}
        if kind != "image" or options.get("rgb"):
            known = {name: value for name, value in known.items() if name in _EVERY}
        looked.append((place if rank is None else rank, (data, {**options, **known}, kind)))
    return [layer for _, layer in sorted(looked, key=lambda entry: entry[0])]


def _state(options: dict[str, Any]) -> dict[str, Any]:
    state: dict[str, Any] = {"role": options["metadata"].get(ROLE_KEY)}
    for name, fits in _FITS.items():
        value = options.get(name)
        if name == "colormap":
            value = value.get("name") if isinstance(value, dict) else getattr(value, "name", value)
        elif name == "contrast_limits" and value is not None:
            value = [float(limit) for limit in value]
        elif name == "blending" and value is not None:
            value = str(value)
        if value is not None and fits(value):
            state[name] = value
    return state


def _number(low: float, high: float) -> Any:
    return lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


_EVERY: Final = ("name", "visible", "opacity", "blending")
_FITS: Final[dict[str, Any]] = {
    "name": lambda value: isinstance(value, str) and 0 < len(value) < 500,
    "visible": lambda value: isinstance(value, bool),
    "opacity": _number(0, 1),
    "blending": lambda value: value in _BLENDINGS,
    "gamma": _number(0.01, 10),
    "contrast_limits": lambda value: (
        isinstance(value, list) and len(value) == 2 and np.isfinite(value).all() and value[0] < value[1]
    ),
    "colormap": lambda value: value in _COLORMAPS,
}
"""What is kept of a layer, and whether a value, perhaps of a file, fits."""
