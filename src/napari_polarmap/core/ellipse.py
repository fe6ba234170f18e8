"""The ellipse that a detector makes of the round disk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from napari_polarmap.core.descan import Descan
from napari_polarmap.core.disk import Disk, Rim, clean_pattern, rim_width_px
from napari_polarmap.core.survey import ScanStatistics

_PARTS = 4


@dataclass(frozen=True, kw_only=True)
class Ellipse:
    """Ellipse along the rim of the disk.

    Attributes
    ----------
    ratio : float
        Long over short axis.
    angle_deg : float
        Long axis against increasing columns, counter-clockwise as the pattern is shown; -90 to 90.
    error : float
        Standard error of the ratio, from parts of the scan; infinite where there is one part only.
    """

    ratio: float
    angle_deg: float
    error: float


def find_ellipse(statistics: ScanStatistics, descan: Descan) -> Ellipse:
    """Return the ellipse along which the mean intensity falls off most steeply.

    The aperture is round, so what its image lacks of a circle is the distortion of the projector lenses.
    Parts of the scan are brought together by the movement of the disk first.

    Parameters
    ----------
    statistics : ScanStatistics
    descan : Descan
        Of this scan.
    """
    shape = statistics.mean_pattern.shape
    tiles = statistics.tile_patterns.reshape(-1, *shape)
    places = np.stack(
        np.meshgrid(*((edge[:-1] + edge[1:] - 1) / 2 for edge in statistics.tile_edges), indexing="ij"), axis=-1
    ).reshape(-1, 2)
    middle = (np.array(statistics.total.shape) - 1) / 2
    moves = (places - middle) @ np.reshape(descan.slopes_px, (2, 2)).T
    still = [
        tile if np.abs(move).max() < 0.02 else ndimage.shift(tile, -move, order=1)
        for tile, move in zip(tiles, moves, strict=True)
    ]
    whole = _fit(np.sum(still, axis=0), descan.disk)
    parts = [_fit(np.sum(still[k::_PARTS], axis=0), descan.disk) for k in range(min(_PARTS, len(still)))]
    spread = np.std(parts, axis=0, ddof=1) / np.sqrt(len(parts)) if len(parts) > 1 else np.full(2, np.inf)
    size = float(np.hypot(*whole))
    # The angle counts from the columns to the rows, downwards, so its sign turns.
    angle_deg = -0.5 * float(np.rad2deg(np.arctan2(whole[1], whole[0])))
    return Ellipse(ratio=(1 + size) / (1 - size), angle_deg=angle_deg, error=2 * float(np.hypot(*spread)))


def _fit(pattern: NDArray[np.float64], disk: Disk) -> NDArray[np.float64]:
    """Return the shares of the radius that go with cosine and sine of twice the angle."""
    image = clean_pattern(pattern)
    circle = np.array([*disk.center_px, disk.radius_px])
    rim = Rim(image, rim_width_px(image, circle))

    def loss(parameters: NDArray[np.float64]) -> float:
        fall = rim.fall(parameters)
        return -float(np.nansum(fall)) / max(float(np.isfinite(fall).sum()), 0.6 * fall.size)

    start = np.array([*circle, 0.0, 0.0])
    step = np.array([0.5, 0.5, 0.5, 0.01, 0.01])
    simplex = start + np.vstack([np.zeros(5), np.diag(step)])
    options = {"initial_simplex": simplex, "xatol": 1e-4, "fatol": 1e-9, "maxfev": 600}
    found = optimize.minimize(loss, start, method="Nelder-Mead", options=options).x
    return np.asarray(found[3:], dtype=np.float64)
