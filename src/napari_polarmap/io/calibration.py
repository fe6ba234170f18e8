"""From the units that files state to the units of `Calibration`."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from napari_polarmap.core.scan_frame import wavelength_A

_IN_ANGSTROM: Final = {
    "pm": 0.01,
    "a": 1.0,
    "å": 1.0,
    "angstrom": 1.0,
    "nm": 10.0,
    "\N{GREEK SMALL LETTER MU}m": 1e4,
    "m": 1e10,
}
_IN_MRAD: Final = {"mrad": 1.0, "rad": 1e3, "angle": 1e3, "deg": math.radians(1) * 1e3, "°": math.radians(1) * 1e3}


def _plain(unit: object) -> str:
    text = unit.decode(errors="replace") if isinstance(unit, bytes) else str(unit or "")
    text = unicodedata.normalize("NFKC", text).replace("\\AA", "Å").replace("\N{MINUS SIGN}", "-")
    text = "".join(letter for letter in text if letter not in "${}[]_ ").lower()
    return "\N{GREEK SMALL LETTER MU}m" if text in ("um", "micron") else text


def _inverse(unit: str) -> str | None:
    if unit.startswith("1/"):
        return unit[2:]
    return next((unit[: -len(end)] for end in ("^-1", "-1") if unit.endswith(end)), None)


def is_reciprocal(unit: object) -> bool:
    """Tell whether `unit` belongs to a detector axis: an angle or an inverse length."""
    plain = _plain(unit)
    return plain in _IN_MRAD or _inverse(plain) in _IN_ANGSTROM


def is_length(unit: object) -> bool:
    """Tell whether `unit` is a length."""
    return _plain(unit) in _IN_ANGSTROM


def length_A(size: float, unit: object) -> float | None:
    """Return a length in angstrom; ``None`` where the unit is no length."""
    factor = _IN_ANGSTROM.get(_plain(unit))
    return None if factor is None else abs(size) * factor


def angle_mrad(size: float, unit: object, voltage_kV: float | None) -> float | None:
    """Return a detector step in milliradian; ``None`` where the unit does not tell.

    Spatial frequencies need the accelerating voltage.

    Examples
    --------
    >>> round(angle_mrad(0.1, "1/nm", 200), 4)
    0.2508
    """
    plain = _plain(unit)
    if plain in _IN_MRAD:
        return abs(size) * _IN_MRAD[plain]
    factor = _IN_ANGSTROM.get(_inverse(plain) or "")
    if factor is None or voltage_kV is None:
        return None
    return abs(size) / factor * wavelength_A(voltage_kV) * 1e3


def common(first: float | None, second: float | None, tolerance: float = 0.01) -> float | None:
    """Return one value for two axes; ``None`` unless both are known, positive and equal within `tolerance`."""
    if first is None or second is None or not (np.isfinite([first, second]).all() and min(first, second) > 0):
        return None
    return first if abs(first - second) <= tolerance * first else None


def positive(value: Any, factor: float = 1.0) -> float | None:
    """Return a number times `factor` if it is a positive one, else ``None``."""
    try:
        number = float(np.asarray(value).reshape(-1)[0]) * factor
    except (TypeError, ValueError, IndexError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def from_axes(steps: Sequence[tuple[float, object]], voltage_kV: float | None = None) -> dict[str, float]:
    """Return `scan_step_A` and `mrad_per_px`, as far as four axes tell.

    Parameters
    ----------
    steps : sequence of (step, unit)
        Of scan_y, scan_x, det_y, det_x.
    voltage_kV : float, optional
        For axes in spatial frequency.
    """
    scan = [length_A(step, unit) for step, unit in steps[:2]]
    detector = [angle_mrad(step, unit, voltage_kV) for step, unit in steps[2:]]
    found = {"scan_step_A": common(scan[0], scan[1]), "mrad_per_px": common(detector[0], detector[1])}
    return {name: value for name, value in found.items() if value is not None}
