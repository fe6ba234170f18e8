"""Model of the specimen: a perovskite niobate with a chosen polarization in every column.

Coordinates are ``(row, column, depth)`` in angstrom; the beam runs along depth.
The displacement amplitudes follow the proportions of KNbO3; they and the thermal
displacements are parameters, see `NiobateModel`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.directions import N_DIRECTIONS, VECTORS_YX

POTASSIUM, SODIUM, NIOBIUM, OXYGEN = 19, 11, 41, 8

_A_SITE = (0.0, 0.0, 0.0)
_B_SITE = (0.5, 0.5, 0.5)
# Oxygen sites by the axis (row, column, depth) of their Nb-O bond.
_OXYGEN_SITES = ((0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0))


@dataclass(frozen=True, kw_only=True)
class NiobateModel:
    """Pseudo-cubic cell of (K,Na)NbO3.

    Attributes
    ----------
    lattice_A : float
        Pseudo-cubic lattice parameter [A].
    sodium_fraction : float
        Probability that an A site holds sodium rather than potassium.
    niobium_shift_A : float
        Displacement of Nb along P against the A site [A].
    oxygen_shift_A : float
        Displacement along P of oxygen whose Nb-O bond is at 45 degrees to P [A].
    oxygen_normal_shift_A : float
        Displacement along P of oxygen whose Nb-O bond is normal to P [A].
    rms_potassium_A, rms_niobium_A, rms_oxygen_A : float
        Thermal root-mean-square displacement per axis [A]; sodium moves as potassium.

    Notes
    -----
    Proportions after the amplitude modes of orthorhombic Na0.5K0.5NbO3,
    J. Appl. Cryst. 48, 318 (2015), doi:10.1107/S1600576715000941.
    """

    lattice_A: float = 3.98
    sodium_fraction: float = 0.5
    niobium_shift_A: float = 0.10
    oxygen_shift_A: float = -0.10
    oxygen_normal_shift_A: float = -0.02
    rms_potassium_A: float = 0.11
    rms_niobium_A: float = 0.075
    rms_oxygen_A: float = 0.09


@dataclass(frozen=True)
class Structure:
    """Atoms in a box, sorted into the half-cell layers that the multislice steps through.

    Attributes
    ----------
    number : ndarray of int, shape (n,)
        Atomic numbers.
    position_A : ndarray of float, shape (n, 3)
        ``(row, column, depth)`` in angstrom.
    rms_A : ndarray of float, shape (n,)
        Thermal displacement per axis.
    layer : ndarray of int, shape (n,)
        Index of the slice that holds the atom.
    size_A : tuple of 3 floats
        Box; periodic across the beam.
    layer_A : float
        Thickness of one layer.
    """

    number: NDArray[np.int64]
    position_A: NDArray[np.float64]
    rms_A: NDArray[np.float64]
    layer: NDArray[np.int64]
    size_A: tuple[float, float, float]
    layer_A: float

    @property
    def n_layers(self) -> int:
        """Number of layers through the depth."""
        return round(self.size_A[2] / self.layer_A)

    def keep(self, mask: NDArray[np.bool_]) -> Structure:
        """Return the structure with only the atoms where `mask` is true."""
        return replace(
            self,
            number=self.number[mask],
            position_A=self.position_A[mask],
            rms_A=self.rms_A[mask],
            layer=self.layer[mask],
        )

    def window(self, centre_A: tuple[float, float], size_A: float) -> Structure:
        """Return a square window across the beam as a periodic box of its own.

        Parameters
        ----------
        centre_A : (float, float)
            Middle of the window, ``(row, column)``.
        size_A : float
            Edge of the window; whole unit cells keep the seam harmless.
        """
        corner = np.asarray(centre_A) - size_A / 2
        period = np.asarray(self.size_A[:2])
        local = (self.position_A[:, :2] - corner) % period
        inside = (local < size_A).all(axis=1)
        kept = self.keep(inside)
        position = np.column_stack([local[inside], kept.position_A[:, 2]])
        return replace(kept, position_A=position, size_A=(size_A, size_A, self.size_A[2]))


def polarization_axis(direction: int, *, depth_sign: int = 1) -> NDArray[np.float64]:
    """Return the unit vector ``(row, column, depth)`` of P for one of the eight classes.

    Odd classes lie along an in-plane <110>, even classes along <101>, of which the
    in-plane part is seen and `depth_sign` sets the invisible one.
    """
    if not 0 <= direction < N_DIRECTIONS:
        raise ValueError(f"direction {direction} is not a class; use 0 to {N_DIRECTIONS - 1}")
    row, column = VECTORS_YX[direction]
    if direction % 2:
        return np.array([row, column, 0.0])
    return np.array([row, column, float(depth_sign)]) * float(np.sqrt(0.5))


def build_niobate(
    polarization: NDArray[np.float64],
    *,
    thickness_nm: float,
    rng: np.random.Generator,
    model: NiobateModel | None = None,
) -> Structure:
    """Build a slab whose unit-cell columns are displaced along `polarization`.

    Parameters
    ----------
    polarization : ndarray, shape (rows, columns, 3)
        P of each cell column, ``(row, column, depth)``, in units of the nominal
        amplitude; zero for an unpolarised cell.
    thickness_nm : float
        The slab is the nearest whole number of cells thick.
    rng : numpy Generator
        Draws the occupation of the A sites.
    model : NiobateModel, optional
        Cell parameters.

    Returns
    -------
    Structure
    """
    model = model or NiobateModel()
    a = model.lattice_A
    rows, columns = polarization.shape[:2]
    depth = max(1, round(10 * thickness_nm / a))
    axes = map(np.arange, (rows, columns, depth))
    origin = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    vector = np.repeat(polarization.reshape(-1, 3), depth, axis=0)
    amplitude = np.linalg.norm(vector, axis=1, keepdims=True)
    unit = np.divide(vector, amplitude, out=np.zeros_like(vector), where=amplitude > 0)

    number, position, rms, layer = [], [], [], []

    def add(
        site: tuple[float, float, float], atom: NDArray[np.int64], shift: NDArray[np.float64], width: float
    ) -> None:
        number.append(atom)
        position.append((origin + np.asarray(site)) * a + shift)
        rms.append(np.full(len(origin), width))
        layer.append(2 * origin[:, 2] + (1 if site[2] else 0))

    n = len(origin)
    a_site = np.where(rng.random(n) < model.sodium_fraction, SODIUM, POTASSIUM)
    add(_A_SITE, a_site, np.zeros((n, 3)), model.rms_potassium_A)
    add(_B_SITE, np.full(n, NIOBIUM), model.niobium_shift_A * vector, model.rms_niobium_A)
    for axis, site in enumerate(_OXYGEN_SITES):
        # 0 for a bond normal to P, 1 for a bond at 45 degrees to it.
        share = 2 * unit[:, axis : axis + 1] ** 2
        shift = model.oxygen_normal_shift_A * (1 - share) + model.oxygen_shift_A * share
        add(site, np.full(n, OXYGEN), shift * vector, model.rms_oxygen_A)
    return Structure(
        number=np.concatenate(number),
        position_A=np.concatenate(position),
        rms_A=np.concatenate(rms),
        layer=np.concatenate(layer),
        size_A=(rows * a, columns * a, depth * a),
        layer_A=a / 2,
    )
