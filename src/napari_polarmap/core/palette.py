"""The cyclic palette of continuous angles: hue tells the direction, lightness how much of it there is.

Equal turns are equal steps of colour for normal sight, and the curve stays open, a tilted ellipse, for readers
without one kind of cone: red, which they lose, is darker than aqua. The eight directions have colours of their own
(`core.directions`), further apart than any closed curve of even steps allows.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

_HARMONICS: Final = np.array(
    [
        [55.21, -15.84, 13.79, -0.12, -0.14],  # L*
        [10.27, 34.88, -3.60, 0.19, 1.95],  # a*
        [11.30, 18.38, 46.21, 0.31, 3.82],  # b*
    ]
)
"""CIELAB (D65) along the cycle: constant, cosine and sine of the angle and of twice the angle."""

_WHITE: Final = np.array([0.95047, 1.0, 1.08883])
_TO_RGB: Final = np.linalg.inv(
    np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
)


def angle_rgb(angle_deg: ArrayLike, lightness: ArrayLike = 1.0) -> NDArray[np.float64]:
    """Return the colour of angles, sRGB from 0 to 1.

    Parameters
    ----------
    angle_deg : array_like of float
        Counter-clockwise on the screen; any turn.
    lightness : array_like of float
        From 0, black, to 1, the full colour; the hue stays.

    Returns
    -------
    rgb : ndarray of float64, shape (..., 3)
        NaN where either is not finite.

    Examples
    --------
    >>> np.allclose(angle_rgb(30), angle_rgb(390)), angle_rgb(30, 0).max().item()
    (True, 0.0)
    """
    angle = np.deg2rad(np.asarray(angle_deg, np.float64))
    waves = np.stack([np.ones_like(angle), np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)], -1)
    light, a, b = np.moveaxis(waves @ _HARMONICS.T, -1, 0)
    root = (light + 16) / 116
    xyz = _WHITE * np.stack([root + a / 500, root, root - b / 200], -1) ** 3
    linear = np.clip(xyz @ _TO_RGB.T, 0, 1) * (np.clip(lightness, 0, 1) ** 3)[..., None]
    return np.asarray(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055), np.float64)


def luminance(rgb: ArrayLike) -> NDArray[np.float64]:
    """Return the relative luminance of sRGB colours, 0 to 1, shape (...) of (..., 3)."""
    coded = np.asarray(rgb, np.float64)
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear @ np.array([0.2126, 0.7152, 0.0722]), dtype=np.float64)


def rgb_of(color: str) -> NDArray[np.float64]:
    """Return ``#rrggbb`` as three numbers from 0 to 1."""
    return np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
