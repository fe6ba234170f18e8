"""Perovskite crystals: what sits where in the pseudo-cubic cell, and how it moves with the polarization.

Coordinates are ``(row, column, depth)``; the beam runs along depth. The built lattice
is cubic: the strain that goes with a polarization is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.directions import N_DIRECTIONS, VECTORS_YX, Direction

POTASSIUM, SODIUM, NIOBIUM, OXYGEN = 19, 11, 41, 8

A_SITE: Final = (0.0, 0.0, 0.0)
B_SITE: Final = (0.5, 0.5, 0.5)
ANION_SITES: Final = ((0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0))
"""Anion sites by the axis (row, column, depth) of their bond to the B site."""

POLAR_AXES: Final = {"100": 1, "110": 2, "111": 3}
"""Families of directions in which P may lie, and the number of cell axes each has a share of."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """One place of the pseudo-cubic cell.

    Attributes
    ----------
    position : tuple of 3 floats
        In units of the lattice parameter, without polarization.
    elements : tuple of int
        Atomic numbers that may sit here.
    occupation : tuple of float
        Probability of each; what is missing to 1 stays empty.
    rms_A : float
        Thermal root-mean-square displacement per axis [A].
    shift_A : float
        Displacement along P, per unit of P [A]; for an anion, where its bond is normal to P.
    bond_axis : int, optional
        Anions: axis of the bond to the B site.
    bond_shift_A, angled_shift_A : float
        Anions whose bond is as nearly along P as the family allows: displacement along
        the bond per unit of P along it, and across the bond per unit of P across it [A].
    """

    position: tuple[float, float, float]
    elements: tuple[int, ...]
    occupation: tuple[float, ...] = (1.0,)
    rms_A: float = 0.0
    shift_A: float = 0.0
    bond_axis: int | None = None
    bond_shift_A: float = 0.0
    angled_shift_A: float = 0.0

    def displacement_A(self, vector: NDArray[np.float64], shares: int) -> NDArray[np.float64]:
        """Return the displacement under each P of `vector`, shape (n, 3).

        Parameters
        ----------
        vector : ndarray, shape (n, 3)
            P in units of its nominal value.
        shares : int
            Number of cell axes that P of the family has a share of.
        """
        if self.bond_axis is None:
            return self.shift_A * vector
        axis = slice(self.bond_axis, self.bond_axis + 1)
        amplitude = np.linalg.norm(vector, axis=1, keepdims=True)
        unit = np.divide(vector, amplitude, out=np.zeros_like(vector), where=amplitude > 0)
        # 0 for a bond normal to P, 1 for a bond as nearly along it as the family allows.
        share = shares * unit[:, axis] ** 2
        shift = (self.shift_A * (1 - share) + self.angled_shift_A * share) * vector
        shift[:, axis] = (self.shift_A * (1 - share) + self.bond_shift_A * share) * vector[:, axis]
        return np.asarray(shift, dtype=np.float64)

    def draw_elements(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return who sits on each of `n` such sites; 0 where the site is empty. One element alone draws nothing."""
        full = sum(self.occupation) > 1 - 1e-6
        if full and len(self.elements) == 1:
            return np.full(n, self.elements[0])
        which = np.searchsorted(np.cumsum(self.occupation), rng.random(n), side="right")
        numbers = np.array([*self.elements, self.elements[-1] if full else 0])
        return np.asarray(numbers[which], dtype=np.int64)


