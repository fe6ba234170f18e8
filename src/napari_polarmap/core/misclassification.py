"""Where and how predictions differ from a reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_polarmap.core.directions import LABELS, N_DIRECTIONS, UNDEFINED
from napari_polarmap.core.folding import Spectrum, fold, spectrum
from napari_polarmap.core.lattice import Lattice
from napari_polarmap.core.metrics import Classes, accuracy, confusion, opposite_fraction, wall_distance

_SMALLEST_SHARE: Final = 0.005
_MOST_DOMAINS: Final = 12


@dataclass(frozen=True, kw_only=True)
class Score:
    """How right the predictions of one region are.

    Attributes
    ----------
    region : str
    positions : int
        Of the region that have a reference.
    accuracy, opposite : float
        Share of the right direction, and of the opposite one among those told; NaN where there is none.
    """

    region: str
    positions: int
    accuracy: float
    opposite: float


@dataclass(frozen=True, kw_only=True)
class ErrorAnalysis:
    """How predictions differ from a reference.

    Attributes
    ----------
    error : ndarray of float64, shape (scan_y, scan_x)
        1 where the direction is wrong or undefined, 0 where it is right, NaN without a reference.
    confusion : ndarray of int64, shape (8, 9)
        Reference (rows) against prediction (columns; the last is undefined).
    scores : list of Score
        All positions, each domain of the reference, what is irregular and what is not, and the walls.
    cell : ndarray of float64, shape (n, n), or None
        Share of errors at each place of the unit cell; see `fold`.
    spectrum : Spectrum
        Of the error map.
    """

    error: NDArray[np.float64]
    confusion: NDArray[np.int64]
    scores: list[Score]
    cell: NDArray[np.float64] | None
    spectrum: Spectrum


def analyse_errors(
    predicted: Classes,
    reference: Classes,
    *,
    irregular: NDArray[np.bool_] | None = None,
    lattice: Lattice | None = None,
) -> ErrorAnalysis:
    """Compare a map of predictions with a reference.

    Parameters
    ----------
    predicted : ndarray of int, shape (scan_y, scan_x)
        Classes; 255 counts as wrong.
    reference : ndarray of int, same shape
        Classes; 255 is left out.
    irregular : ndarray of bool, same shape, optional
    lattice : Lattice, optional

    Raises
    ------
    ValueError
        If shapes differ, a class is neither 0 to 7 nor 255, or the reference is empty.
    """
    reference = np.asarray(reference)
    counts = confusion(predicted, reference)
    known = reference != UNDEFINED
    if not known.any():
        raise ValueError("the reference is undefined everywhere; paint or choose a direction")
    error = np.where(known, (predicted != reference).astype(np.float64), np.nan)
    regions = {"all": known, **_domains(reference)}
    if irregular is not None and irregular.any():
        regions |= {"irregular": irregular, "regular": ~irregular}
    distance = wall_distance(reference)
    period = lattice.period_px if lattice is not None and lattice.known else 0.0
    if np.isfinite(distance[known]).any():
        near = np.nan_to_num(distance, nan=np.inf) <= max(period, 1.0)
        regions |= {"within a cell of a wall": near, "away from walls": ~near}
    cell = fold(error, lattice)[0] if lattice is not None and lattice.known else None
    return ErrorAnalysis(
        error=error,
        confusion=counts,
        scores=[_score(name, mask & known, predicted, reference) for name, mask in regions.items()],
        cell=cell,
        spectrum=spectrum(error, lattice),
    )


def _score(name: str, mask: NDArray[np.bool_], predicted: Classes, reference: Classes) -> Score:
    return Score(
        region=name,
        positions=int(mask.sum()),
        accuracy=accuracy(predicted, reference, mask),
        opposite=opposite_fraction(predicted, reference, mask),
    )


def _domains(reference: Classes) -> dict[str, NDArray[np.bool_]]:
    """Return the connected domains of a reference, the largest first; specks are left out."""
    found: list[tuple[int, str, NDArray[np.bool_]]] = []
    for direction in range(N_DIRECTIONS):
        parts, n = ndimage.label(reference == direction)
        sizes = np.bincount(parts.ravel(), minlength=n + 1)
        large = [part for part in range(1, n + 1) if sizes[part] >= _SMALLEST_SHARE * reference.size]
        for index, part in enumerate(sorted(large, key=lambda part: -int(sizes[part])), start=1):
            name = LABELS[direction] + (f" {index}" if len(large) > 1 else "")
            found.append((int(sizes[part]), name, parts == part))
    found.sort(key=lambda entry: -entry[0])
    return {name: mask for _, name, mask in found[:_MOST_DOMAINS]}
