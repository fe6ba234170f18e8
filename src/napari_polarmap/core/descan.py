"""How the disk moves over a scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.disk import Disk, follow_disk
from napari_polarmap.core.survey import ScanStatistics

_MIN_TILES: Final = 6


@dataclass(frozen=True, kw_only=True)
class Descan:
    """How the disk moves over a scan, from its rim in parts of it.

    Attributes
    ----------
    disk : Disk
        In the middle of the scan, with its radius as seen in the parts.
    slopes_px : (float, float, float, float)
        As `Calibration.descan`; zeros where the movement is not above its error.
    scatter_px : float
        Root mean square distance of the parts' centres from the plane, NaN where there are too few parts.
    radius_scatter_px : float
        Standard deviation of the radius over the parts, NaN where there are too few.
    n_parts : int
        Parts in which the disk was seen.
    """

    disk: Disk
    slopes_px: tuple[float, float, float, float]
    scatter_px: float
    radius_scatter_px: float
    n_parts: int


def measure_descan(statistics: ScanStatistics, disk: Disk) -> Descan:
    """Return how the disk moves over the scan.

    Unlike the centre of mass, the rim does not follow thickness, tilt or atom columns. The
    centres of the tiles give a plane, or one centre for all where the slope is not above its error.

    Parameters
    ----------
    statistics : ScanStatistics
    disk : Disk
        In the mean pattern, where its movement blurs and widens it.
    """
    places, circles = tile_disks(statistics, disk)
    still = (0.0, 0.0, 0.0, 0.0)
    if len(circles) < _MIN_TILES:
        return Descan(disk=disk, slopes_px=still, scatter_px=np.nan, radius_scatter_px=np.nan, n_parts=len(circles))
    scatter_of_radius = float(circles[:, 2].std(ddof=1))
    found, design = circles[:, :2], _plane(places, statistics.total.shape)
    coefficients = _robust_fit(design, found, np.ones(len(found)))
    left = ((found - design @ coefficients) ** 2).sum()
    gained = ((found - np.median(found, axis=0)) ** 2).sum() - left
    if gained / 4 < 4 * left / (2 * len(found) - 6):
        scatter = float(np.sqrt((left + gained) / len(found)))
        return Descan(
            disk=disk, slopes_px=still, scatter_px=scatter, radius_scatter_px=scatter_of_radius, n_parts=len(found)
        )
    y, x = coefficients[0]
    slopes = 2 * coefficients[1:].T / np.array(statistics.total.shape)
    radius = float(np.median(circles[:, 2]))
    return Descan(
        disk=replace(disk, center_px=(float(y), float(x)), radius_px=radius),
        slopes_px=tuple(float(slope) for slope in slopes.ravel()),  # type: ignore[arg-type]
        scatter_px=float(np.sqrt(left / len(found))),
        radius_scatter_px=scatter_of_radius,
        n_parts=len(found),
    )


def track_disk(statistics: ScanStatistics, disk: Disk) -> tuple[Disk, NDArray[np.float64]]:
    """Return what `measure_descan` finds, with the centre at every position, shape (scan_y, scan_x, 2)."""
    found = measure_descan(statistics, disk)
    return found.disk, centers_over(found.disk, found.slopes_px, statistics.total.shape)


def centers_over(disk: Disk, slopes_px: Sequence[float], scan_shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the centre at every position, shape (scan_y, scan_x, 2), of a disk that moves as a plane."""
    place = np.moveaxis(np.indices(scan_shape), 0, -1) - (np.array(scan_shape) - 1) / 2
    moved = place @ np.reshape(slopes_px, (2, 2)).T
    return np.asarray(disk.center_px + moved, dtype=np.float64)


def tile_disks(statistics: ScanStatistics, disk: Disk) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the middles of the tiles in which the disk is seen, shape (n, 2), and (y, x, radius) there, (n, 3)."""
    middles = np.meshgrid(*((edge[:-1] + edge[1:] - 1) / 2 for edge in statistics.tile_edges), indexing="ij")
    tiles = statistics.tile_patterns.reshape(-1, *statistics.mean_pattern.shape)
    places, circles = [], []
    for tile, place in zip(tiles, np.stack(middles, axis=-1).reshape(-1, 2), strict=True):
        try:
            seen = follow_disk(tile, disk)
        except ValueError:
            continue
        places.append(place)
        circles.append((*seen.center_px, seen.radius_px))
    return np.array(places).reshape(-1, 2), np.array(circles).reshape(-1, 3)


def _plane(position: NDArray[np.number], scan_shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the terms 1, y, x of scan positions (..., 2), y and x from -1 to 1 over the scan."""
    scaled = 2 * (position + 0.5) / np.array(scan_shape) - 1
    return np.concatenate([np.ones_like(scaled[..., :1]), scaled], axis=-1)


def fit_descan(
    com_px: NDArray[np.float64],
    weights: NDArray[np.float64] | None = None,
    model: Literal["constant", "plane"] = "plane",
    *,
    center_px: tuple[float, float] | None = None,
) -> NDArray[np.float64]:
    """Return smooth disk centres over the scan from the centre of mass of each position.

    The local centre of mass also follows atom columns, walls and bends; a robust plane keeps
    only what the scan coils do. It is never used to read the polarization.

    Parameters
    ----------
    com_px : ndarray, shape (scan_y, scan_x, 2)
        NaN is left out.
    weights : ndarray, shape (scan_y, scan_x), optional
        For instance counts.
    model : {"constant", "plane"}
    center_px : (float, float), optional
        Centre of the disk in the mean pattern (`find_disk`): the fit then gives only how the disk
        moves, and the mean over the scan is this centre; thickness and tilt move the mean centre of
        mass, not the disk.

    Returns
    -------
    centers_px : ndarray of float64, shape (scan_y, scan_x, 2)

    Raises
    ------
    ValueError
        If `model` is unknown or there is no finite centre of mass.
    """
    if model not in ("constant", "plane"):
        raise ValueError(f"descan model {model!r} is not known; choose 'constant' or 'plane'")
    scan_y, scan_x = com_px.shape[:2]
    y, x = np.meshgrid(np.linspace(-1, 1, scan_y), np.linspace(-1, 1, scan_x), indexing="ij")
    terms = [np.ones_like(y)]
    if model == "plane":
        terms += [axis for axis, n in ((y, scan_y), (x, scan_x)) if n > 1]
    design = np.stack(terms, axis=-1)
    used = np.isfinite(com_px).all(axis=-1)
    if weights is not None:
        used &= np.isfinite(weights) & (weights > 0)
    if not used.any():
        raise ValueError("no scan position has a centre of mass; the patterns hold no counts")
    base = np.ones(int(used.sum())) if weights is None else weights[used] / weights[used].mean()
    coefficients = _robust_fit(design[used], com_px[used], base)
    centers = design @ coefficients
    if center_px is not None:
        mean = np.average(centers[used], axis=0, weights=base)
        centers = centers - mean + np.asarray(center_px, dtype=np.float64)
    return np.asarray(centers, dtype=np.float64)


def _robust_fit(
    design: NDArray[np.float64], values: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Least squares with Huber weights on the length of the residual, shape (terms, 2)."""
    current = weights
    coefficients = np.zeros((design.shape[1], 2))
    for _ in range(20):
        root = np.sqrt(current)[:, None]
        coefficients[:] = np.linalg.lstsq(design * root, values * root, rcond=None)[0]
        length = np.linalg.norm(values - design @ coefficients, axis=1)
        scale = np.median(length)
        current = weights * np.minimum(1, 1.5 * scale / np.maximum(length, 1e-12)) if scale > 0 else weights
    return coefficients
