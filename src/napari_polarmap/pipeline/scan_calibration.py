"""The calibration of a scan as it is put together: its parts, where each comes from, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from napari_polarmap.core.calibration import Calibration

PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "disk": ("center_px", "radius_px"),
    "descan": ("descan",),
    "pixel_size": ("mrad_per_px", "convergence_mrad"),
    "scan_step": ("scan_step_A",),
    "rotation": ("rotation_deg", "flip"),
    "crystal_axis": ("crystal_angle_deg",),
    "ellipse": ("ellipse_ratio", "ellipse_angle_deg"),
    "bad_pixels": ("bad_pixels",),
}
"""The parts of a calibration that can be measured, and the quantities of each."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """An automatic value.

    Attributes
    ----------
    part : str
        Of `PARTS`.
    changes : dict
        Quantities of the calibration.
    value : str
        In words.
    residual : str
        How good it is, in words with units.
    good : bool
        Good enough to be used without a look.
    """

    part: str
    changes: dict[str, Any]
    value: str
    residual: str
    good: bool


def apply(calibration: Calibration, measured: Measured, how: str = "automatic") -> Calibration:
    """Return a calibration with a measured part, and where it comes from."""
    said = f"{how}: {measured.value}; {measured.residual}"
    origin = {**calibration.origin, **dict.fromkeys(measured.changes, said)}
    return replace(calibration, **measured.changes, origin=origin)


def by_hand(calibration: Calibration, **changes: Any) -> Calibration:
    """Return a calibration with quantities that a person entered; their origin says so."""
    changed = {name for name, value in changes.items() if value != getattr(calibration, name)}
    origin = {**calibration.origin, **dict.fromkeys(changed, "by hand")}
    return replace(calibration, **changes, origin=origin)


def told(part: str, calibration: Calibration) -> str:
    """Return what a calibration says of one part, in words."""
    known = calibration
    if part == "disk" and known.center_px is not None:
        y, x = known.center_px
        return f"{y:.2f}, {x:.2f}" + (f"; r {known.radius_px:.2f} px" if known.radius_px else " px")
    if part == "descan" and known.descan is not None:
        return f"≤ {max(map(abs, known.descan)):.4f} px/step" if any(known.descan) else "stands still"
    if part == "pixel_size" and (known.mrad_per_px or known.convergence_mrad):
        size, disk = known.mrad_per_px, known.convergence_mrad
        return f"{size:.4g} mrad" if size else f"disk {disk:.4g} mrad"
    if part == "scan_step" and known.scan_step_A:
        return f"{known.scan_step_A:.4g} Å"
    if part == "rotation":
        return f"{known.rotation_deg:.1f}°" + (", mirrored" if known.flip else "")
    if part == "crystal_axis":
        return f"{known.crystal_angle_deg:.2f}°"
    if part == "ellipse":
        percent = 100 * (known.ellipse_ratio - 1)
        return f"{percent:.2f} % along {known.ellipse_angle_deg:.0f}°" if percent else "round"
    if part == "bad_pixels":
        return f"{len(known.bad_pixels)} filled" if known.bad_pixels else "none"
    return "measured by each map" if part in ("disk", "descan") else "not known"


class History:
    """The calibrations that a scan had, so that every part can go back on its own, or the last step as a whole."""

    def __init__(self) -> None:
        self._before: dict[str, list[tuple[dict[str, Any], dict[str, str]]]] = {part: [] for part in PARTS}
        self._steps: list[list[str]] = []

    def note(self, before: Calibration, after: Calibration) -> None:
        """Keep what a change replaced."""
        step = []
        for part, names in PARTS.items():
            values, new = ({name: getattr(each, name) for name in names} for each in (before, after))
            origin, told = ({k: v for k, v in each.origin.items() if k in names} for each in (before, after))
            if (values, origin) != (new, told):
                self._before[part].append((values, origin))
                step.append(part)
        if step:
            self._steps.append(step)

    def can_undo(self, part: str | None = None) -> bool:
        """Tell whether a part has a way back, or any where none is named."""
        return bool(self._steps if part is None else self._before[part])

    def undo_last(self, calibration: Calibration) -> Calibration:
        """Return the calibration before the last step, which may have changed several parts."""
        for part in list(self._steps[-1]) if self._steps else ():
            calibration = self.undo(part, calibration)
        return calibration

    def undo(self, part: str, calibration: Calibration) -> Calibration:
        """Return the calibration with the last change of a part taken back; unchanged where there is none."""
        if not self._before[part]:
            return calibration
        values, origin = self._before[part].pop()
        next(step for step in reversed(self._steps) if part in step).remove(part)
        self._steps = [step for step in self._steps if step]
        kept = {name: text for name, text in calibration.origin.items() if name not in values}
        return replace(calibration, **values, origin={**kept, **origin})
