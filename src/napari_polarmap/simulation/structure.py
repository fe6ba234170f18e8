"""Slabs of a crystal with a chosen polarization in every column of cells.

Coordinates are ``(row, column, depth)`` in angstrom; the beam runs along depth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.simulation.crystal import POLAR_AXES, Crystal


@dataclass(frozen=True)
class Structure:
    """Atoms in a box, sorted into the layers that the multislice steps through.

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

    def resliced(self, layers: int) -> Structure:
        """Return the structure cut into `layers` slices, each atom in the slice whose middle is nearest."""
        step = self.size_A[2] / layers
        layer = np.round(self.position_A[:, 2] / step).astype(np.int64) % layers
        return replace(self, layer=layer, layer_A=step)

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


def build_structure(
    crystal: Crystal,
    polarization: NDArray[np.float64],
    *,
    thickness_nm: float,
    rng: np.random.Generator,
) -> Structure:
    """Build a slab whose unit-cell columns are displaced along `polarization`.

    Parameters
    ----------
    crystal : Crystal
    polarization : ndarray, shape (rows, columns, 3)
        P of each cell column, ``(row, column, depth)``, in units of the nominal
        amplitude; zero for an unpolarised cell.
    thickness_nm : float
        The slab is the nearest whole number of cells thick.
    rng : numpy Generator
        Draws who sits on the mixed sites.

    Returns
    -------
    Structure
    """
    a = crystal.lattice_A
    rows, columns = polarization.shape[:2]
    depth = max(1, round(10 * thickness_nm / a))
    axes = map(np.arange, (rows, columns, depth))
    origin = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    vector = np.repeat(polarization.reshape(-1, 3), depth, axis=0)
    sites = crystal.sites
    shares = POLAR_AXES.get(crystal.polar_axis, 1)
    positions = [(origin + np.asarray(site.position)) * a + site.displacement_A(vector, shares) for site in sites]
    structure = Structure(
        number=np.concatenate([site.draw_elements(len(origin), rng) for site in sites]),
        position_A=np.concatenate(positions),
        rms_A=np.repeat([site.rms_A for site in sites], len(origin)),
        layer=np.concatenate([crystal.layers * origin[:, 2] + round(crystal.layers * s.position[2]) for s in sites]),
        size_A=(rows * a, columns * a, depth * a),
        layer_A=a / crystal.layers,
    )
    return structure.keep(structure.number > 0)
