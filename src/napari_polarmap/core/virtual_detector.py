"""Virtual detectors: which pixels of the detector count, and with which sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

DetectorKind = Literal["disk", "annulus", "segments", "drawn"]
DETECTOR_KINDS: Final = ("disk", "annulus", "segments", "drawn")


@dataclass(frozen=True, kw_only=True)
class VirtualDetector:
    """A part of the detector whose counts are added up at every scan position.

    Attributes
    ----------
    kind : {"disk", "annulus", "segments", "drawn"}
    center_px : (float, float)
        ``(y, x)`` of its middle; not used by a drawn one.
    inner_px, outer_px : float
        Radii [detector px]; a disk has the outer one only.
    signs : tuple of int
        Of equal segments of the annulus, counter-clockwise on the screen from `turn_deg`: 1 adds, -1 subtracts,
        0 leaves out.
    turn_deg : float
        Where the first segment begins, counter-clockwise from increasing columns.
    outline_px : tuple of (float, float)
        Corners ``(y, x)`` of a drawn detector.

    Raises
    ------
    ValueError
        If the kind is none of these, or the radii are not ``0 <= inner < outer``.
    """

    kind: DetectorKind = "disk"
    center_px: tuple[float, float] = (0.0, 0.0)
    inner_px: float = 0.0
    outer_px: float = 1.0
    signs: tuple[int, ...] = (1, 0, -1, 0)
    turn_deg: float = -45.0
    outline_px: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in DETECTOR_KINDS:
            raise ValueError(f"{self.kind!r} is no virtual detector; choose of {', '.join(DETECTOR_KINDS)}")
        if not 0 <= self.inner_px < self.outer_px:
            raise ValueError(
                f"radii of {self.inner_px:g} and {self.outer_px:g} px; the inner one must be 0 or more and "
                "smaller than the outer one"
            )

    def weights(self, shape: tuple[int, int]) -> NDArray[np.float32]:
        """Return the weight of each detector pixel, shape `shape`; pixels on a rim count by their share.

        Examples
        --------
        >>> VirtualDetector(center_px=(1, 1), outer_px=1.0).weights((3, 3)).tolist()[1]
        [0.5, 1.0, 0.5]
        """
        if self.kind == "drawn":
            return polygon_mask(self.outline_px, shape).astype(np.float32)
        y, x = np.ogrid[: shape[0], : shape[1]]
        y, x = y - self.center_px[0], x - self.center_px[1]
        radius = np.hypot(y, x)
        inside = np.clip(self.outer_px - radius + 0.5, 0, 1)
        if self.kind != "disk" and self.inner_px > 0:
            inside = inside * np.clip(radius - self.inner_px + 0.5, 0, 1)
        if self.kind == "segments":
            signs = np.asarray(self.signs, np.float32)
            inside = inside * np.where(radius < 0.5, signs.mean(), signs[self._segments(y, x)])
        return np.asarray(inside, dtype=np.float32)

    def segment_at(self, y: float, x: float) -> int | None:
        """Return the segment at a place of the detector [px], or None outside the annulus."""
        y, x = y - self.center_px[0], x - self.center_px[1]
        if not self.inner_px <= np.hypot(y, x) <= self.outer_px:
            return None
        return int(self._segments(y, x))

    def _segments(self, y: ArrayLike, x: ArrayLike) -> NDArray[np.int64]:
        turned = np.rad2deg(np.arctan2(-np.asarray(y, np.float64), np.asarray(x, np.float64))) - self.turn_deg
        return np.asarray((turned % 360) // (360 / len(self.signs)), np.int64) % len(self.signs)


def polygon_mask(outline: ArrayLike, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the points of a grid inside a polygon, even-odd; none where there are fewer than three corners.

    Parameters
    ----------
    outline : array_like, shape (n, 2)
        Corners ``(y, x)``.
    shape : (int, int)

    Examples
    --------
    >>> int(polygon_mask([(-0.5, -0.5), (-0.5, 1.5), (1.5, 1.5), (1.5, -0.5)], (4, 4)).sum())
    4
    """
    corners = np.asarray(outline, dtype=np.float64).reshape(-1, 2)
    inside = np.zeros(shape, np.bool_)
    if len(corners) < 3:
        return inside
    y, x = np.ogrid[: shape[0], : shape[1]]
    for (y0, x0), (y1, x1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < x0 + (x1 - x0) * (y - y0) / (y1 - y0))
    return inside
