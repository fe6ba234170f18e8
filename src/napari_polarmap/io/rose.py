"""Histogram of directions: how much of a map points where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.directions import ANGLES_DEG, COLORS, N_DIRECTIONS
from napari_polarmap.core.palette import angle_rgb, rgb_of
from napari_polarmap.io.display import Display, axis_offset_deg, continuous_angle_deg
from napari_polarmap.io.result import PolarizationMap

BINS: Final = 36


@dataclass(frozen=True, kw_only=True)
class Petals:
    """One petal for each range of angles.

    Attributes
    ----------
    angle_deg : ndarray, shape (n,)
        Middle of each petal.
    share : ndarray, shape (n,)
        Of all positions of the map; what is undefined has no petal.
    rgb : ndarray, shape (n, 3)
    """

    angle_deg: NDArray[np.float64]
    share: NDArray[np.float64]
    rgb: NDArray[np.float64]


def petals(result: PolarizationMap, display: Display) -> Petals:
    """Return the petals of a map: the eight directions, or 36 ranges of ten degrees of the continuous angle."""
    if display.colors == "class":
        counts = np.bincount(result.domain.ravel(), minlength=256)[:N_DIRECTIONS]
        angle = np.asarray(ANGLES_DEG + axis_offset_deg(result), np.float64)
        rgb = np.array([rgb_of(color) for color in COLORS])
    else:
        told = continuous_angle_deg(result)
        told = told[np.isfinite(told)]
        width = 360 / BINS
        counts = np.bincount(np.round(told / width).astype(np.int64) % BINS, minlength=BINS)
        angle = width * np.arange(BINS, dtype=np.float64)
        rgb = angle_rgb(angle)
    return Petals(angle_deg=angle, share=counts / max(result.domain.size, 1), rgb=rgb)
