"""Crystals of any structure: a cell with right angles seen along the beam, and the variants it forms domains of.

The cell keeps the edges of the file. One domain holds it as the file has it, the others
hold it turned by quarter turns about the beam, on the columns of its heaviest element;
a cell that is not square does not fit its turned neighbour, and the wall between them
is a cut.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.directions import Direction
from napari_polarmap.simulation.crystal import Crystal, Site
from napari_polarmap.simulation.structure import Structure, build_structure

Field = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Places of shape (..., 2) to P ``(row, column, depth)``, shape (..., 3)."""

SEAM_A = 8.0
"""Probes keep this far from the edge of a box that the cells do not fill."""


@dataclass(frozen=True, kw_only=True)
class Block(Crystal):
    """A cell of any structure, with P in one of the two families of directions.

    Attributes
    ----------
    base : int
        Class of the cell as it is: RM or RU.
    unit : tuple of 3 floats
        P of the cell as it is ``(row, column, depth)``, of length one.
    moves_A : tuple of tuples of 3 floats
        Displacement of each site at the nominal P, besides its `shift_A` along P.
    slots : tuple of (int, float)
        For each site, the group of sites of which only one is taken, and where in the
        group's probabilities, 0 to 1, its own begin.
    repeats : (int, int)
        Cells in a box, rows and columns.
    bond_A : float
        Atoms nearer than this, where the crystal is cut, are thinned out.
    strain : float
        Largest strain that gave the cell its right angles.
    parent_cif : str
        Text of the CIF file of the structure without polarization, if there was one.
    """

    base: int
    unit: tuple[float, float, float]
    moves_A: tuple[tuple[float, float, float], ...]
    slots: tuple[tuple[int, float], ...]
    repeats: tuple[int, int]
    bond_A: float
    strain: float = 0.0
    parent_cif: str = ""

    @property
    def families(self) -> tuple[Direction, ...]:
        """The one family of the file, unless the configuration leaves it out."""
        wanted = {"axis": 0, "diagonal": 1}.get(self.directions, self.base % 2)
        return (Direction(self.base),) if wanted == self.base % 2 else ()

    @property
    def b_elements(self) -> tuple[int, ...]:
        """The heaviest element, whose columns a vacancy takes."""
        return (max(number for site in self.sites for number in site.elements),)

    def axis(self, direction: int, *, depth_sign: int = 1) -> NDArray[np.float64]:
        """Return the unit vector ``(row, column, depth)`` of P for one of the classes of the family.

        Raises
        ------
        ValueError
            If the class is of the other family.
        """
        turns, odd = divmod((direction - self.base) % 8, 2)
        if odd:
            shown = ", ".join(d.name for d in Direction if d % 2 == self.base % 2)
            raise ValueError(f"{Direction(direction).name} is not a direction of {self.name} so oriented: {shown}")
        turned = _quarter(turns) @ np.array(self.unit)
        return np.asarray(turned * (1, 1, depth_sign), dtype=np.float64)

    def box_A(self, cells: int) -> float:
        """Return the edge of the square box that patterns are simulated in."""
        return float(max(self.repeats * self.edges_A[:2]))

    @property
    def facts(self) -> dict[str, Any]:
        """What was made of the file, for the manifest."""
        box = np.array(self.repeats) * self.edges_A[:2]
        largest = np.linalg.norm(self.moves_A, axis=1).max()
        return {
            **super().facts,
            "p_out_of_plane_deg": round(float(np.degrees(np.arcsin(np.clip(self.unit[2], -1, 1)))), 2),
            "largest_displacement_A": round(float(largest), 4),
            "strain": round(self.strain, 5),
            "cells_in_box": list(self.repeats),
            "misfit": round(float(1 - box.min() / box.max()), 4),
            "parent_cif": self.parent_cif,
        }

    def spread(self, cells: int) -> NDArray[np.int64]:
        """Return over how many cells, rows and columns, probes may spread: at most `cells`, away from a seam."""
        box, edges = self.box_A(cells), self.edges_A[:2]
        whole = np.array(self.repeats)
        inside = np.where(box - whole * edges < 0.1 * self.bond_A, whole, (box - 2 * SEAM_A) // edges)
        return np.asarray(np.clip(np.minimum(inside, cells), 1, whole), dtype=np.int64)


def build_block(
    block: Block,
    polarization: Field,
    *,
    size_A: NDArray[np.float64],
    thickness_nm: float,
    rng: np.random.Generator,
) -> Structure:
    """Build a slab in which every place holds the variant that is nearest to its P.

    Parameters
    ----------
    block : Block
    polarization : callable
        P as a function of place; its share along the variant's own P scales the displacements.
    size_A : ndarray, shape (2,)
        Extent across the beam, rows and columns; periodic if it holds whole cells of one variant.
    thickness_nm : float
        The slab is as many cells thick as it takes.
    rng : numpy Generator
        Draws who sits on the mixed sites.
    """
    depth = max(1, int(np.ceil(10 * thickness_nm / block.edges_A[2] - 1e-6)))
    ways = [(turns, sign) for turns in range(4) for sign in ((1, -1) if abs(block.unit[2]) > 0.01 else (1,))]
    axes = np.array([block.axis((block.base + 2 * turns) % 8, depth_sign=sign) for turns, sign in ways])
    parts = []
    for index, way in enumerate(ways):
        cells = _covering(block, way[0], size_A)
        lateral = [(cells + site.position[:2]) * block.edges_A[:2] @ _quarter(way[0])[:2, :2].T for site in block.sites]
        chosen, along = [], []
        for place in lateral:
            vector = polarization(place) @ axes.T
            inside = ((place > -1e-6) & (place < size_A - 1e-6)).all(axis=-1)
            chosen.append(np.flatnonzero(inside & (vector.argmax(axis=-1) == index)))
            along.append(vector[:, index])
        parts.append(_occupied(block, way, lateral, chosen, along, depth, rng))
    number, position, rms, layer = (np.concatenate([part[k] for part in parts]) for k in range(4))
    structure = Structure(
        number=number,
        position_A=position,
        rms_A=rms,
        layer=layer,
        size_A=(float(size_A[0]), float(size_A[1]), float(depth * block.edges_A[2])),
        layer_A=float(block.edges_A[2]) / block.layers,
    )
    structure = structure.keep(number > 0)
    return structure if sum(len(part[0]) > 0 for part in parts) == 1 else thinned(structure, block.bond_A)


def build_slab(
    crystal: Crystal,
    polarization: Field,
    *,
    size_A: NDArray[np.float64],
    thickness_nm: float,
    rng: np.random.Generator,
) -> Structure:
    """Build a slab of a perovskite, cell by cell, or of any other crystal; see `build_structure` and `build_block`."""
    if isinstance(crystal, Block):
        return build_block(crystal, polarization, size_A=size_A, thickness_nm=thickness_nm, rng=rng)
    cells = np.round(size_A / crystal.lattice_A).astype(int)
    corner = np.stack(np.meshgrid(*map(np.arange, cells), indexing="ij"), axis=-1).astype(np.float64)
    middle = (corner + 0.5) * crystal.lattice_A
    return build_structure(crystal, polarization(middle), thickness_nm=thickness_nm, rng=rng)


def in_box(structure: Structure, size_A: float) -> Structure:
    """Return the structure in the middle of a square box of edge `size_A`, with a gap where it is shorter."""
    aside = (size_A - np.array(structure.size_A[:2])) / 2
    position = structure.position_A + np.array([*aside, 0.0])
    return replace(structure, position_A=position, size_A=(size_A, size_A, structure.size_A[2]))


def thinned(structure: Structure, least_A: float, *, across_edge: bool = False) -> Structure:
    """Take away the lighter of any two atoms nearer than `least_A`; periodic across the beam.

    With `across_edge` only of two that are near through the edge of the box.
    """
    from scipy.spatial import cKDTree

    heavy_first = np.argsort(-structure.number, kind="stable")
    place = structure.position_A[heavy_first]
    place[:, :2] %= structure.size_A[:2]
    place[:, 2] -= place[:, 2].min()
    tree = cKDTree(place, boxsize=(*structure.size_A[:2], 0.0))
    near = tree.query_pairs(least_A, output_type="ndarray")
    if across_edge:
        near = near[np.linalg.norm(place[near[:, 0]] - place[near[:, 1]], axis=1) > least_A]
    mask = np.ones(len(place), bool)
    mask[heavy_first[near.max(axis=1)]] = False
    return structure.keep(mask)


def _quarter(turns: int) -> NDArray[np.float64]:
    """Return the matrix that turns ``(row, column, depth)`` by quarter turns, counter-clockwise on the screen."""
    return np.linalg.matrix_power(np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), turns)


