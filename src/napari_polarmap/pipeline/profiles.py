"""Profiles along a line drawn over a scan, with their units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.profile import along_and_across, line_profile
from napari_polarmap.io.result import PolarizationMap

Line = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Profile:
    """Curves along a line.

    Attributes
    ----------
    distance : ndarray of float64, shape (n,)
    unit : str
        Of the distance.
    curves : mapping of str to ndarray, shape (n,)
        By name; NaN where nothing is known.
    label : str
        Of the values, with their unit.
    """

    distance: NDArray[np.float64]
    unit: str
    curves: Mapping[str, NDArray[np.float64]]
    label: str

    def table(self) -> str:
        """Return all curves as comma-separated lines with a heading."""
        lines = [f"distance [{self.unit}]," + ",".join(f"{name} ({self.label})" for name in self.curves)]
        columns = np.stack([self.distance, *self.curves.values()], axis=1)
        return "\n".join([*lines, *(",".join(f"{value:.6g}" for value in row) for row in columns), ""])


def scalar_profile(
    image: NDArray[np.floating], name: str, line: Line, *, width: float, step_nm: float | None
) -> Profile:
    """Return the profile of one image."""
    distance, values = line_profile(image, *line, width=width)
    return _profile(distance, {name: values}, name, step_nm)


def vector_profile(
    vectors: NDArray[np.floating], label: str, line: Line, *, width: float, step_nm: float | None
) -> Profile:
    """Return the components of a vector field ``(y, x)``, shape (scan_y, scan_x, 2), along and left of a line."""
    distance, values = line_profile(np.moveaxis(vectors, -1, 0), *line, width=width)
    along, left = along_and_across(np.moveaxis(values, 0, -1), *line)
    return _profile(distance, {"along the line": along, "left of it": left}, label, step_nm)


def polarization_vectors(result: PolarizationMap) -> NDArray[np.float64]:
    """Return unit vectors ``(y, x)`` along P in the frame of the scan, NaN where undefined."""
    angle = np.deg2rad(result.angle_deg.astype(np.float64))
    return np.stack([-np.sin(angle), np.cos(angle)], axis=-1)


def _profile(
    distance: NDArray[np.float64], curves: Mapping[str, NDArray[np.float64]], label: str, step_nm: float | None
) -> Profile:
    unit = "positions" if step_nm is None else "nm"
    return Profile(distance=distance * (step_nm or 1.0), unit=unit, curves=curves, label=label)
