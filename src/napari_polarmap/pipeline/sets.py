"""Prediction sets of a map: the directions that the truth is among nine times in ten."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.directions import N_DIRECTIONS
from napari_polarmap.models.calibration import NONE_BIT, Calibration, prediction_sets

LEVEL: Final = 0.9


def set_map(
    evidence: NDArray[np.floating], electrons: NDArray[np.floating], calibration: Calibration, turn: int
) -> NDArray[np.uint16]:
    """Return the prediction set at every position as bits, see `calibration.prediction_sets`.

    Parameters
    ----------
    evidence : ndarray, shape (scan_y, scan_x, 9)
        Log-probabilities of the eight directions along the crystal axes, and of "none".
    electrons : ndarray, shape (scan_y, scan_x)
        Behind the window of each position; infinite for exact intensities.
    calibration : Calibration
        Of the classifier, with thresholds.
    turn : int
        Steps of 45 degrees from the crystal axes to the axes of the scan.
    """
    weight = np.exp(evidence.astype(np.float64))
    directions = weight[..., :N_DIRECTIONS].sum(axis=-1)
    probability = weight[..., :N_DIRECTIONS] / directions[..., None]
    least = calibration.least_probabilities(electrons.ravel(), LEVEL).reshape(*electrons.shape, 2)
    sets = prediction_sets(probability, directions / weight.sum(axis=-1), least)
    bits = (sets[..., None] >> np.arange(N_DIRECTIONS)) & 1
    turned = (np.roll(bits, turn, axis=-1) << np.arange(N_DIRECTIONS)).sum(axis=-1)
    return np.asarray(turned | (sets & NONE_BIT), dtype=np.uint16)