def _covering(block: Block, turns: int, size_A: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the corners, in cells of the turned lattice, of all cells that reach into the area."""
    corners = np.array([(row, column) for row in (0.0, size_A[0]) for column in (0.0, size_A[1])])
    inside = corners @ _quarter(turns)[:2, :2] / block.edges_A[:2]
    low, high = np.floor(inside.min(axis=0) - 1e-6) - 1, np.ceil(inside.max(axis=0) + 1e-6)
    grid = np.meshgrid(*[np.arange(a, b) for a, b in zip(low, high, strict=True)], indexing="ij")
    return np.stack(grid, axis=-1).reshape(-1, 2)


def _occupied(
    block: Block,
    way: tuple[int, int],
    lateral: list[NDArray[np.float64]],
    chosen: list[NDArray[np.int64]],
    along: list[NDArray[np.float64]],
    depth: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return numbers, positions, thermal displacements and layers of the atoms of one variant."""
    turns, sign = way
    edge, levels = block.edges_A[2], np.arange(depth)
    drawn: dict[int, NDArray[np.float64]] = {}
    number, position, rms, layer = [], [], [], []
    for site, move, (group, start), place, which, share in zip(
        block.sites, block.moves_A, block.slots, lateral, chosen, along, strict=True
    ):
        if not _alone(site) and group not in drawn:
            drawn[group] = rng.random((len(place), depth))
        n = (len(which), depth)
        shift = (np.array(move) + site.shift_A * np.array(block.unit)) * (1, 1, sign) @ _quarter(turns).T
        height = (sign * site.position[2]) % 1.0
        level = levels + height
        ideal = np.concatenate([np.repeat(place[which], depth, axis=0), np.tile(level * edge, n[0])[:, None]], axis=1)
        number.append(
            (np.full(n, site.elements[0]) if _alone(site) else _drawn(site, start, drawn[group][which])).ravel()
        )
        position.append(ideal + np.repeat(share[which], depth)[:, None] * shift)
        rms.append(np.full(n, site.rms_A).ravel())
        layer.append(np.tile(np.round(level * block.layers).astype(np.int64) % (depth * block.layers), n[0]))
    return np.concatenate(number), np.concatenate(position), np.concatenate(rms), np.concatenate(layer)


def _alone(site: Site) -> bool:
    return len(site.elements) == 1 and site.occupation[0] > 1 - 1e-6


def _drawn(site: Site, start: float, chance: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return who sits on a site; 0 where `chance` falls outside its own part of the probabilities."""
    ends = start + np.cumsum(site.occupation)
    which = np.searchsorted(ends + 1e-9, chance, side="right")
    numbers = np.array([*site.elements, 0])[which]
    return np.asarray(np.where(chance < start - 1e-9, 0, numbers), dtype=np.int64)
