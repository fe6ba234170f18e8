"""The first steps from a scan to patterns that a classifier takes, under one name.

Measure (`scan_statistics`, `center_of_mass`), find the disk (`find_disk`) and how it moves
(`track_disk`, `fit_descan`), bring the patterns onto one grid (`resample_patterns`).
"""

from napari_polarmap.core.descan import fit_descan, track_disk
from napari_polarmap.core.disk import Disk, find_disk, follow_disk
from napari_polarmap.core.resampling import resample_patterns
from napari_polarmap.core.survey import (
    ScanStatistics,
    center_of_mass,
    disk_centers_of_mass,
    read_patterns,
    sample_mean,
    scan_statistics,
    statistics_steps,
)

__all__ = [
    "Disk",
    "ScanStatistics",
    "center_of_mass",
    "disk_centers_of_mass",
    "find_disk",
    "fit_descan",
    "follow_disk",
    "read_patterns",
    "resample_patterns",
    "sample_mean",
    "scan_statistics",
    "statistics_steps",
    "track_disk",
]
