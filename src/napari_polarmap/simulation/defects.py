"""Crystal defects of a scene, each with the mask of the probe positions that meet it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.simulation.structure import Structure

_POISSON_RATIO: Final = 0.27
_AMORPHOUS_SHIFT_A: Final = 0.6


@dataclass(frozen=True, kw_only=True)
class Defect:
    """Where a defect lies and how large it is.

    Attributes
    ----------
    centre_A : ndarray, shape (2,)
        ``(row, column)`` in the frame of the structure.
    radius_A : float
        Radius of a spot, or half the width of a band, that counts as the defect.
    lattice_A : float
    b_elements : tuple of int
        Atomic numbers of the B site.
    step_A : float
        Depth that is left beyond a surface step.
    """

    centre_A: NDArray[np.float64]
    radius_A: float
    lattice_A: float
    b_elements: tuple[int, ...]
    step_A: float = 0.0


def add_defect(
    structure: Structure, positions_A: NDArray[np.float64], kind: str, defect: Defect, rng: np.random.Generator
) -> tuple[Structure, NDArray[np.bool_]]:
    """Return the structure with a defect, and its mask over the probe positions.

    Parameters
    ----------
    structure : Structure
    positions_A : ndarray, shape (scan_y, scan_x, 2)
    kind : str
        ``none`` or a key of `DEFECTS`.
    defect : Defect
    rng : numpy Generator
    """
    if kind == "none":
        return structure, np.zeros(positions_A.shape[:-1], bool)
    change, planar = DEFECTS[kind]
    if planar:
        defect = replace(defect, centre_A=_between_planes(defect))
    away = positions_A - defect.centre_A
    distance = np.abs(away[..., 1]) if planar else np.linalg.norm(away, axis=-1)
    return change(structure, defect, rng), distance <= defect.radius_A


def vacancy_column(structure: Structure, defect: Defect, _rng: np.random.Generator) -> Structure:
    """Take away the columns of the B site within the radius."""
    return structure.keep(
        ~np.isin(structure.number, defect.b_elements) | (_lateral(structure, defect) > defect.radius_A)
    )


def amorphous_patch(structure: Structure, defect: Defect, rng: np.random.Generator) -> Structure:
    """Displace the atoms within the radius at random, 0.6 A along each axis across the beam."""
    inside = _lateral(structure, defect) <= defect.radius_A
    position = structure.position_A.copy()
    position[inside, :2] += rng.normal(scale=_AMORPHOUS_SHIFT_A, size=(int(inside.sum()), 2))
    return replace(structure, position_A=position)


def antiphase_fault(structure: Structure, defect: Defect, _rng: np.random.Generator) -> Structure:
    """Shift the crystal right of the centre by half a cell along the rows and in depth."""
    beyond = structure.position_A[:, 1] > defect.centre_A[1]
    return _shifted(structure, beyond, defect.lattice_A, (0.5, 0.0))


def ruddlesden_popper_fault(structure: Structure, defect: Defect, _rng: np.random.Generator) -> Structure:
    """Insert one more AO layer, rock-salt fashion, in a plane along the rows.

    The crystal ends with the AO plane nearest to the centre; right of it follows an AO
    plane shifted by half a cell along the rows and in depth, half a cell away.
    """
    a = defect.lattice_A
    plane = defect.centre_A[1] - a / 4
    column = structure.position_A[:, 1]
    doubled, n = structure.keep(np.abs(column - plane) < a / 4), len(column)
    both = replace(
        structure,
        number=np.concatenate([structure.number, doubled.number]),
        position_A=np.concatenate([structure.position_A, doubled.position_A]),
        rms_A=np.concatenate([structure.rms_A, doubled.rms_A]),
        layer=np.concatenate([structure.layer, doubled.layer]),
    )
    beyond = np.arange(len(both.number)) >= n
    beyond[:n] = column > defect.centre_A[1]
    return _shifted(both, beyond, a, (0.5, 0.5))


def edge_dislocation(structure: Structure, defect: Defect, _rng: np.random.Generator) -> Structure:
    """Displace all atoms by the field of an edge dislocation along the beam.

    Isotropic elasticity (Hirth and Lothe, Theory of Dislocations, section 3.4) with a
    Burgers vector of one lattice parameter along the columns; the two sides of the cut
    are shifted by a lattice vector and fit.
    """
    away = structure.position_A[:, :2] - defect.centre_A
    x, y = away[:, 1], -away[:, 0]
    r2 = np.maximum(x**2 + y**2, (defect.lattice_A / 4) ** 2)
    nu, b = _POISSON_RATIO, defect.lattice_A
    along = b / (2 * np.pi) * (np.arctan2(y, x) + x * y / (2 * (1 - nu) * r2))
    spread = (1 - 2 * nu) * np.log(r2 / b**2) + (x**2 - y**2) / r2
    across = -b / (8 * np.pi * (1 - nu)) * spread
    position = structure.position_A.copy()
    position[:, 1] += along
    position[:, 0] -= across
    return replace(structure, position_A=position)


def surface_step(structure: Structure, defect: Defect, _rng: np.random.Generator) -> Structure:
    """Take away what lies deeper than `step_A`, right of the centre."""
    thinner = structure.position_A[:, 1] > defect.centre_A[1]
    return structure.keep(~thinner | (structure.position_A[:, 2] < defect.step_A))


Change = Callable[[Structure, Defect, np.random.Generator], Structure]

DEFECTS: Final[dict[str, tuple[Change, bool]]] = {
    "vacancy_column": (vacancy_column, False),
    "amorphous_patch": (amorphous_patch, False),
    "antiphase_fault": (antiphase_fault, True),
    "ruddlesden_popper": (ruddlesden_popper_fault, True),
    "edge_dislocation": (edge_dislocation, False),
    "surface_step": (surface_step, True),
}
"""What each defect does to the structure, and whether it is a plane along the rows rather than a spot."""

PEROVSKITE_DEFECTS: Final = ("antiphase_fault", "ruddlesden_popper")
"""Defects that shift by half a pseudo-cubic cell."""


def _between_planes(defect: Defect) -> NDArray[np.float64]:
    """Move the centre along the columns to the nearest place between an AO plane and the BO2 plane after it."""
    row, column = defect.centre_A
    a = defect.lattice_A
    return np.array([row, (np.round(column / a - 0.25) + 0.25) * a])


def _lateral(structure: Structure, defect: Defect) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(structure.position_A[:, :2] - defect.centre_A, axis=1), dtype=np.float64)


def _shifted(structure: Structure, which: NDArray[np.bool_], lattice_A: float, shift: tuple[float, float]) -> Structure:
    """Shift some atoms across the beam, in units of the lattice parameter, and by half a cell in depth."""
    position = structure.position_A.copy()
    position[which, :2] += np.array(shift) * lattice_A
    position[:, 0] %= structure.size_A[0]
    half = round(lattice_A / 2 / structure.layer_A)
    layer = np.where(which, (structure.layer + half) % structure.n_layers, structure.layer)
    return replace(structure, position_A=position, layer=layer)
