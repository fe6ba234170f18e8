"""The eight colours and the cyclic palette: far apart for every reader, and in the order of hue."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from napari_polarmap.core.directions import COLORS, N_DIRECTIONS
from napari_polarmap.core.palette import angle_rgb

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


TURN = angle_rgb(np.arange(0, 360, 5))
"""The cyclic palette, every five degrees."""


def seen(sight: str, rgb: np.ndarray = RGB) -> np.ndarray:
    """Return colours in CIELAB as a reader with this sight sees them, shape (n, 3)."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ SIGHT[sight].T, 0, 1)
    return rgb2lab(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))


# Colour differences by CIEDE2000: G. Sharma, W. Wu, E. N. Dalal, Color Res. Appl. 30, 21 (2005).
@pytest.mark.parametrize(
    ("sight", "at_least"), [("normal", 27), ("deuteranopia", 17), ("protanopia", 17), ("tritanopia", 17)]
)
def test_any_two_colours_differ_clearly(sight, at_least):
    lab = seen(sight)
    first, second = np.triu_indices(N_DIRECTIONS, 1)
    assert deltaE_ciede2000(lab[first], lab[second]).min() >= at_least


def test_hue_runs_once_around_the_wheel():
    lab = seen("normal")
    hue = np.degrees(np.arctan2(lab[:, 2], lab[:, 1]))
    steps = (np.roll(hue, -1) - hue) % 360
    assert steps.sum() == pytest.approx(360)
    assert steps.min() > 15


def test_equal_turns_of_the_cyclic_palette_are_equal_steps_of_colour():
    lab = seen("normal", TURN)
    steps = deltaE_ciede2000(lab, np.roll(lab, -1, axis=0))
    assert steps.max() < 1.25 * steps.min()


@pytest.mark.parametrize(
    ("sight", "at_least"), [("normal", 20), ("deuteranopia", 10), ("protanopia", 12), ("tritanopia", 10)]
)
def test_angles_45_degrees_and_more_apart_differ_for_every_reader(sight, at_least):
    lab = seen(sight, TURN)
    nearest = min(deltaE_ciede2000(lab, np.roll(lab, -turn, axis=0)).min() for turn in range(9, 37))
    assert nearest >= at_least


def test_the_cyclic_palette_has_the_hues_of_the_eight_directions():
    hue = [
        np.arctan2(lab[:, 2], lab[:, 1]) for lab in (seen("normal"), seen("normal", angle_rgb(np.arange(0, 360, 45))))
    ]
    apart = np.degrees(np.abs((hue[0] - hue[1] + np.pi) % (2 * np.pi) - np.pi))
    assert apart.max() < 45


def test_less_lightness_keeps_the_hue():
    full, half = (seen("normal", angle_rgb(np.arange(0, 360, 45), lightness)) for lightness in (1.0, 0.5))
    turned = np.degrees(np.arctan2(full[:, 2], full[:, 1]) - np.arctan2(half[:, 2], half[:, 1]))
    assert (half[:, 0] < full[:, 0] - 10).all()
    assert np.abs((turned + 180) % 360 - 180).max() < 12
