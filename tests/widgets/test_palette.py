"""The eight colours: far apart for every reader, and in the order of hue."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from napari_polarmap.core.directions import COLORS, N_DIRECTIONS

# Full loss of one kind of cone, in linear RGB.
# G. M. Machado, M. M. Oliveira, L. A. F. Fernandes, IEEE Trans. Vis. Comput. Graph. 15, 1291 (2009).
SIGHT = {
    "normal": np.eye(3),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
RGB = np.array([[int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)] for color in COLORS])


def seen(sight: str) -> np.ndarray:
    """Return the colours in CIELAB as a reader with this sight sees them, shape (8, 3)."""
    linear = np.where(RGB <= 0.04045, RGB / 12.92, ((RGB + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ SIGHT[sight].T, 0, 1)
    return rgb2lab(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))


@pytest.mark.parametrize(
    ("sight", "at_least"), [("normal", 27), ("deuteranopia", 17), ("protanopia", 17), ("tritanopia", 17)]
)
def test_any_two_colours_differ_clearly(sight, at_least):
    lab = seen(sight)
    first, second = np.triu_indices(N_DIRECTIONS, 1)
    assert deltaE_ciede2000(lab[first], lab[second]).min() >= (27 if sight == "normal" else 17)


def test_hue_runs_once_around_the_wheel():
    lab = seen("normal")
    hue = np.degrees(np.arctan2(lab[:, 2], lab[:, 1]))
    steps = (np.roll(hue, -1) - hue) % 360
    assert steps.sum() == pytest.approx(360)
    assert steps.min() > 15
