"""How the detector is turned against the scan, from the curl of the centres of mass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.field import FieldWaves

_SIGMAS: Final = 3.0


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """Turn and handedness of the detector against the scan.

    Attributes
    ----------
    rotation_deg : float
        As in `Calibration`, known up to 180 degrees; from -90 to 90.
    flip : bool
    error_deg : float
        Standard error, by leaving out one wave after the other.
    curl : float
        Share of the field's power that is curl at this angle; noise is taken away.
    other_curl : float
        The same for the other handedness, at its best angle.
    curl_noise : float
        Standard deviation of both, from noise.
    """

    rotation_deg: float
    flip: bool
    error_deg: float
    curl: float
    other_curl: float
    curl_noise: float

    @property
    def told(self) -> bool:
        """Whether the field has less curl at this angle than noise would have."""
        return 0.5 - self.curl > _SIGMAS * self.curl_noise

    @property
    def handed(self) -> bool:
        """Whether the other handedness is out of the question."""
        return self.other_curl - self.curl > _SIGMAS * self.curl_noise + 2 * max(self.curl, 0.0)


def find_rotation(waves: FieldWaves, flip: bool | None = None) -> Rotation:
    """Return turn and handedness that leave the least curl in the field of centres of mass.

    The deflection of the beam by the potential of a non-magnetic specimen is a gradient, which has
    no curl [1]_. Turning all vectors by 180 degrees changes nothing here, see `find_polarity`.

    Parameters
    ----------
    waves : FieldWaves
    flip : bool, optional
        The handedness, where it is known.

    Raises
    ------
    ValueError
        If there are no waves to look at.

    References
    ----------
    .. [1] B. Savitzky et al., Microsc. Microanal. 27, 712 (2021).
    """
    if len(waves.field) < 3 or not np.abs(waves.field).max() > 0:
        raise ValueError("the centres of mass do not change over the scan, so they have no curl to minimise")
    found = {kind: _least_curl(waves, kind) for kind in (False, True)}
    if flip is None:
        flip = bool(found[True][1][0] < found[False][1][0])
    angle, curl = found[flip]
    power = float((np.abs(waves.field) ** 2).sum() - 2 * waves.noise * len(waves.field))
    turned = (angle - angle[0] + 90) % 180 - 90
    return Rotation(
        rotation_deg=float(angle[0]),
        flip=flip,
        error_deg=_spread(turned),
        curl=float(curl[0]),
        other_curl=float(found[not flip][1][0]),
        curl_noise=waves.noise * len(waves.field) ** 0.5 / power if power > 0 else np.inf,
    )


def _spread(left_out: NDArray[np.float64]) -> float:
    """Return the standard error from the changes when one wave after the other is left out; the first is of all."""
    n = len(left_out) - 1
    return float(np.sqrt((n - 1) / n * (left_out[1:] ** 2).sum()))


def divergence(waves: FieldWaves, rotation_deg: float, flip: bool) -> NDArray[np.complex128]:
    """Return the divergence of the turned field at each wave."""
    along, across = _along_and_across(waves, flip)
    angle = np.deg2rad(rotation_deg)
    return np.asarray(np.cos(angle) * along + np.sin(angle) * across, dtype=np.complex128)


def _along_and_across(waves: FieldWaves, flip: bool) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Return divergence and curl of the field over the length of the wave vector, mirrored or not, before turning."""
    y, x = waves.field[:, 0] * (-1 if flip else 1), waves.field[:, 1]
    gy, gx = 1j * waves.frequency.T / np.linalg.norm(waves.frequency, axis=1)
    return gy * y + gx * x, gx * y - gy * x


def _least_curl(waves: FieldWaves, flip: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return angle (degrees) and share of curl from all waves, then without each one of them."""
    along, across = _along_and_across(waves, flip)
    # The curl of the field turned by an angle t is cos(t) across - sin(t) along.
    parts = np.stack(
        [np.abs(across) ** 2 - waves.noise, np.abs(along) ** 2 - waves.noise, (across * along.conj()).real]
    )
    total = parts.sum(axis=1, keepdims=True)
    across_power, along_power, mixed = np.concatenate([total, total - parts], axis=1)
    half = (along_power - across_power) / 2
    angle = np.rad2deg(0.5 * np.arctan2(mixed, half))
    return angle, 0.5 - np.hypot(half, mixed) / np.maximum(across_power + along_power, 1e-300)
