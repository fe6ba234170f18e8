"""From evidence at several window sizes to one map of domains with sharp walls."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_polarmap.core.directions import N_DIRECTIONS, UNDEFINED

_SURE: Final = 0.9
_ROUNDS: Final = 8
_LEANING: Final = 0.05
_COUPLING: Final = 4.0


def log_softmax(logits: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return log-probabilities along the last axis."""
    shifted = np.asarray(logits, np.float32) - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)), dtype=np.float32)


def smallest_sure(
    evidence: list[NDArray[np.float32]], cells: list[float], sure: float = _SURE
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Choose, at every position, the smallest window that is sure enough, else the surest.

    Parameters
    ----------
    evidence : list of ndarray, shape (scan_y, scan_x, 9)
        Log-probabilities of the eight directions and "none" for each window size,
        smallest window first.
    cells : list of float
        Window sizes.
    sure : float
        Probability that is enough.

    Returns
    -------
    chosen : ndarray of float32, shape (scan_y, scan_x, 9)
    window_cells : ndarray of float32, shape (scan_y, scan_x)
    """
    certainty = np.stack([np.exp(scale.max(axis=-1)) for scale in evidence])
    enough = certainty >= sure
    index = np.where(enough.any(axis=0), enough.argmax(axis=0), certainty.argmax(axis=0))
    chosen = np.take_along_axis(np.stack(evidence), index[None, ..., None], axis=0)[0]
    return chosen, np.asarray(cells, np.float32)[index]


def one_sided(evidence: NDArray[np.float32], reach_px: tuple[float, float]) -> NDArray[np.float32]:
    """Let every position take the surest of the windows that hold it, so that none straddles a wall.

    Near a wall the window around a position mixes two domains, while one beside it,
    on the same side, does not.

    Parameters
    ----------
    evidence : ndarray, shape (scan_y, scan_x, 9)
        Log-probabilities of windows centred at each position.
    reach_px : (float, float)
        How far ``(y, x)`` a window may be moved from its position and still hold it.
    """
    shape = evidence.shape[:2]
    best, merit = evidence, (1 + _LEANING) * evidence.max(axis=-1)
    for sign_y in (-1, 0, 1):
        for sign_x in (-1, 0, 1):
            if sign_y == sign_x == 0:
                continue
            rows = np.clip(np.arange(shape[0]) + round(sign_y * reach_px[0]), 0, shape[0] - 1)
            columns = np.clip(np.arange(shape[1]) + round(sign_x * reach_px[1]), 0, shape[1] - 1)
            moved = evidence[rows][:, columns]
            # Of two windows as sure as each other, the one that the place itself leans to.
            here = np.take_along_axis(evidence, moved.argmax(axis=-1)[..., None], axis=-1)[..., 0]
            candidate = moved.max(axis=-1) + _LEANING * here
            better = candidate > merit
            best = np.where(better[..., None], moved, best)
            merit = np.where(better, candidate, merit)
    return best


def domains(
    evidence: NDArray[np.float32], neighbourhood_px: float, *, coupling: float = _COUPLING
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Settle neighbouring positions into domains (mean field of a Potts model).

    Parameters
    ----------
    evidence : ndarray, shape (scan_y, scan_x, 9)
        Log-probabilities of the eight directions and "none".
    neighbourhood_px : float
        Width (Gaussian sigma) of the neighbourhood in scan positions.
    coupling : float
        Gain for agreeing with all neighbours, as log-odds.

    Returns
    -------
    domain : ndarray of uint8, shape (scan_y, scan_x)
        255 where "none" wins or nothing reaches one half.
    belief : ndarray of float32, shape (scan_y, scan_x, 9)
    """
    belief = np.exp(evidence)
    for _ in range(_ROUNDS):
        around = ndimage.gaussian_filter(belief, (neighbourhood_px, neighbourhood_px, 0), mode="nearest")
        belief = np.exp(log_softmax(evidence + coupling * around))
    winner = belief.argmax(axis=-1)
    told = (winner < N_DIRECTIONS) & (belief.max(axis=-1) >= 0.5)
    return np.where(told, winner, UNDEFINED).astype(np.uint8), belief
