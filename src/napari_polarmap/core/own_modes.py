"""In what the patterns of one scan differ most: modes that need no training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_COUNT: Final = 12
_EDGE_PX: Final = 16
_DIM: Final = 0.02


@dataclass(frozen=True)
class OwnModes:
    """The strongest modes of a scan's patterns, on a coarse grid.

    Attributes
    ----------
    scale : ndarray, shape (pixels,)
        Makes the counting noise of every pixel alike.
    modes : ndarray, shape (pixels, k)
        The strongest first.
    """

    scale: NDArray[np.float32]
    modes: NDArray[np.float32]

    def strengths(self, patterns: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return how strong each mode is in each pattern, shape (n, k), from an arbitrary zero.

        In float64, so that the last digit does not depend on how many patterns come together.
        """
        return np.asarray((_coarse(patterns) * self.scale).astype(np.float64) @ self.modes, np.float32)


def own_modes(patterns: NDArray[np.floating], count: int = _COUNT) -> OwnModes:
    """Find the strongest modes of patterns.

    Parameters
    ----------
    patterns : ndarray, shape (n, edge, edge)
        A sample of one scan, a thousand or so from all over it.
    count : int

    Notes
    -----
    Principal components of the patterns on a grid of about 16 by 16 pixels, each pixel divided by the root of
    its mean (its counting noise).

    Examples
    --------
    >>> own_modes(np.random.default_rng(0).random((40, 32, 32)), 3).strengths(np.ones((5, 32, 32))).shape
    (5, 3)
    """
    coarse = _coarse(patterns)
    mean = coarse.mean(axis=0)
    scale = 1 / np.sqrt(np.maximum(mean, 0) + max(_DIM * float(mean.mean()), 1e-12))
    values = (coarse - mean) * scale
    _, axes = np.linalg.eigh(values.T.astype(np.float64) @ values)
    return OwnModes(scale.astype(np.float32), np.ascontiguousarray(axes[:, ::-1][:, :count], dtype=np.float32))


def _coarse(patterns: NDArray[np.floating]) -> NDArray[np.float32]:
    edge = patterns.shape[-1]
    factor = max(1, edge // _EDGE_PX)
    n = edge // factor
    used = patterns[:, : n * factor, : n * factor].reshape(-1, n, factor, n, factor)
    return np.asarray(used.mean(axis=(2, 4)).reshape(-1, n * n), np.float32)
