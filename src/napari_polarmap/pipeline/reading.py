"""What a map says at one position, in a line for status bars."""

from __future__ import annotations

import numpy as np

from napari_polarmap.core.directions import UNDEFINED, Direction
from napari_polarmap.io.result import PolarizationMap


def reading(result: PolarizationMap, row: int, column: int) -> str:
    """Return direction, confidence, thickness, tilt and window of a scan position; what is not known is left out.

    For example ``RU 45° · 93 % sure · angle 51 ± 4° · 21 ± 2 nm · tilt 0.8 mrad · window 2 cells``.
    The confidence is that of the window, which tells another direction than the domain at some walls; then both
    are named.
    """
    place = row, column
    domain, own = int(result.domain[place]), int(result.direction[place])
    parts = ["undefined" if domain == UNDEFINED else _named(domain)]
    confidence = float(result.confidence[place])
    if own != UNDEFINED and np.isfinite(confidence):
        sure = f"{100 * confidence:.0f} % sure"
        parts.append(sure if own == domain else f"window {_named(own)}, {sure}")
    if (
        result.estimated_angle_deg is not None
        and np.isfinite(result.estimated_angle_deg[place])
        and domain != UNDEFINED
    ):
        angle = _with_error(float(result.estimated_angle_deg[place]) % 360, result.estimated_angle_error_deg, place)
        parts.append(f"angle {angle}°")
    if result.thickness_nm is not None and np.isfinite(result.thickness_nm[place]):
        parts.append(_with_error(result.thickness_nm[place], result.thickness_error_nm, place) + " nm")
    if result.tilt_mrad is not None and np.isfinite(result.tilt_mrad[place]).all():
        parts.append(f"tilt {float(np.hypot(*result.tilt_mrad[place])):.1f} mrad")
    if result.window_cells is not None and result.window_cells[place] > 0:
        cells = float(result.window_cells[place])
        parts.append(f"window {cells:g} cell{'' if cells == 1 else 's'}")
    return " · ".join(parts)


def _named(direction: int) -> str:
    entry = Direction(direction)
    return f"{entry.name} {entry.angle_deg:.0f}°"


def _with_error(value: float, errors: np.ndarray | None, place: tuple[int, int]) -> str:
    error = np.nan if errors is None else float(errors[place])
    return f"{value:.0f} ± {max(1.0, error):.0f}" if np.isfinite(error) else f"{value:.0f}"
