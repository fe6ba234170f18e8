"""What every layer of a scan or result carries: its part, its scan or result, its place in nanometre."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.data import Calibration
from napari_polarmap.io.result import PolarizationMap

LayerData = tuple[Any, dict[str, Any], str]

ROLE_KEY: Final = "polarmap_role"
MAP_KEY: Final = "polarization_map"
SCAN_KEY: Final = "scan_4d"
SOURCE_KEY: Final = "polarmap_source"
"""Whatever is one and the same object for all layers that belong together."""

DISPLAY_KEY: Final = "polarmap_display"
"""How the map is shown, with the arrows."""

DARK: Final = "#101216"
LIGHT: Final = "#ffffff"


def scan_geometry(calibration: Calibration) -> dict[str, Any]:
    """Return scale, units and axis labels that every layer of a scan carries.

    The unit is the nanometre where the scan step is known, the pixel elsewhere.
    """
    step_A = calibration.scan_step_A
    step, unit = (1.0, "pixel") if step_A is None else (step_A / 10.0, "nm")
    return {"scale": (step, step), "units": (unit, unit), "axis_labels": ("y", "x")}


def result_calibration(result: PolarizationMap) -> Calibration:
    """Return the calibration kept in the provenance of a result; unknown entries are left out."""
    known = Calibration.__dataclass_fields__
    stored = result.provenance.get("calibration") or {}
    return Calibration(**{name: value for name, value in stored.items() if name in known})


def layer_options(name: str, role: str, geometry: dict[str, Any], **display: Any) -> dict[str, Any]:
    """Return the options of a layer that shows one part of a scan."""
    return {"name": name, "metadata": {ROLE_KEY: role}, **geometry, **display}


def map_options(result: PolarizationMap, name: str, role: str, **display: Any) -> dict[str, Any]:
    """Return the options of a layer that shows one part of a result."""
    options = layer_options(name, role, scan_geometry(result_calibration(result)), **display)
    options["metadata"] |= {MAP_KEY: result, SOURCE_KEY: result}
    return options


def contrast(image: NDArray[Any]) -> dict[str, Any]:
    """Grey limits from the middle 99 % of the values, so that one hot position does not hide the rest."""
    finite = image[np.isfinite(image)]
    if finite.size == 0:
        return {"contrast_limits": (0.0, 1.0)}
    low, high = (float(limit) for limit in np.percentile(finite, (0.5, 99.5)))
    return {"contrast_limits": (low, high if high > low else low + 1.0)}
