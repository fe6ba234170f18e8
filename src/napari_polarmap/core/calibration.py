"""How a scan was taken, and the geometry of its detector."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_POSITIVE: Final = ("voltage_kV", "convergence_mrad", "mrad_per_px", "scan_step_A", "thickness_nm", "radius_px")
_ANGLES: Final = ("rotation_deg", "crystal_angle_deg", "ellipse_angle_deg")
_ASKED: Final = (
    "voltage_kV",
    "convergence_mrad",
    "mrad_per_px",
    "scan_step_A",
    "thickness_nm",
    "material",
    "zone_axis",
)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How a scan was taken; ``None`` where it is not known.

    Attributes
    ----------
    voltage_kV, convergence_mrad, mrad_per_px, scan_step_A, thickness_nm : float, optional
    material, zone_axis : str, optional
    rotation_deg : float
        Turn a detector vector counter-clockwise by this to bring it into the frame
        of the scan image; after `flip`.
    flip : bool
        The detector rows run against the scan rows (mirror up-down before turning).
    crystal_angle_deg : float
        Angle of the crystal's first in-plane <100> axis against increasing scan
        columns, counter-clockwise on the screen.
    center_px : (float, float), optional
        Centre ``(y, x)`` of the disk in the middle of the scan; measured by the program when not given.
    radius_px : float, optional
        Radius of the disk; measured when not given.
    descan : (float, float, float, float), optional
        How the centre moves [detector px per scan position]: its y along scan y and scan x, then its x
        along scan y and scan x; measured when not given.
    ellipse_ratio : float
        Long over short axis of the ellipse that the detector shows of a circle.
    ellipse_angle_deg : float
        Long axis against increasing detector columns, counter-clockwise as the pattern is shown.
    bad_pixels : tuple of (int, int)
        Dead and hot pixels ``(y, x)``, which are filled from their neighbours.
    origin : mapping of str to str
        In words, where a quantity comes from and how good it is.
    """

    voltage_kV: float | None = None
    convergence_mrad: float | None = None
    mrad_per_px: float | None = None
    scan_step_A: float | None = None
    thickness_nm: float | None = None
    material: str | None = None
    zone_axis: str | None = None
    rotation_deg: float = 0.0
    flip: bool = False
    crystal_angle_deg: float = 0.0
    center_px: tuple[float, float] | None = None
    radius_px: float | None = None
    descan: tuple[float, float, float, float] | None = None
    ellipse_ratio: float = 1.0
    ellipse_angle_deg: float = 0.0
    bad_pixels: tuple[tuple[int, int], ...] = ()
    origin: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise ValueError(f"{name} is {value}; it must be a positive number")
        for name in _ANGLES:
            if not np.isfinite(getattr(self, name)):
                raise ValueError(f"{name} is {getattr(self, name)}; it must be a number of degrees")
        for name, length in (("center_px", 2), ("descan", 4)):
            values = getattr(self, name)
            if values is not None and not (len(values) == length and np.isfinite(values).all()):
                raise ValueError(f"{name} is {values}; {length} numbers are needed")
        if not (np.isfinite(self.ellipse_ratio) and 1 <= self.ellipse_ratio < 2):
            raise ValueError(f"ellipse_ratio is {self.ellipse_ratio}; long over short axis lies between 1 and 2")
        if self.bad_pixels and (np.shape(self.bad_pixels)[1:] != (2,) or np.min(self.bad_pixels) < 0):
            raise ValueError("bad_pixels are pairs (y, x) of numbers from 0 on")

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the quantities that are not known and that no measurement of the scan gives."""
        return tuple(name for name, value in asdict(self).items() if value is None and name in _ASKED)

    def record(self) -> dict[str, Any]:
        """Return all values as JSON keeps them."""
        lists: dict[str, Any] = json.loads(json.dumps({**asdict(self), "origin": dict(self.origin)}))
        return lists

    @property
    def distortion(self) -> NDArray[np.float64]:
        """Matrix that takes a vector ``(y, x)`` of the undistorted pattern to the detector; it keeps areas."""
        angle = np.deg2rad(self.ellipse_angle_deg)
        long = np.array([-np.sin(angle), np.cos(angle)])
        outer = np.outer(long, long)
        root = np.sqrt(self.ellipse_ratio)
        return np.asarray(root * outer + (np.eye(2) - outer) / root, dtype=np.float64)


def known_changes(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as `Calibration` takes them, from what JSON keeps; lists become tuples."""
    changes = dict(values)
    for name in ("center_px", "descan"):
        if changes.get(name) is not None:
            changes[name] = tuple(float(value) for value in changes[name])
    if changes.get("bad_pixels") is not None:
        changes["bad_pixels"] = tuple((int(y), int(x)) for y, x in changes["bad_pixels"])
    return changes
