"""Layers of what the physical estimator says, and of the windows behind a map; all hidden at first."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.io.result import PolarizationMap

Part = tuple[NDArray[np.floating], str, str, dict[str, Any]]


def estimate_parts(result: PolarizationMap) -> list[Part]:
    """Return data, name, role and display of each such layer that the result holds.

    NaN, where nothing is known, is transparent in all of them.
    """
    parts: list[Part] = []
    if result.window_cells is not None and (result.window_cells > 0).any():
        cells = np.where(result.window_cells > 0, result.window_cells, np.nan)
        limits = (0.0, max(4.0, float(np.nanmax(cells))))
        parts.append((cells, "Window [cells]", "cells", {"colormap": "cividis", "contrast_limits": limits}))
    if result.thickness_nm is not None:
        display = {"colormap": "viridis", "contrast_limits": _around(result.thickness_nm, 4)}
        parts.append((result.thickness_nm, "Thickness [nm]", "thickness", display))
    if result.tilt_mrad is not None:
        tilt = np.hypot(result.tilt_mrad[..., 0], result.tilt_mrad[..., 1])
        limits = (0.0, max(1.0, _upper(tilt)))
        parts.append((tilt, "Specimen tilt [mrad]", "tilt", {"colormap": "magma", "contrast_limits": limits}))
    if result.magnitude is not None:
        limits = (0.0, max(1.5, _upper(result.magnitude)))
        shown = {"colormap": "gray", "contrast_limits": limits}
        parts.append((result.magnitude, "Magnitude of P (1: as simulated)", "magnitude", shown))
    return parts


def _around(values: NDArray[np.floating], least: float) -> tuple[float, float]:
    """Limits of the middle 98 %, at least so far apart that noise does not look like a step."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, least
    low, high = (float(limit) for limit in np.percentile(finite, (1, 99)))
    extra = max(0.0, least - (high - low)) / 2
    return low - extra, high + extra


def _upper(values: NDArray[np.floating]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.percentile(finite, 99)) if finite.size else 0.0
