"""The radius of a blurred disk."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from napari_polarmap.core.disk import Disk, clean_pattern


def rim_radius(mean_pattern: NDArray[np.number], disk: Disk) -> tuple[float, float]:
    """Return where the rim of a disk falls to half its height, and over how many pixels it falls.

    `find_disk` looks for the steepest fall of the root of the intensity, which stands out of noise but moves
    outwards where the detector blurs the rim: by 3 % of 20 px for a blur of 1.5 px, where the half height moves
    by 1 %.

    Parameters
    ----------
    mean_pattern : ndarray, shape (qy, qx)
    disk : Disk
        Found in it.

    Returns
    -------
    radius_px, width_px : float
        Radius, and standard deviation of the Gaussian that blurs the rim.
    """
    image = clean_pattern(mean_pattern)
    y, x = np.indices(image.shape)
    distance = np.hypot(y - disk.center_px[0], x - disk.center_px[1])
    radii = np.arange(0.7, 1.4, 0.25 / disk.radius_px) * disk.radius_px
    weights = [np.clip(1 - np.abs(distance - radius), 0, None) for radius in radii]
    seen = [weight.sum() > 0 for weight in weights]
    radii = radii[seen]
    profile = np.array([np.average(image, weights=weight) for weight in weights if weight.sum() > 0])

    def misfit(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        step, radius, width, outside, slope = parameters
        inside = step + slope * np.minimum(radii - radius, 0)
        fall = 0.5 * special.erfc((radii - radius) / np.sqrt(2) / max(abs(width), 0.2))
        return np.asarray(inside * fall + outside - profile, dtype=np.float64)

    start = np.array([profile[0] - profile[-1], disk.radius_px, 1.0, profile[-1], 0.0])
    found = optimize.least_squares(misfit, start, loss="soft_l1", f_scale=0.02).x
    return float(found[1]), float(abs(found[2]))
