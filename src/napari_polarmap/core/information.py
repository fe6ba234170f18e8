"""Which probe positions inside the unit cell carry information: maps folded into one cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_polarmap.core.directions import UNDEFINED
from napari_polarmap.core.folding import fold
from napari_polarmap.core.lattice import Lattice

_MOST_BINS: Final = 16
_LEAST_PER_BIN: Final = 3


@dataclass(frozen=True, kw_only=True)
class InformationMap:
    """Means over all unit cells of a scan, at each place inside the cell.

    Rows run along the second lattice vector (downwards), columns along the first (to the right). The
    darkest place of the bright-field image lies in the middle. NaN where fewer than three patterns fell.

    Attributes
    ----------
    image : ndarray of float64, shape (bins, bins)
        Bright-field intensity over its mean.
    confidence : ndarray of float64, shape (bins, bins)
        Probability of the winning direction of single patterns.
    entropy_bits : ndarray of float64, shape (bins, bins)
        Of the classifier's answer to single patterns; 3.17 bits say nothing at all.
    accuracy : ndarray of float64, shape (bins, bins)
        Share of single patterns whose direction is that of the reference.
    counts : ndarray of int64, shape (bins, bins)
        Patterns that fell there.
    constant : float
        Share that one and the same answer everywhere would get right.
    """

    image: NDArray[np.float64]
    confidence: NDArray[np.float64]
    entropy_bits: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    counts: NDArray[np.int64]
    constant: float = 1 / 8

    @property
    def overall(self) -> str:
        """What single patterns tell on the whole, in a sentence."""
        known = np.isfinite(self.accuracy)
        if not known.any():
            return "No single pattern tells a direction that could be compared with a reference."
        right = float(np.average(self.accuracy[known], weights=self.counts[known]))
        best = float(self.accuracy[known].max())
        return (
            f"Single patterns are right at {right:.1%} of the positions (chance 12.5%, the same answer "
            f"everywhere up to {self.constant:.1%}), at the best place of the cell "
            f"at {best:.1%}; their mean confidence is {float(np.nanmean(self.confidence)):.2f}."
        )


def fold_information(
    lattice: Lattice,
    image: NDArray[np.floating],
    confidence: NDArray[np.floating],
    entropy_bits: NDArray[np.floating],
    direction: NDArray[np.uint8],
    reference: NDArray[np.uint8],
    *,
    bins: int | None = None,
) -> InformationMap:
    """Fold what single patterns tell into one unit cell.

    Parameters
    ----------
    lattice : Lattice
        Of the scan.
    image, confidence, entropy_bits : ndarray, shape (scan_y, scan_x)
        NaN is left out.
    direction, reference : ndarray of uint8, shape (scan_y, scan_x)
        Class of each single pattern and the true one; places without reference are left out of the
        accuracy, undefined directions count as wrong, unless all are.
    bins : int, optional
        Places along each side of the cell; one per scan position and at most 16 when not given.

    Raises
    ------
    ValueError
        If the lattice is not known, or `bins` is not between 2 and 64.
    """
    if not lattice.known:
        raise ValueError("the lattice of the scan is not known; without it nothing can be folded into a unit cell")
    if bins is None:
        bins = int(np.clip(np.sqrt(lattice.cell_area_px), 2, _MOST_BINS))
    if not 2 <= bins <= 64:
        raise ValueError(f"bins is {bins}; 2 to 64 places along a side of the cell fit")

    def mean(values: NDArray[np.floating], used: NDArray[np.bool_] | bool = True) -> NDArray[np.float64]:
        folded, count = fold(np.where(used, values, np.nan), lattice, bins)
        return np.where(count >= _LEAST_PER_BIN, folded, np.nan)

    known = reference != UNDEFINED
    bright = mean(np.asarray(image, np.float64))
    folded = {
        "image": bright / np.nanmean(bright),
        "confidence": mean(confidence),
        "entropy_bits": mean(entropy_bits),
        # A classifier that says nothing of single patterns is not wrong.
        "accuracy": mean((direction == reference).astype(np.float64), known & (direction != UNDEFINED).any()),
        "counts": fold(np.zeros(image.shape), lattice, bins)[1],
    }
    shift = _to_middle(bright)
    rolled = {name: np.roll(values, shift, axis=(0, 1)) for name, values in folded.items()}
    shares = np.bincount(reference[known], minlength=1) / max(1, int(known.sum()))
    return InformationMap(**rolled, constant=float(shares.max()))


def _to_middle(bright: NDArray[np.float64]) -> tuple[int, int]:
    """Return the shift that brings the darkest place of a folded image to its middle."""
    filled = np.where(np.isfinite(bright), bright, np.nanmean(bright))
    smooth = ndimage.gaussian_filter(filled, len(bright) / 12, mode="wrap")
    row, column = np.unravel_index(int(smooth.argmin()), smooth.shape)
    return len(bright) // 2 - int(row), len(bright) // 2 - int(column)
