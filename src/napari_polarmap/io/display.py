"""How a map is shown, the same in the window and in figures: colours, lightness, arrows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.directions import ANGLES_DEG, COLORS, UNDEFINED, VECTORS_YX
from napari_polarmap.core.palette import angle_rgb, rgb_of
from napari_polarmap.io.result import PolarizationMap

COLORINGS: Final = ("class", "angle")
LIGHTNESSES: Final = ("magnitude", "confidence", "full")


@dataclass(frozen=True, kw_only=True)
class Display:
    """How a map is shown.

    Attributes
    ----------
    colors : {"class", "angle"}
        Eight colours for the eight directions, or the hue of the continuous angle.
    lightness : {"magnitude", "confidence", "full"}
        What the lightness tells where the hue is that of the angle.
    arrow_spacing_px : int, optional
        Scan positions from one arrow to the next; chosen by the size of the map when not given.
    arrow_length : float
        Length of an arrow as share of that distance.
    """

    colors: Literal["class", "angle"] = "class"
    lightness: Literal["magnitude", "confidence", "full"] = "magnitude"
    arrow_spacing_px: int | None = None
    arrow_length: float = 0.84

    def __post_init__(self) -> None:
        for name, options in (("colors", COLORINGS), ("lightness", LIGHTNESSES)):
            if getattr(self, name) not in options:
                raise ValueError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(options)}")
        if self.arrow_spacing_px is not None and self.arrow_spacing_px < 1:
            raise ValueError(f"arrow_spacing_px is {self.arrow_spacing_px}; at least 1 scan position fits")
        if not 0.1 <= self.arrow_length <= 2:
            raise ValueError(f"arrow_length is {self.arrow_length}; a share of the spacing from 0.1 to 2 fits")


def display_of(result: PolarizationMap) -> Display:
    """Return how a result was shown when it was saved; the defaults where that is not known."""
    try:
        return Display(**result.display["map"])
    except (KeyError, TypeError, ValueError):
        return Display()


def axis_offset_deg(result: PolarizationMap) -> float:
    """Return by how much the eight directions of the crystal lie counter-clockwise of their nominal angles [°]."""
    crystal_angle_deg = float((result.provenance.get("calibration") or {}).get("crystal_angle_deg") or 0.0)
    return crystal_angle_deg - 45.0 * round(crystal_angle_deg / 45.0)


def continuous_angle_deg(result: PolarizationMap) -> NDArray[np.float64]:
    """Return the angle of P at every position; NaN where the direction is undefined.

    The estimator's where the result holds one, else that of the mean of the eight directions, weighted by
    their probabilities.
    """
    if result.estimated_angle_deg is not None:
        angle = result.estimated_angle_deg.astype(np.float64)
    else:
        mean = _mean_vector(result)
        angle = np.degrees(np.arctan2(-mean[..., 0], mean[..., 1])) + axis_offset_deg(result)
    return np.asarray(np.where(result.domain == UNDEFINED, np.nan, angle % 360), np.float64)


def lightness_of(result: PolarizationMap, what: str) -> NDArray[np.float64]:
    """Return what the lightness tells, from 0 to 1.

    A magnitude is told relative to the larger of 1, the simulated displacement, and the 90th percentile of the
    map. Without an estimator it is the length of the mean of the eight directions.
    """
    if what == "full":
        return np.ones(result.scan_shape)
    if what == "confidence":
        return np.clip(np.nan_to_num(result.confidence), 0, 1).astype(np.float64)
    if result.magnitude is None:
        return np.asarray(np.clip(np.nan_to_num(np.linalg.norm(_mean_vector(result), axis=-1)), 0, 1))
    share = result.magnitude.astype(np.float64) / full_magnitude(result)
    return np.asarray(np.clip(np.nan_to_num(share), 0, 1))


def full_magnitude(result: PolarizationMap) -> float:
    """Return the magnitude of P that has full lightness; 1 where the result holds none."""
    if result.magnitude is None or not np.isfinite(result.magnitude).any():
        return 1.0
    return max(1.0, float(np.nanpercentile(result.magnitude, 90)))


def map_rgb(result: PolarizationMap, display: Display) -> NDArray[np.float64]:
    """Return the colours of a map, shape (scan_y, scan_x, 3), sRGB from 0 to 1; NaN where it is undefined."""
    if display.colors == "angle":
        return angle_rgb(continuous_angle_deg(result), lightness_of(result, display.lightness))
    table = np.full((UNDEFINED + 1, 3), np.nan)
    table[: len(COLORS)] = [rgb_of(color) for color in COLORS]
    return table[result.domain]


def arrow_angle_deg(result: PolarizationMap, display: Display) -> NDArray[np.float64]:
    """Return where arrows point, in the colours' own terms; NaN where there is none."""
    if display.colors == "angle":
        return continuous_angle_deg(result)
    table = np.full(UNDEFINED + 1, np.nan)
    table[: len(ANGLES_DEG)] = ANGLES_DEG + axis_offset_deg(result)
    return table[result.domain]


def _mean_vector(result: PolarizationMap) -> NDArray[np.float64]:
    return np.asarray(result.probability.astype(np.float64) @ VECTORS_YX)
