"""What is usual in a map of which an unknown part is not."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_SHORTEST: Final = 0.3
_SHORTEST_IN_SIGMA: Final = 0.385
"""Half the length of the shortest interval with 30 % of a normal distribution, in standard deviations."""
_HALF_IN_SIGMA: Final = 1.177
"""Where a normal density has fallen to half, in standard deviations."""
_LOWER: Final = 0.75
"""The peak is sought among this share of the values, the lowest, as what is irregular is high."""
_BINS: Final = 10
_SMOOTH_BINS: Final = 3.0
_RANGE: Final = 8
_MIN_WIDTH: Final = 0.02


def standardised(value: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return by how many standard deviations of its usual part a map departs from the commonest value.

    Parameters
    ----------
    value : ndarray
        Nearly normal where nothing is unusual.
    known : ndarray of bool, same shape
        Where it can be taken from.

    Notes
    -----
    The empirical null distribution of Efron [1]_: centre and width are those of the peak of the density, not of all
    values, so that a defect that covers a third of a scan does not widen what counts as regular. The width is that at
    half the height, on the wider of the two sides; it is never below a fiftieth of the centre.

    References
    ----------
    .. [1] B. Efron, J. Am. Stat. Assoc. 99, 96 (2004).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> value = np.append(rng.normal(5, 2, 20_000), np.full(6_000, 21.0))
    >>> float(standardised(value, np.ones(value.shape, bool))[-1].round())
    8.0
    """
    usual = np.sort(value[known])
    low_part = usual[: max(2, int(_LOWER * usual.size))]
    n = min(max(2, int(_SHORTEST * usual.size)), low_part.size)
    lengths = low_part[n - 1 :] - low_part[: low_part.size - n + 1]
    first = int(np.argmin(lengths))
    centre = float(low_part[first] + lengths[first] / 2)
    least = max(_MIN_WIDTH * abs(centre), 1e-6)
    rough = float(lengths[first]) / 2 / _SHORTEST_IN_SIGMA
    if rough <= least:
        return np.asarray((value - centre) / least)
    step = rough / _BINS
    edges = centre + step * (np.arange(2 * _RANGE * _BINS + 1) - _RANGE * _BINS)
    density = ndimage.gaussian_filter1d(np.histogram(usual, edges)[0].astype(np.float64), _SMOOTH_BINS)
    near = slice((_RANGE - 1) * _BINS, (_RANGE + 1) * _BINS)
    peak = near.start + int(np.argmax(density[near]))
    low = density < density[peak] / 2
    right = int(np.argmax(low[peak:])) if low[peak:].any() else low.size - peak
    left = int(np.argmax(low[peak::-1])) if low[: peak + 1].any() else peak
    squared = (max(left, right) / _HALF_IN_SIGMA) ** 2 - _SMOOTH_BINS**2
    width = step * float(np.sqrt(max(squared, 1.0)))
    middle = float(edges[peak] + step / 2)
    return np.asarray((value - middle) / max(width, least))
