"""Dead and hot pixels of a detector: found in the mean pattern, filled from their neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_AROUND: Final = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], dtype=bool)
_MARGIN: Final = 0.25
_SIGMAS: Final = 8.0
_MOST: Final = 0.02
_LARGEST: Final = 4


def find_bad_pixels(
    mean_pattern: NDArray[np.number], n_patterns: int | None = None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which pixels are dead and which are hot.

    A pixel is hot where it lies far above the second highest of its eight neighbours, dead where it
    lies far below the third lowest: no rim and no spot that the optics can make is so sharp. One
    bad neighbour does not matter. A dead pixel right on a rim cannot be told from the dark beside it.

    Parameters
    ----------
    mean_pattern : ndarray, shape (det_y, det_x)
        Mean over the scan.
    n_patterns : int, optional
        How many patterns of counts it is the mean of; sets the counting noise.

    Returns
    -------
    dead, hot : ndarray of bool, shape (det_y, det_x)

    Raises
    ------
    ValueError
        If more than 2 % of the pixels look bad: then it is the pattern, not the detector.
    """
    image = np.nan_to_num(np.asarray(mean_pattern, dtype=np.float64), posinf=0.0, neginf=0.0)
    # Beyond the edge the outermost pixels repeat: a dark line along the edge is not lit, but not dead.
    low, middle = (ndimage.rank_filter(image, rank, footprint=_AROUND, mode="nearest") for rank in (2, 4))
    high = ndimage.rank_filter(image, 6, footprint=_AROUND, mode="mirror")
    top = max(float(np.quantile(image, 0.99)), 1e-300)
    noise = 1.4826 * float(np.median(np.abs(image - middle)[middle >= 0.5 * top]))
    allowed = _SIGMAS * noise * np.sqrt(np.maximum(middle, 0) / top) + 1e-3 * top
    if n_patterns is not None:
        allowed = np.maximum(allowed, _SIGMAS * np.sqrt(np.maximum(middle, 1 / n_patterns) / n_patterns))
    hot = image > high + _MARGIN * np.abs(high) + allowed
    dead = image < low - _MARGIN * np.abs(low) - allowed
    # The jagged edge of a large dark region is none of single pixels.
    regions, _ = ndimage.label(dead | (image < 1e-3 * top), structure=np.ones((3, 3)))
    dead &= np.bincount(regions.ravel())[regions] <= _LARGEST
    n_bad = int((hot | dead).sum())
    if n_bad > max(4, _MOST * image.size):
        raise ValueError(f"{n_bad} of {image.size} pixels stand out from their neighbours; these are no single faults")
    return dead, hot


def fill_bad_pixels(
    patterns: NDArray[Any], bad_pixels: Sequence[tuple[int, int]], box: tuple[slice, slice] | None = None
) -> NDArray[Any]:
    """Return patterns with each bad pixel replaced by the mean of its good neighbours.

    Parameters
    ----------
    patterns : ndarray, shape (..., det_y, det_x)
        Left as they are where there is nothing to fill.
    bad_pixels : sequence of (int, int)
        On the whole detector; those outside it are left out.
    box : (slice, slice), optional
        Rows and columns of the detector that `patterns` hold.
    """
    height, width = patterns.shape[-2:]
    top, left = (0, 0) if box is None else (box[0].start or 0, box[1].start or 0)
    bad = [(y - top, x - left) for y, x in bad_pixels if 0 <= y - top < height and 0 <= x - left < width]
    if not bad:
        return patterns
    marked = np.zeros((height, width), np.bool_)
    marked[tuple(np.array(bad).T)] = True
    filled = np.array(patterns)
    for y, x in bad:
        for reach in (1, 2, 3):
            box = (slice(max(y - reach, 0), y + reach + 1), slice(max(x - reach, 0), x + reach + 1))
            good = ~marked[box]
            if good.any():
                mean = patterns[(..., *box)][..., good].mean(axis=-1)
                filled[..., y, x] = np.round(mean) if patterns.dtype.kind in "ui" else mean
                break
    return filled