@dataclass(frozen=True, kw_only=True)
class Crystal:
    """A perovskite: its sites, and the family of directions in which it is polarized.

    Attributes
    ----------
    name : str
        Formula.
    lattice_A : float
        Pseudo-cubic lattice parameter [A].
    polar_axis : str
        ``100``, ``110`` or ``111``.
    sites : tuple of Site
        A, B and the three anions.
    edges : tuple of 3 floats
        Edges of the cell ``(row, column, depth)`` in lattice parameters.
    layers : int
        Slices through the depth of a cell; for perovskites even, so that no atom lies between two.
    directions : str
        ``axis``, ``diagonal`` or ``all``: classes that specimens are made of.
    cif : str
        Text of the CIF file it came from, if it did.
    cif_sha256 : str
    """

    name: str
    lattice_A: float
    polar_axis: str
    sites: tuple[Site, ...]
    edges: tuple[float, float, float] = (1.0, 1.0, 1.0)
    layers: int = 2
    directions: str = "all"
    cif: str = ""
    cif_sha256: str = ""
    zone_axis: str = "[001]pc"

    @property
    def families(self) -> tuple[Direction, ...]:
        """One class of each family of directions: RM for the axis-like, RU for the diagonal ones.

        P along <100> and in the plane is axis-like; along <111> it is seen as diagonal;
        along <110> it is either.
        """
        seen = {"100": (Direction.RM,), "110": (Direction.RM, Direction.RU), "111": (Direction.RU,)}[self.polar_axis]
        wanted = {"axis": (Direction.RM,), "diagonal": (Direction.RU,), "all": seen}[self.directions]
        return tuple(direction for direction in seen if direction in wanted)

    @property
    def edges_A(self) -> NDArray[np.float64]:
        """Edges of the cell ``(row, column, depth)`` [A]."""
        return np.asarray(self.lattice_A * np.array(self.edges), dtype=np.float64)

    @property
    def facts(self) -> dict[str, Any]:
        """What was made of the file, for the manifest."""
        return {
            "zone_axis": self.zone_axis,
            "edges_A": self.edges_A.round(4).tolist(),
            "classes": [direction.name for direction in self.families],
        }

    def box_A(self, cells: int) -> float:
        """Return the edge of the square box that patterns are simulated in, `cells` cells wide."""
        return cells * self.lattice_A

    @property
    def b_elements(self) -> tuple[int, ...]:
        """Atomic numbers of the B site."""
        return next(site.elements for site in self.sites if site.position == B_SITE)

    def axis(self, direction: int, *, depth_sign: int = 1) -> NDArray[np.float64]:
        """Return the unit vector ``(row, column, depth)`` of P for one of the eight classes.

        Raises
        ------
        ValueError
            If the crystal is not polarized in that direction.
        """
        if self.polar_axis != "110" and direction % 2 != self.families[0] % 2:
            shown = ", ".join(d.name for d in Direction if d % 2 == self.families[0] % 2)
            raise ValueError(f"{Direction(direction).name} is not a direction of P along <{self.polar_axis}>: {shown}")
        return polarization_axis(direction, depth_sign=depth_sign, family=self.polar_axis)

    def changed(
        self,
        *,
        lattice_A: float | None = None,
        fraction: Mapping[str, float] | None = None,
        rms_A: Mapping[str, float] | None = None,
        shift_A: Mapping[str, float] | None = None,
        bond_shift_A: Mapping[str, float] | None = None,
        angled_shift_A: Mapping[str, float] | None = None,
    ) -> Crystal:
        """Return the crystal with other numbers, each mapping by the symbol of an element.

        `fraction` is the occupation of that element; the others of its site share the rest.
        """
        sites = self.sites
        for symbol, value in (fraction or {}).items():
            sites = tuple(_with_fraction(s, atomic_number(symbol), value) for s in sites)
        given = {"rms_A": rms_A, "shift_A": shift_A, "bond_shift_A": bond_shift_A, "angled_shift_A": angled_shift_A}
        for name, table in given.items():
            for symbol, value in (table or {}).items():
                number = atomic_number(symbol)
                change: dict[str, float] = {name: value}
                sites = tuple(replace(s, **change) if number in s.elements else s for s in sites)  # type: ignore[arg-type]
        return replace(self, sites=sites, lattice_A=self.lattice_A if lattice_A is None else lattice_A)


def _with_fraction(site: Site, number: int, value: float) -> Site:
    if number not in site.elements:
        return site
    others = sum(share for element, share in zip(site.elements, site.occupation, strict=True) if element != number)
    rest = (1 - value) / others if others > 0 else 0.0
    pairs = zip(site.elements, site.occupation, strict=True)
    return replace(site, occupation=tuple(value if element == number else rest * share for element, share in pairs))


def atomic_number(symbol: str) -> int:
    """Return the atomic number of an element.

    Raises
    ------
    KeyError
        If there is no such element.
    """
    from ase.data import atomic_numbers

    return int(atomic_numbers[symbol])


def chemical_symbol(number: int) -> str:
    """Return the symbol of an element."""
    from ase.data import chemical_symbols

    return str(chemical_symbols[number])


def polarization_axis(direction: int, *, depth_sign: int = 1, family: str = "110") -> NDArray[np.float64]:
    """Return the unit vector ``(row, column, depth)`` of P for one of the eight classes.

    For P along <110>, odd classes lie in the plane and even classes along <101>, of which
    the in-plane part is seen and `depth_sign` sets the invisible one. For <100>, even
    classes lie in the plane; for <111>, odd classes are seen.
    """
    if not 0 <= direction < N_DIRECTIONS:
        raise ValueError(f"direction {direction} is not a class; use 0 to {N_DIRECTIONS - 1}")
    row, column = VECTORS_YX[direction]
    in_plane = 2 if direction % 2 else 1
    if in_plane >= POLAR_AXES[family]:
        return np.array([row, column, 0.0])
    if family == "110":
        return np.array([row, column, float(depth_sign)]) * float(np.sqrt(0.5))
    return np.array([row * np.sqrt(2), column * np.sqrt(2), float(depth_sign)]) / float(np.sqrt(3))


def niobate(
    *,
    lattice_A: float = 3.98,
    sodium_fraction: float = 0.5,
    niobium_shift_A: float = 0.10,
    oxygen_shift_A: float = -0.10,
    oxygen_normal_shift_A: float = -0.02,
    rms_potassium_A: float = 0.11,
    rms_niobium_A: float = 0.075,
    rms_oxygen_A: float = 0.09,
) -> Crystal:
    """Return the built-in crystal, (K,Na)NbO3 polarized along <110>.

    Parameters
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
    a_site = Site(
        position=A_SITE,
        elements=(SODIUM, POTASSIUM),
        occupation=(sodium_fraction, 1 - sodium_fraction),
        rms_A=rms_potassium_A,
    )
    b_site = Site(position=B_SITE, elements=(NIOBIUM,), rms_A=rms_niobium_A, shift_A=niobium_shift_A)
    oxygen = [
        Site(
            position=position,
            elements=(OXYGEN,),
            rms_A=rms_oxygen_A,
            shift_A=oxygen_normal_shift_A,
            bond_axis=axis,
            bond_shift_A=oxygen_shift_A,
            angled_shift_A=oxygen_shift_A,
        )
        for axis, position in enumerate(ANION_SITES)
    ]
    return Crystal(name="(K,Na)NbO3", lattice_A=lattice_A, polar_axis="110", sites=(a_site, b_site, *oxygen))
