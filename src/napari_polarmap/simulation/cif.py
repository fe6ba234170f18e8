"""Perovskites from CIF files: one formula unit in the primitive cell, built cubic.

The polar structure is compared with the centrosymmetric parent whose A site it shares:
what each atom is away from there is its displacement. P4mm, Amm2 and R3m give P along
<100>, <110> and <111>; octahedral tilts double the cell and are refused.
"""

from __future__ import annotations

from itertools import combinations, permutations
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.config import ConfigError
from napari_polarmap.simulation.cif_file import CifFile, Kind, read_cif
from napari_polarmap.simulation.crystal import A_SITE, ANION_SITES, B_SITE, POLAR_AXES, Crystal, Site

_MAX_ATOMS: Final = 80
_TOLERANCE_A: Final = 0.02
_LATTICE_A: Final = (3.0, 8.0)
_STRAIN: Final = 0.12
_SKEW_DEG: Final = 4.0
_OFF_AXIS_DEG: Final = 3.0
_NO_POLARIZATION_A: Final = 0.01


def read_crystal(path: str | Path) -> Crystal:
    """Read a perovskite from a CIF file, with its displacements if it is polar.

    Parameters
    ----------
    path : path
        A file that ASE reads. Mixed sites are kept as probabilities.

    Returns
    -------
    Crystal
        Pseudo-cubic, of the file's volume per formula unit. Without polarization its
        `polar_axis` is empty and nothing is displaced. `rms_A` is NaN for elements
        whose thermal displacement the file does not state.

    Raises
    ------
    ConfigError
        Naming the file and what fits.
    """
    file = read_cif(path)
    try:
        if not 5 <= len(file.kinds) <= _MAX_ATOMS:
            raise ConfigError(f"its cell holds {len(file.kinds)} sites; a perovskite of 5 to {_MAX_ATOMS} fits")
        cell, fractional, kinds = _primitive(file)
        places = _assign(fractional, kinds, cell)
        sites, polar_axis = _displace(fractional, kinds, cell, places, file.rms_A)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    return Crystal(
        name=_formula(sites),
        lattice_A=round(float(abs(np.linalg.det(cell)) ** (1 / 3)), 4),
        polar_axis=polar_axis,
        sites=sites,
        layers=2 * max(1, round(float(np.linalg.norm(cell, axis=1).mean()) / 4.5)),
        cif=file.text,
        cif_sha256=file.sha256,
    )


