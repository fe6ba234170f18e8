"""What a CIF file says: its cell, who sits where and how often, thermal displacements."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.config import ConfigError
from napari_polarmap.simulation.crystal import atomic_number, chemical_symbol

Kind = tuple[tuple[int, float], ...]
"""Atomic numbers that may sit on a site, each with its probability."""

_MAX_BYTES: Final = 2**20
_MAX_SITES: Final = 400
_SAME_PLACE_A: Final = 0.02
_NAMED_GROUP: Final = re.compile(r"^\s*_(symmetry_)?space_group_(name_H-M\S*|IT_number)[^\n]*$", re.I | re.M)


@dataclass(frozen=True, kw_only=True)
class CifFile:
    """One structure of a CIF file.

    Attributes
    ----------
    text : str
    sha256 : str
    cell_A : ndarray, shape (3, 3)
        Rows are the cell vectors.
    fractional : ndarray, shape (n, 3)
    kinds : list of Kind
        Occupation of each site.
    rms_A : dict of int to float
        Thermal displacement per axis of the elements that the file states one for.
    """

    text: str
    sha256: str
    cell_A: NDArray[np.float64]
    fractional: NDArray[np.float64]
    kinds: list[Kind]
    rms_A: dict[int, float]

    @property
    def formula(self) -> str:
        """Sum formula in the order of the file."""
        total: dict[int, float] = {}
        for element, share in (pair for kind in self.kinds for pair in kind):
            total[element] = total.get(element, 0.0) + share
        counts = np.array(list(total.values()))
        whole = bool(np.allclose(counts, np.round(counts)))
        unit = float(np.gcd.reduce(np.round(counts).astype(int))) if whole else 1.0
        texts = (f"{count / unit:.3g}" for count in counts)
        return "".join(
            chemical_symbol(number) + ("" if text == "1" else text) for number, text in zip(total, texts, strict=True)
        )

    def apart_A(self, difference: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return differences of fractional coordinates as the shortest vectors [A]."""
        return np.asarray((difference - np.round(difference)) @ self.cell_A, dtype=np.float64)

    def translations(self) -> NDArray[np.float64]:
        """Return the fractional shifts, shape (n, 3), that map the structure onto itself; the first is none."""
        rarest = min(set(self.kinds), key=self.kinds.count)
        places = self.fractional[[kind == rarest for kind in self.kinds]]
        return np.array([shift for shift in places - places[0] if self._repeats(shift)])

    def _repeats(self, shift: NDArray[np.float64]) -> bool:
        gap = np.linalg.norm(self.apart_A(self.fractional[:, None] + shift - self.fractional[None]), axis=2)
        nearest = gap.argmin(axis=1)
        same = all(self.kinds[i] == self.kinds[j] for i, j in enumerate(nearest))
        return same and bool(gap.min(axis=1).max() < _SAME_PLACE_A)


def read_cif(path: str | Path) -> CifFile:
    """Read a CIF file that holds one structure.

    Raises
    ------
    ConfigError
        Naming the file and what fits.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8", errors="replace") if path.stat().st_size <= _MAX_BYTES else ""
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    if not text:
        raise ConfigError(f"{path}: empty, or larger than 1 MB; a CIF file of one structure fits")
    try:
        block, atoms = _parse(text)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    return CifFile(
        text=text,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        cell_A=np.asarray(atoms.cell.array, dtype=np.float64),
        fractional=np.asarray(atoms.get_scaled_positions() % 1.0, dtype=np.float64),
        kinds=_occupation(atoms),
        rms_A=_thermal(block),
    )


def _parse(text: str) -> tuple[Any, Any]:
    """Return the CIF block and its atoms."""
    try:
        try:
            blocks, atoms = _read_by_ase(text)
        except Exception:  # noqa: BLE001 -- the parser raises whatever it stumbles over
            # ASE does not know every setting by name, Pbnm for one; the operations in the file are enough.
            blocks, atoms = _read_by_ase(_NAMED_GROUP.sub("", text) + "\n_symmetry_Int_Tables_number 1\n")
    except Exception as error:  # noqa: BLE001
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"not a CIF file that ASE reads ({reason[:120]})") from None
    if atoms is None:
        raise ConfigError(f"holds {len(blocks)} structures; one fits")
    if not 1 <= len(atoms) <= _MAX_SITES:
        raise ConfigError(f"its cell holds {len(atoms)} sites; 1 to {_MAX_SITES} fit")
    if abs(atoms.cell.volume) < 1:
        raise ConfigError(f"its cell has a volume of {abs(atoms.cell.volume):.3g} cubic angstroms; it needs a cell")
    return blocks[0], atoms


def _read_by_ase(text: str) -> tuple[list[Any], Any]:
    from ase.io.cif import parse_cif

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parsed: list[Any] = list(parse_cif(io.StringIO(text)))
        blocks = [block for block in parsed if block.has_structure()]
        return blocks, blocks[0].get_atoms() if len(blocks) == 1 else None


def _occupation(atoms: Any) -> list[Kind]:
    """Return who sits on each site, and how often."""
    shares = atoms.info.get("occupancy")
    if not shares:
        return [((int(number), 1.0),) for number in atoms.numbers]
    kinds = atoms.arrays["spacegroup_kinds"]
    table = {key: {atomic_number(symbol): float(share) for symbol, share in who.items()} for key, who in shares.items()}
    return [tuple(sorted(table[str(kind)].items())) for kind in kinds]


def _thermal(block: Any) -> dict[int, float]:
    """Return the root-mean-square displacement per axis of each element; the isotropic ones where both are stated."""
    symbols = block.get("_atom_site_type_symbol") or block.get("_atom_site_label") or []
    labels = block.get("_atom_site_label") or []
    by_label = dict(zip(labels, symbols, strict=False))
    anisotropic = [by_label.get(label, label) for label in block.get("_atom_site_aniso_label") or []]
    per_square = 1 / (8 * np.pi**2)
    for names, keys, factor in (
        (symbols, ("_atom_site_u_iso_or_equiv",), 1.0),
        (symbols, ("_atom_site_b_iso_or_equiv",), per_square),
        (anisotropic, [f"_atom_site_aniso_u_{k}{k}" for k in (1, 2, 3)], 1.0),
        (anisotropic, [f"_atom_site_aniso_b_{k}{k}" for k in (1, 2, 3)], per_square),
    ):
        found: dict[int, list[float]] = {}
        for key in keys:
            for name, value in zip(names, block.get(key) or [], strict=False):
                number = _element(str(name))
                if number and isinstance(value, (int, float)) and value > 0:
                    found.setdefault(number, []).append(factor * value)
        if found:
            return {number: round(float(np.sqrt(np.mean(values))), 4) for number, values in found.items()}
    return {}


def _element(name: str) -> int | None:
    """Return the atomic number of a label such as O1, Nb5+ or OH."""
    from ase.data import atomic_numbers

    letters = "".join(c for c in name if c.isalpha()).capitalize()
    number = next((atomic_numbers[part] for part in (letters, letters[:2], letters[:1]) if part in atomic_numbers), 0)
    return int(number) or None
