"""Options of a mapping run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from napari_polarmap.pipeline.inspection import CENTRINGS, Centring

Pooling = Literal["none", "cell", "auto"]
POOLINGS: Final = ("none", "cell", "auto")
LEAST_CELL_PX: Final = 4.0
"""Scan positions a unit cell must hold to be pooled over."""


@dataclass(frozen=True, kw_only=True)
class MapParams:
    """Options of a run, stored with its result.

    Attributes
    ----------
    pool : {"none", "cell", "auto"}
        What `direction` rests on: single patterns, one unit cell, or at each position
        the smallest window that is sure enough.
    center : {"global", "plane", "position"}
        How the crop follows the disk, see `disk_centers`.
    crop_px : int, optional
        Edge of the detector region used around the disk; as much as the classifier
        takes when not given.
    fdr : float
        False-discovery rate of the irregularity mask.
    lattice_px : (float, float, float, float), optional
        Lattice vectors ``(y1, x1, y2, x2)`` in scan positions that windows cancel; those
        found in the virtual images when not given.
    radius_px : float, optional
        Reach of the neighbourhood that is averaged where no lattice is found or given,
        in scan positions; 6 A when not given.
    """

    pool: Pooling = "auto"
    center: Centring = "plane"
    crop_px: int | None = None
    fdr: float = 0.05
    lattice_px: tuple[float, float, float, float] | None = None
    radius_px: float | None = None

    def __post_init__(self) -> None:
        for name, options in (("pool", POOLINGS), ("center", CENTRINGS)):
            if getattr(self, name) not in options:
                raise ValueError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(options)}")
        if not 0 < self.fdr < 1:
            raise ValueError(f"fdr is {self.fdr}; a false-discovery rate lies between 0 and 1")
        if self.crop_px is not None and self.crop_px < 8:
            raise ValueError(f"crop_px is {self.crop_px}; a crop needs at least 8 px")
        if self.lattice_px is not None:
            _check_lattice(self.lattice_px)
        if self.radius_px is not None and not (np.isfinite(self.radius_px) and self.radius_px >= 1):
            raise ValueError(f"radius_px is {self.radius_px}; a neighbourhood reaches at least 1 scan position")


def _check_lattice(values: tuple[float, ...]) -> None:
    text = " ".join(f"{value:g}" for value in values)
    if len(values) != 4 or not np.isfinite(values).all():
        raise ValueError(f"lattice_px is {text}; two vectors are four numbers: y1 x1 y2 x2")
    area = abs(float(np.linalg.det(np.reshape(values, (2, 2)))))
    if area < LEAST_CELL_PX:
        raise ValueError(
            f"lattice_px is {text}; these vectors span {area:.2g} scan positions, a unit cell needs at least "
            f"{LEAST_CELL_PX:g}"
        )