def _primitive(file: CifFile) -> tuple[NDArray[np.float64], NDArray[np.float64], list[Kind]]:
    """Return the three shortest lattice vectors, and the sites of the cell they span."""
    kinds = file.kinds
    positions = file.fractional @ file.cell_A
    corners = np.stack(np.meshgrid(*[np.arange(-1, 2)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) @ file.cell_A
    shifts = file.translations() @ file.cell_A
    vectors = (shifts[:, None] + corners[None]).reshape(-1, 3)
    vectors = vectors[np.linalg.norm(vectors, axis=1) > _TOLERANCE_A]
    vectors = vectors[np.argsort(np.round(np.linalg.norm(vectors, axis=1), 3), kind="stable")][:40]
    volume = abs(np.linalg.det(file.cell_A)) / len(shifts)
    found = (np.array(three) for three in combinations(vectors, 3))
    cell = next((three for three in found if abs(abs(np.linalg.det(three)) / volume - 1) < 0.01), None)
    if cell is None:
        raise ConfigError("no primitive cell was found; a perovskite with one formula unit fits")
    cell = _upright(cell)
    fractional = (positions @ np.linalg.inv(cell)) % 1.0
    kept: list[int] = []
    for index, place in enumerate(fractional):
        apart = fractional[kept] - place
        if not kept or np.linalg.norm((apart - np.round(apart)) @ cell, axis=1).min() > 2 * _TOLERANCE_A:
            kept.append(index)
    return cell, fractional[kept], [kinds[index] for index in kept]


def _upright(cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Choose signs and order of the vectors so that the angles are near 90 degrees and the hand is right."""
    lengths = np.linalg.norm(cell, axis=1)
    angles = [
        float(np.degrees(np.arccos((cell[i] @ cell[j]) / lengths[i] / lengths[j]))) for i, j in ((0, 1), (0, 2), (1, 2))
    ]
    if lengths.max() / lengths.min() - 1 > _STRAIN or max(abs(angle - 90) for angle in angles) > _SKEW_DEG:
        edges, corners = (", ".join(f"{v:.{n}f}" for v in values) for values, n in ((lengths, 3), (angles, 1)))
        raise ConfigError(
            f"its primitive cell has edges of {edges} A and angles of {corners} degrees; a pseudo-cubic perovskite "
            f"cell fits (edges alike to {_STRAIN:.0%}, angles within {_SKEW_DEG:g} degrees of 90)"
        )
    if not _LATTICE_A[0] <= lengths.mean() <= _LATTICE_A[1]:
        raise ConfigError(f"its cell edge is {lengths.mean():.2f} A; {_LATTICE_A[0]:g} to {_LATTICE_A[1]:g} A fits")
    return cell if np.linalg.det(cell) > 0 else -cell


def _assign(
    fractional: NDArray[np.float64], kinds: list[Kind], cell: NDArray[np.float64]
) -> tuple[int, int, tuple[int, int, int]]:
    """Return which sites are A, B and the anions by the axis of their bond to B."""
    if len(fractional) != 5:
        raise ConfigError(
            f"its primitive cell holds {len(fractional)} sites; five fit: a perovskite ABX3 without octahedral tilts "
            "or split positions"
        )

    def off(index: int, ideal: tuple[float, float, float], origin: int) -> float:
        apart = fractional[index] - fractional[origin] - np.asarray(ideal)
        return float(np.linalg.norm((apart - np.round(apart)) @ cell))

    best: tuple[float, tuple[int, ...]] = (np.inf, ())
    for order in permutations(range(5)):
        a, b, *anions = order
        if len({kinds[index] for index in anions}) > 1:
            continue
        misfit = max(off(i, ideal, a) for i, ideal in zip((b, *anions), (B_SITE, *ANION_SITES), strict=True))
        best = min(best, (misfit, order))
    if best[0] > 0.2 * np.linalg.norm(cell, axis=1).mean():
        raise ConfigError(
            "its atoms do not sit near the corner, centre and face centres of the cell; a perovskite ABX3 fits"
        )
    a, b, *anions = best[1]
    return a, b, (anions[0], anions[1], anions[2])


def _displace(
    fractional: NDArray[np.float64],
    kinds: list[Kind],
    cell: NDArray[np.float64],
    places: tuple[int, int, tuple[int, int, int]],
    thermal: dict[int, float],
) -> tuple[tuple[Site, ...], str]:
    """Return the sites with their displacements, and the family of P."""
    a, b, anions = places
    lengths = np.linalg.norm(cell, axis=1)

    def away(index: int, ideal: tuple[float, float, float]) -> NDArray[np.float64]:
        apart = fractional[index] - fractional[a] - np.asarray(ideal)
        return np.asarray((apart - np.round(apart)) * lengths, dtype=np.float64)

    b_away = away(b, B_SITE)
    anion_away = np.array([away(index, ideal) for index, ideal in zip(anions, ANION_SITES, strict=True)])
    polar = b_away - anion_away.mean(axis=0)
    axis, unit = _family(polar)
    normal, along, across = _anion_shifts(anion_away, unit, axis)

    def site(index: int, position: tuple[float, float, float], **shifts: Any) -> Site:
        elements, occupation = zip(*kinds[index], strict=True)
        rms = next((thermal[e] for e in elements if e in thermal), float("nan"))
        return Site(position=position, elements=elements, occupation=occupation, rms_A=rms, **shifts)

    shifts = {"shift_A": normal, "bond_shift_A": along, "angled_shift_A": across}
    return (
        site(a, A_SITE),
        site(b, B_SITE, shift_A=round(float(b_away @ unit), 4)),
        *(site(i, ideal, bond_axis=k, **shifts) for k, (i, ideal) in enumerate(zip(anions, ANION_SITES, strict=True))),
    ), axis


def _family(polar: NDArray[np.float64]) -> tuple[str, NDArray[np.float64]]:
    """Return the family that P belongs to, and its unit vector; an empty family without P."""
    size = float(np.linalg.norm(polar))
    if size < _NO_POLARIZATION_A:
        return "", np.zeros(3)
    order = np.argsort(-np.abs(polar), kind="stable")
    for name, shares in POLAR_AXES.items():
        unit = np.zeros(3)
        unit[order[:shares]] = np.sign(polar[order[:shares]]) / np.sqrt(shares)
        if np.degrees(np.arccos(min(1.0, float(polar @ unit) / size))) < _OFF_AXIS_DEG:
            return name, unit
    direction = ", ".join(f"{value / size:.2f}" for value in polar)
    raise ConfigError(f"its polarization points along ({direction}); <100>, <110> or <111> of the cell fits")


def _anion_shifts(away: NDArray[np.float64], unit: NDArray[np.float64], axis: str) -> tuple[float, float, float]:
    """Return the displacements per unit of P: bond normal to P; else along the bond, and across it."""
    if not axis:
        return 0.0, 0.0, 0.0
    normal, along, across = [], [], []
    for k in range(3):
        if abs(unit[k]) < 1e-6:
            normal.append(away[k] @ unit)
            continue
        along.append(away[k, k] / unit[k])
        across += [away[k, j] / unit[j] for j in range(3) if j != k and abs(unit[j]) > 1e-6]
    mean = [float(np.mean(values)) if values else None for values in (normal, along, across)]
    # What a family has no anion for is never used; keep it near its neighbour.
    side = next(value for value in (mean[0], mean[2]) if value is not None)
    return tuple(round(side if value is None else value, 4) for value in mean)  # type: ignore[return-value]


def _formula(sites: tuple[Site, ...]) -> str:
    """Return a formula such as Pb(Ti0.48,Zr0.52)O3."""
    from ase.data import chemical_symbols

    def part(site: Site) -> str:
        who = zip(site.elements, site.occupation, strict=True)
        names = [f"{chemical_symbols[number]}{'' if share > 0.999 else f'{share:g}'}" for number, share in who]
        return names[0] if len(names) == 1 else f"({','.join(names)})"

    return "".join(part(site) for site in sites[:3]) + "3"
