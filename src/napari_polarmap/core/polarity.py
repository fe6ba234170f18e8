"""On which side of 180 degrees a detector is turned, from the divergence of the centres of mass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.field import FieldWaves
from napari_polarmap.core.rotation import divergence

_ORBITS: Final = ((1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (3, 0), (3, 1))
_HIGHEST: Final = 3
_SURE: Final = 0.95
_MEAN: Final = np.array([0.10839, 0.09099, -0.15303, -0.05309, -0.10808, 0.01846, -0.01624])
_COVARIANCE: Final = np.array(
    [
        [0.10554, 0.09900, 0.07702, 0.00162, 0.01699, 0.00112, 0.00060],
        [0.09900, 0.13606, 0.10634, 0.00220, 0.02265, 0.00202, 0.00080],
        [0.07702, 0.10634, 0.11104, 0.00362, 0.03055, 0.00078, 0.00166],
        [0.00162, 0.00220, 0.00362, 0.00335, 0.00283, 0.00059, 0.00098],
        [0.01699, 0.02265, 0.03055, 0.00283, 0.01620, -0.00107, 0.00223],
        [0.00112, 0.00202, 0.00078, 0.00059, -0.00107, 0.00152, -0.00002],
        [0.00060, 0.00080, 0.00166, 0.00098, 0.00223, -0.00002, 0.00153],
    ]
)
"""Of `divergence_at_orbits` over 520 simulated niobate specimens, 5 to 60 nm; `benchmarks/polarity.py` makes them."""


@dataclass(frozen=True, kw_only=True)
class Polarity:
    """Whether all vectors have to be turned by 180 degrees.

    Attributes
    ----------
    turned : bool
        They have to.
    probability : float
        That this is right, 0.5 to 1.
    reason : str
        Why it is not sure; empty where it is.
    """

    turned: bool
    probability: float
    reason: str = ""

    @property
    def sure(self) -> bool:
        """Right more often than in 95 of 100 cases."""
        return self.probability > _SURE


def find_polarity(waves: FieldWaves, rotation_deg: float, flip: bool) -> Polarity:
    """Tell which of two opposite turns is the right one.

    Atom columns attract electrons, so the field of the centres of mass points towards the columns of a
    thin specimen and its divergence is negative there. In a thick one the electrons swing through the
    columns: the sign at one column is chance, but the whole repeating pattern keeps a shape. Its waves
    are compared with those of simulated perovskites on [001] by a linear discriminant, in which the
    noise of the scan is added to the spread of the simulated specimens.

    Parameters
    ----------
    waves : FieldWaves
    rotation_deg, flip
        As `find_rotation` found them.
    """
    if not waves.index.any():
        return Polarity(turned=False, probability=0.5, reason="the lattice is not resolved")
    values, variances = divergence_at_orbits(waves, rotation_deg, flip)
    used = np.isfinite(values)
    if used.sum() < 3:
        return Polarity(turned=False, probability=0.5, reason="the scan steps are too wide for the lattice waves")
    spread = _COVARIANCE[np.ix_(used, used)] + np.diag(variances[used])
    odds = 2 * float(_MEAN[used] @ np.linalg.solve(spread, values[used]))
    probability = float(1 / (1 + np.exp(-abs(odds))))
    reason = "" if probability > _SURE else f"{100 * probability:.0f} % for one side"
    return Polarity(turned=odds < 0, probability=probability, reason=reason)


def divergence_at_orbits(
    waves: FieldWaves, rotation_deg: float, flip: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the divergence at equivalent lattice waves, counted from the darkest place of the cell.

    Parameters
    ----------
    waves : FieldWaves
        With a lattice.
    rotation_deg, flip
        Turn of the field.

    Returns
    -------
    values : ndarray of float64, shape (7,)
        Real parts, relative to the root of the power of all waves up to the third order; NaN where a
        wave is too short for the scan.
    variances : ndarray of float64, shape (7,)
        Of the same, from noise.
    """
    size = np.abs(waves.index).max(axis=1)
    low = size <= _HIGHEST
    across = divergence(waves, rotation_deg, flip)
    power = float((np.abs(across[low]) ** 2).sum() - waves.noise * low.sum())
    corner = [int(np.flatnonzero((waves.index == first).all(axis=1))[0]) for first in ((1, 0), (0, 1))]
    phase = waves.index @ (np.pi - np.angle(waves.image[corner]))
    real = (across * np.exp(1j * phase)).real
    kinds = np.sort(np.abs(waves.index), axis=1)[:, ::-1]
    members = [np.flatnonzero((kinds == orbit).all(axis=1)) for orbit in _ORBITS]
    complete = [len(found) == (4 if 0 < k < h else 2) for found, (h, k) in zip(members, _ORBITS, strict=True)]
    values = [real[found].mean() if whole else np.nan for found, whole in zip(members, complete, strict=True)]
    counts = np.array([max(len(found), 1) for found in members])
    root = np.sqrt(max(power, 1e-300))
    return np.array(values) / root, waves.noise / (2 * counts * root**2)
