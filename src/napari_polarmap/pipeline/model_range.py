"""Whether a scan was taken inside the conditions that a classifier was trained for."""

from __future__ import annotations

import re
from typing import Final

from napari_polarmap.core.calibration import Calibration
from napari_polarmap.models.weights import ModelInfo

_SLACK: Final = 0.03
"""Share by which a quantity may lie beside the range of the training set."""
_SUBSCRIPTS: Final = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")


def out_of_range(info: ModelInfo, calibration: Calibration, *, convergence_mrad: float | None = None) -> str:
    """Return a warning where a scan lies outside the training set of a classifier, else nothing.

    What is not known, of the scan or of the classifier, is not compared.

    Parameters
    ----------
    info : ModelInfo
    calibration : Calibration
        Of the scan.
    convergence_mrad : float, optional
        As measured, where the calibration does not tell it.

    Examples
    --------
    >>> info = ModelInfo(name="n", title="t", network="cnn", licence="", thickness_nm=(5, 60), material="KNbO3")
    >>> out_of_range(info, Calibration(thickness_nm=90.0))
    'Outside what this classifier was trained on: 90 nm thick (trained for 5 to 60 nm). Do not trust the map.'
    """
    parts = []
    convergence_mrad = calibration.convergence_mrad or convergence_mrad
    if not _inside(convergence_mrad, info.convergence_mrad):
        parts.append(f"convergence {convergence_mrad:.1f} mrad (trained for {in_words(info.convergence_mrad)} mrad)")
    voltage_kV = calibration.voltage_kV
    if voltage_kV is not None and abs(voltage_kV - info.voltage_kV) > 0.05 * info.voltage_kV:
        parts.append(f"{voltage_kV:g} kV (trained for {info.voltage_kV:g} kV)")
    if not _inside(calibration.thickness_nm, info.thickness_nm):
        parts.append(f"{calibration.thickness_nm:g} nm thick (trained for {in_words(info.thickness_nm)} nm)")
    for name, plain in (("material", _formula), ("zone_axis", _axis)):
        said, trained = getattr(calibration, name), getattr(info, name)
        if said and trained and plain(said) != plain(trained):
            parts.append(f"{name.replace('_', ' ')} {said} (trained for {trained})")
    return f"Outside what this classifier was trained on: {'; '.join(parts)}. Do not trust the map." if parts else ""


def _inside(value: float | None, limits: tuple[float, float]) -> bool:
    """Tell whether a value lies in a range, or nothing is known of either; ranges that end at 0 are not known."""
    low, high = limits
    return value is None or high <= 0 or (1 - _SLACK) * low <= value <= (1 + _SLACK) * high


def _formula(text: str) -> str:
    return re.sub(r"\s", "", text).translate(_SUBSCRIPTS).lower()


def _axis(text: str) -> str:
    return re.sub(r"[^0-9\-]", "", text.replace("\u2212", "-"))


def in_words(limits: tuple[float, float]) -> str:
    """Return a range with as few digits as keep its ends within a percent.

    Examples
    --------
    >>> in_words((5.01, 59.99)), in_words((24.0, 24.0))
    ('5 to 60', '24')
    """
    low, high = limits
    return _rounded(low) if low == high else f"{_rounded(low)} to {_rounded(high)}"


def _rounded(value: float) -> str:
    tries = (float(f"{value:.{digits}g}") for digits in (1, 2, 3, 6))
    return f"{next((rounded for rounded in tries if abs(rounded - value) <= 0.01 * abs(value)), value):g}"
