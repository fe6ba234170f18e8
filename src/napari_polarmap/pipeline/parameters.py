"""Options of a mapping run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from napari_polarmap.pipeline.inspection import CENTRINGS, Centring

Pooling = Literal["none", "cell", "auto"]
POOLINGS: Final = ("none", "cell", "auto")


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
    """

    pool: Pooling = "auto"
    center: Centring = "plane"
    crop_px: int | None = None
    fdr: float = 0.05

    def __post_init__(self) -> None:
        for name, options in (("pool", POOLINGS), ("center", CENTRINGS)):
            if getattr(self, name) not in options:
                raise ValueError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(options)}")
        if not 0 < self.fdr < 1:
            raise ValueError(f"fdr is {self.fdr}; a false-discovery rate lies between 0 and 1")
        if self.crop_px is not None and self.crop_px < 8:
            raise ValueError(f"crop_px is {self.crop_px}; a crop needs at least 8 px")
