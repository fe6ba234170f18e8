"""Displacements of a polar structure from the structure without polarization.

The parent is a second file, or the nearest structure with a centre of inversion.
P is the displacement of the centre of the cations against that of the anions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.config import ConfigError
from napari_polarmap.simulation.cif_file import CifFile, Kind
from napari_polarmap.simulation.crystal import chemical_symbol

NO_POLARIZATION_A: Final = 0.01
"""Centres of cations and anions that are nearer than this make no polarization."""

_FARTHEST_A: Final = 0.8
_FARTHEST_GIVEN_A: Final = 1.2
_AMBIGUOUS: Final = 1.4
_SAME_P: Final = 0.1
_HARD: Final = {"O": -2.0, "F": -1.0}
_SOFT: Final = {"N": -3.0, "S": -2.0, "Se": -2.0, "Te": -2.0, "Cl": -1.0, "Br": -1.0, "I": -1.0}


def displacements_from(file: CifFile, parent: CifFile) -> NDArray[np.float64]:
    """Return how far each atom is from its place in the parent [A], shape (n, 3); on the average, nothing is moved.

    Raises
    ------
    ConfigError
        If the two do not hold the same atoms in the same cell, as near as 1.2 A.
    """
    edges, other = (np.linalg.norm(each.cell_A, axis=1) for each in (file, parent))
    if sorted(file.kinds) != sorted(parent.kinds) or np.abs(other / edges - 1).max() > 0.1:
        held = (f"{f.formula}, {len(f.kinds)} sites, edges {_told(e)} A" for f, e in ((parent, other), (file, edges)))
        raise ConfigError("cell.parent holds {}; the polar structure's cell fits: {}".format(*held))
    rare = min(set(file.kinds), key=file.kinds.count)
    first = file.fractional[file.kinds.index(rare)]
    found = [
        _paired(file, parent.fractional + (first - place), parent.kinds)
        for place, kind in zip(parent.fractional, parent.kinds, strict=True)
        if kind == rare
    ]
    moved = min(found, key=_rms)
    if _largest(moved) > _FARTHEST_GIVEN_A:
        raise ConfigError(f"cell.parent has no atom of the same kind within {_FARTHEST_GIVEN_A:g} A of some atoms")
    return moved


def displacements_from_inversion(file: CifFile, charge: Mapping[int, float]) -> NDArray[np.float64]:
    """Return how far each atom is from its place in the nearest structure with a centre of inversion, shape (n, 3).

    Raises
    ------
    ConfigError
        If there is none as near as 0.8 A, or two of different P about as near.
    """
    rare = min(set(file.kinds), key=file.kinds.count)
    places = file.fractional[[kind == rare for kind in file.kinds]]
    # A centre of inversion takes the first of the rarest atoms to one of its kind.
    found = [_paired(file, places[0] + place - file.fractional, file.kinds) for place in places]
    moved = sorted((pair / 2 for pair in found), key=_rms)
    if _largest(moved[0]) > _FARTHEST_A:
        raise ConfigError(
            f"no structure with a centre of inversion lies within {_FARTHEST_A:g} A of it; the nearest is "
            f"{_largest(moved[0]):.2f} A off; give the CIF of the one without polarization as cell.parent"
        )
    nearest = polarization_A(file, moved[0], charge)
    for other in moved[1:]:
        apart = np.linalg.norm(polarization_A(file, other, charge) - nearest)
        close = _rms(other) < _AMBIGUOUS * _rms(moved[0]) + NO_POLARIZATION_A
        if close and apart > NO_POLARIZATION_A + _SAME_P * np.linalg.norm(nearest):
            raise ConfigError(
                f"two structures with centres of inversion are about as near ({_rms(moved[0]):.2f} and "
                f"{_rms(other):.2f} A), with different P; give the CIF of the right one as cell.parent"
            )
    return moved[0]


def polarization_A(file: CifFile, moved: NDArray[np.float64], charge: Mapping[int, float]) -> NDArray[np.float64]:
    """Return the centre of the cations against that of the anions [A], shape (3,)."""
    each = np.array([sum(charge[number] * share for number, share in kind) for kind in file.kinds])
    plus, minus = np.maximum(each, 0), np.maximum(-each, 0)
    if not (plus.any() and minus.any()):
        raise ConfigError("cell.charge must make some elements positive and some negative")
    return np.asarray(plus @ moved / plus.sum() - minus @ moved / minus.sum(), dtype=np.float64)


def formal_charges(file: CifFile, stated: Mapping[str, float]) -> dict[int, float]:
    """Return a charge for each element: the stated one, or what an anion usually has and +1 for all others.

    Raises
    ------
    ConfigError
        If it cannot be told which elements are the anions.
    """
    symbols = {chemical_symbol(number): number for kind in file.kinds for number, _ in kind}
    for symbol in stated:
        if symbol not in symbols:
            raise ConfigError(f"cell.charge: no {symbol} in {file.formula}; known: {', '.join(sorted(symbols))}")
    anions = {**_HARD, **_SOFT}
    if not symbols.keys() <= stated.keys() and bool(_HARD.keys() & symbols) == bool(_SOFT.keys() & symbols):
        raise ConfigError(
            f"it is not plain which elements of {file.formula} are the anions; give cell.charge, "
            f"a number for each of {', '.join(sorted(symbols))}"
        )
    return {number: stated.get(symbol, anions.get(symbol, 1.0)) for symbol, number in symbols.items()}


def _paired(file: CifFile, places: NDArray[np.float64], kinds: list[Kind]) -> NDArray[np.float64]:
    """Pair each atom with one of `places` of its kind; return how far it is from it, on the average nothing."""
    from scipy.optimize import linear_sum_assignment

    same = np.array([[kind == other for other in kinds] for kind in file.kinds])
    moved = np.zeros_like(file.fractional)
    for _ in range(2):
        places = places + moved.mean(axis=0) @ np.linalg.inv(file.cell_A)
        apart = file.apart_A(file.fractional[:, None] - places[None])
        own, partner = linear_sum_assignment(np.where(same, (apart**2).sum(axis=2), 1e6))
        moved = apart[own, partner]
    return np.asarray(moved - moved.mean(axis=0), dtype=np.float64)


def _largest(moved: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(moved, axis=1).max())


def _rms(moved: NDArray[np.float64]) -> float:
    return float(np.sqrt((moved**2).sum(axis=1).mean()))


def _told(values: NDArray[np.float64]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)
