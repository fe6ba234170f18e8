"""A scan as a detector of another geometry would have recorded it: truth for tests of the calibration."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_polarmap.core.calibration import Calibration


def rerecord(
    patterns: NDArray[Any],
    center_px: tuple[float, float],
    calibration: Calibration,
    *,
    blur_px: float = 0.0,
    dose_scale: float = 1.0,
    hot: float = 0.0,
    seed: int = 0,
) -> NDArray[Any]:
    """Return patterns in the frame of the scan as a turned, mirrored, distorted and drifting detector shows them.

    Parameters
    ----------
    patterns : ndarray, shape (scan_y, scan_x, qy, qx)
        In the frame of the scan: rotation 0, no flip.
    center_px : (float, float)
        Of their disk.
    calibration : Calibration
        Rotation, flip, ellipse, descan and bad pixels of the new detector; its `center_px` is the new
        centre in the middle of the scan.
    blur_px : float
        Standard deviation of a Gaussian blur on the detector.
    dose_scale : float
        Below 1, counts are thinned to this share.
    hot : float
        What every second bad pixel reads; the others read 0.
    seed : int

    Returns
    -------
    ndarray, same shape and type
    """
    rng = np.random.default_rng(seed)
    rows, columns, height, width = patterns.shape
    angle = np.deg2rad(calibration.rotation_deg)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]]) @ np.diag([-1.0 if calibration.flip else 1.0, 1.0])
    matrix = turn @ np.linalg.inv(calibration.distortion)
    new_center = np.asarray(calibration.center_px or center_px)
    slopes = np.reshape(calibration.descan or np.zeros(4), (2, 2))
    middle = (np.array([rows, columns]) - 1) / 2
    out = np.empty(patterns.shape, np.float32)
    for place in np.ndindex(rows, columns):
        center = new_center + slopes @ (np.array(place) - middle)
        shown = ndimage.affine_transform(
            patterns[place].astype(np.float32),
            matrix,
            np.asarray(center_px) - matrix @ center,
            (height, width),
            order=1,
        )
        out[place] = ndimage.gaussian_filter(shown, blur_px) if blur_px > 0 else shown
    if dose_scale < 1:
        out = rng.poisson(np.maximum(out, 0) * dose_scale).astype(np.float32)
    for index, (y, x) in enumerate(calibration.bad_pixels):
        out[..., y, x] = hot * (index % 2)
    if patterns.dtype.kind in "ui":
        return np.clip(np.round(out), 0, np.iinfo(patterns.dtype).max).astype(patterns.dtype)
    return out.astype(patterns.dtype)
