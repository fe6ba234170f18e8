"""From evidence at several window sizes to one map of domains with sharp walls."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_polarmap.core.directions import N_DIRECTIONS, UNDEFINED

_SURE: Final = 0.95
_AROUND_CELLS: Final = 4.0
_ROUNDS: Final = 25
_REACH_CELLS: Final = 0.6
_COUPLING_PER_POSITION: Final = 0.75
_DOUBT: Final = 0.01
"""Share of windows that may be about something else; no window can outvote all its neighbours."""


def log_softmax(logits: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return log-probabilities along the last axis."""
    shifted = np.asarray(logits, np.float32) - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)), dtype=np.float32)


def entropy_bits(log_probability: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the entropy of log-probabilities along the last axis, in bits.

    Examples
    --------
    >>> entropy_bits(np.log([0.5, 0.25, 0.25])).item()
    1.5
    """
    return np.asarray(-(np.exp(log_probability) * log_probability).sum(axis=-1) / np.log(2), dtype=np.float64)


def smallest_sure(
    evidence: list[NDArray[np.float32]], period_px: float, sure: float = _SURE
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Choose, at every position, the smallest window that is sure enough around there, else the surest.

    A window is sure enough where it is so at half of the positions within four cells. At a
    wall, where no window is sure because each mixes two domains, sizes therefore do not grow:
    the larger ones would mix more, and be sure of what they mix.

    Parameters
    ----------
    evidence : list of ndarray, shape (scan_y, scan_x, 9)
        Log-probabilities of the eight directions and "none" for each window size,
        smallest window first.
    period_px : float
        Edge of the unit cell in scan positions.
    sure : float
        Probability that is enough.

    Returns
    -------
    chosen : ndarray of float32, shape (scan_y, scan_x, 9)
    size : ndarray of int, shape (scan_y, scan_x)
        Index of the window chosen.
    """
    around = int(_AROUND_CELLS * period_px) | 1
    certainty = np.stack([np.exp(scale.max(axis=-1)) for scale in evidence])
    share, mean = (
        np.stack([ndimage.uniform_filter(part, around, mode="nearest") for part in parts])
        for parts in ((certainty >= sure).astype(np.float32), certainty)
    )
    enough = share >= 0.5
    index = np.where(enough.any(axis=0), enough.argmax(axis=0), mean.argmax(axis=0))
    chosen = np.take_along_axis(np.stack(evidence), index[None, ..., None], axis=0)[0]
    return chosen, np.asarray(index)


def domains(evidence: NDArray[np.float32], period_px: float) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Settle neighbouring positions into domains (mean field of a Potts model).

    Windows at neighbouring positions share most of their patterns, so the evidence of
    a whole unit cell counts once against the cost of a wall around it. Stripes and
    spots narrower than a cell, as the mixed windows along a wall make them, give way;
    walls move to where the evidence on both sides is even.

    Parameters
    ----------
    evidence : ndarray, shape (scan_y, scan_x, 9)
        Log-probabilities of the eight directions and "none".
    period_px : float
        Edge of the unit cell in scan positions.

    Returns
    -------
    domain : ndarray of uint8, shape (scan_y, scan_x)
        255 where "none" wins or nothing reaches one half.
    belief : ndarray of float32, shape (scan_y, scan_x, 9)
    """
    sigma, coupling = _REACH_CELLS * period_px, _COUPLING_PER_POSITION * period_px**2
    floored = np.log((1 - _DOUBT) * np.exp(evidence) + _DOUBT / evidence.shape[-1])
    belief = np.exp(floored)
    for _ in range(_ROUNDS):
        around = ndimage.gaussian_filter(belief, (sigma, sigma, 0), mode="nearest")
        belief = np.exp(log_softmax(floored + coupling * around))
    winner = belief.argmax(axis=-1)
    told = (winner < N_DIRECTIONS) & (belief.max(axis=-1) >= 0.5)
    return np.where(told, winner, UNDEFINED).astype(np.uint8), belief
