"""From a CIF file of any structure to a cell with right angles, seen along a zone axis."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.config import ConfigError, Uniform
from napari_polarmap.core.directions import VECTORS_YX, Direction
from napari_polarmap.simulation.block import Block
from napari_polarmap.simulation.cif_file import CifFile, Kind, read_cif
from napari_polarmap.simulation.config import CELL_STRAIN, CellTable
from napari_polarmap.simulation.crystal import Site
from napari_polarmap.simulation.parent import (
    NO_POLARIZATION_A,
    displacements_from,
    displacements_from_inversion,
    formal_charges,
    polarization_A,
)

_LAYER_A: Final = 2.0
_LONGEST_A: Final = 40.0
_PARALLEL_A: Final = 1e-3
_OFF_AXIS_DEG: Final = 5.0
_EDGE_DEG: Final = 1.0
_STEEPEST_DEG: Final = 20.0
_ONE_PLACE_A: Final = 0.7
_MAX_VECTORS: Final = 400
_THIN: Final = 0.75
_MAX_ATOMS: Final = 2000


def read_block(path: Path, table: CellTable) -> Block:
    """Read a crystal of any structure from a CIF file.

    Parameters
    ----------
    path : path
    table : CellTable
        With a zone axis; `parent` is a path beside `path`'s configuration, already joined.

    Raises
    ------
    ConfigError
        Naming the file, the key and what fits.
    """
    file = read_cif(path)
    parent = read_cif(table.parent) if table.parent else None
    try:
        moved, polar = _displaced(file, parent, table)
        return _block(file, moved, polar, table, parent.text if parent else "")
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _displaced(
    file: CifFile, parent: CifFile | None, table: CellTable
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the displacement of every atom from the structure without P, and P's direction."""
    if table.polar_direction:
        if parent:
            raise ConfigError("cell.polar_direction and cell.parent exclude each other; give one of them")
        if (size := _own_polarization_A(file)) > NO_POLARIZATION_A:
            raise ConfigError(
                f"cell.polar_direction is for a CIF without polarization; cations and anions are {size:.3f} A apart "
                "in this one"
            )
        polar = _direction("cell.polar_direction", table.polar_direction) @ file.cell_A
        return np.zeros_like(file.fractional), np.asarray(polar / np.linalg.norm(polar), dtype=np.float64)
    charge = formal_charges(file, {symbol: one(f"cell.charge.{symbol}", v) for symbol, v in table.charge.items()})
    moved = displacements_from(file, parent) if parent else displacements_from_inversion(file, charge)
    vector = polarization_A(file, moved, charge)
    size = float(np.linalg.norm(vector))
    if size < NO_POLARIZATION_A:
        raise ConfigError(
            f"no polarization: cations and anions are {size:.3f} A apart; give cell.polar_direction and "
            "specimen.shift_A, or the CIF of the polar structure"
        )
    return moved, vector / size


def _own_polarization_A(file: CifFile) -> float:
    """Return how far the centres of cations and anions are apart, as far as it can be told."""
    try:
        charge = formal_charges(file, {})
        return float(np.linalg.norm(polarization_A(file, displacements_from_inversion(file, charge), charge)))
    except ConfigError:
        return 0.0


def _block(
    file: CifFile, moved: NDArray[np.float64], polar: NDArray[np.float64], table: CellTable, parent_cif: str
) -> Block:
    vectors, base = _right_angled(file, polar, table)
    edges = np.linalg.norm(vectors, axis=1)
    # The rotation nearest to the vectors' own frame, and how far they are stretched to fit it.
    left, stretch, right = np.linalg.svd(vectors / edges[:, None])
    frame = left @ right
    ideal, which = _contents(file, file.fractional - moved @ np.linalg.inv(file.cell_A), vectors)
    slots, bond = _slots(ideal, edges, [file.kinds[k] for k in which])
    lattice = float(edges[1])
    unit = frame @ polar
    row, column = np.hypot(*unit[:2]) * VECTORS_YX[base]
    return Block(
        name=file.formula,
        lattice_A=lattice,
        polar_axis="100" if base == Direction.RM else "110",
        sites=tuple(_site(file, k, place) for k, place in zip(which, ideal, strict=True)),
        edges=(float(edges[0]) / lattice, 1.0, float(edges[2]) / lattice),
        layers=max(1, round(float(edges[2]) / _LAYER_A)),
        cif=file.text,
        cif_sha256=file.sha256,
        zone_axis="[{} {} {}]".format(*_direction("cell.zone_axis", table.zone_axis)),
        base=base,
        unit=(float(row), float(column), float(unit[2])),
        moves_A=tuple((float(v[0]), float(v[1]), float(v[2])) for v in (moved @ frame.T)[which]),
        slots=slots,
        repeats=_repeats(edges[:2], table),
        bond_A=_THIN * bond,
        strain=float(np.abs(stretch - 1).max()),
        parent_cif=parent_cif,
    )


def _site(file: CifFile, index: int, place: NDArray[np.float64]) -> Site:
    kind = file.kinds[index]
    return Site(
        position=(float(place[0]), float(place[1]), float(place[2])),
        elements=tuple(number for number, _ in kind),
        occupation=tuple(share for _, share in kind),
        rms_A=next((file.rms_A[number] for number, _ in kind if number in file.rms_A), float("nan")),
    )


def _right_angled(file: CifFile, polar: NDArray[np.float64], table: CellTable) -> tuple[NDArray[np.float64], Direction]:
    """Return the lattice vectors (row, column, depth) of the smallest cell that fits, and P's class in it."""
    lattice = _lattice_vectors(file)
    beam = _direction("cell.zone_axis", table.zone_axis) @ file.cell_A
    beam = beam / np.linalg.norm(beam)
    off_beam = 90 - np.degrees(np.arcsin(min(1.0, abs(float(polar @ beam)))))
    if off_beam < _STEEPEST_DEG:
        raise ConfigError(
            f"cell.zone_axis = {table.zone_axis!r}: its polarization is {off_beam:.0f} degrees off the beam, where "
            f"little of it is seen; choose an axis at least {_STEEPEST_DEG:g} degrees off"
        )
    along = lattice @ beam
    flat = lattice - along[:, None] * beam
    length = np.linalg.norm(flat, axis=1)
    on_axis = (length < _PARALLEL_A) & (along > 0)
    if not on_axis.any():
        raise ConfigError(f"cell.zone_axis = {table.zone_axis!r}: its atoms repeat after more than {_LONGEST_A:g} A")
    depth = lattice[on_axis][along[on_axis].argmin()]
    kept = (length > _PARALLEL_A) & (np.abs(along) <= np.linalg.norm(depth) / 2 + _PARALLEL_A)
    kept[kept] = length[kept] <= np.sort(length[kept])[:_MAX_VECTORS][-1]
    lattice, along, flat, length = lattice[kept], along[kept], flat[kept], length[kept]

    # For every pair of a row and a column vector: area, angle of P, and the strain that makes right angles.
    row, column = flat[:, None], flat[None]
    area = np.cross(column, row) @ beam
    angle = np.degrees(np.arctan2(-(flat @ polar / length)[:, None], (flat @ polar / length)[None]))
    base = np.where(np.abs(angle) < 22.5, 0, 1)
    fits = (area > 0) & (np.abs(angle - 45 * base) <= _OFF_AXIS_DEG)
    if table.edge_axis:
        edge = _direction("cell.edge_axis", table.edge_axis) @ file.cell_A
        edge = edge - (edge @ beam) * beam
        if np.linalg.norm(edge) < _PARALLEL_A:
            raise ConfigError(f"cell.edge_axis = {table.edge_axis!r} lies along the beam; choose one across it")
        parallel = np.abs(flat @ edge) / length / np.linalg.norm(edge) > np.cos(np.radians(_EDGE_DEG))
        fits &= parallel[:, None] | parallel[None]
    strain = np.full(fits.shape, np.inf)
    strain[fits] = _strain(lattice / np.linalg.norm(lattice, axis=1)[:, None], beam, *np.nonzero(fits))
    limit = one("cell.strain", table.strain)
    good = fits & (strain <= limit)
    if not good.any():
        shown = f" with an edge along {table.edge_axis}" if table.edge_axis else ""
        if not fits.any():
            raise ConfigError(
                f"no cell{shown} up to {_LONGEST_A:g} A has its polarization along an edge, or at 45 degrees to both, "
                f"within {_OFF_AXIS_DEG:g} degrees; choose another cell.edge_axis or cell.zone_axis"
            )
        raise ConfigError(
            f"no cell{shown} up to {_LONGEST_A:g} A has right angles within cell.strain = {limit:g}; the nearest needs "
            f"{strain[fits].min():.4f} (at most {CELL_STRAIN:g} may be allowed)"
        )
    order = np.lexsort([length[np.nonzero(good)[1]].round(3), strain[good].round(4), area[good].round(2)])
    i, j = (int(index[order[0]]) for index in np.nonzero(good))
    return np.array([lattice[i], lattice[j], depth]), Direction(int(base[i, j]))


def _strain(
    unit: NDArray[np.float64], beam: NDArray[np.float64], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the largest strain that gives each cell of a row vector, a column vector and the beam right angles."""
    cells = np.stack([unit[rows], unit[columns], np.broadcast_to(beam, (len(rows), 3))], axis=1)
    return np.asarray(np.abs(np.linalg.svd(cells, compute_uv=False) - 1).max(axis=1), dtype=np.float64)


def _lattice_vectors(file: CifFile) -> NDArray[np.float64]:
    """Return all lattice vectors up to the longest edge, centring included."""
    reach = np.ceil(_LONGEST_A * np.linalg.norm(np.linalg.inv(file.cell_A), axis=0)).astype(int)
    grid = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), axis=-1).reshape(-1, 3)
    vectors = ((grid[:, None] + file.translations()[None]).reshape(-1, 3)) @ file.cell_A
    return np.asarray(vectors[np.linalg.norm(vectors, axis=1) <= _LONGEST_A], dtype=np.float64)


def _contents(
    file: CifFile, fractional: NDArray[np.float64], vectors: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the places in the new cell, in its edges, and which site of the file each is; the heaviest at zero."""
    inverse = file.cell_A @ np.linalg.inv(vectors)
    count = round(len(fractional) * abs(np.linalg.det(vectors) / np.linalg.det(file.cell_A)))
    if count > _MAX_ATOMS:
        raise ConfigError(f"the cell along cell.zone_axis holds {count} atoms; at most {_MAX_ATOMS} fit")
    corners = np.array(list(product((0, 1), repeat=3))) @ np.linalg.inv(inverse)
    low, high = np.floor(corners.min(axis=0)) - 2, np.ceil(corners.max(axis=0)) + 2
    grid = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), axis=-1).reshape(-1, 1, 3)
    places = (grid + fractional) @ inverse
    for start in np.linspace(0.0, 0.9, 10):
        # A cell that begins between the atoms holds each of them once.
        corner, index = np.nonzero(((places >= start - 1e-4) & (places < start + 1 - 1e-4)).all(axis=2))
        if len(index) == count:
            break
    else:
        raise ConfigError("its sites do not repeat with its lattice to 0.02 A")
    inside = places[corner, index]
    heaviest = max(range(count), key=lambda i: max(number for number, _ in file.kinds[index[i]]))
    inside = (inside - inside[heaviest]) % 1.0
    return np.where(inside > 1 - 1e-7, 0.0, inside), index


def _slots(
    places: NDArray[np.float64], edges: NDArray[np.float64], kinds: list[Kind]
) -> tuple[tuple[tuple[int, float], ...], float]:
    """Return the group of each site and where its own probabilities begin, and the shortest distance between groups."""
    apart = places[:, None] - places[None]
    distance = np.linalg.norm((apart - np.round(apart)) * edges, axis=2)
    group = np.array([int(np.flatnonzero(near)[0]) for near in distance < _ONE_PLACE_A])
    for index in range(len(group)):
        group[index] = group[group[index]]
    filled: dict[int, float] = {}
    slots = []
    for name, kind in zip(group.tolist(), kinds, strict=True):
        slots.append((name, filled.get(name, 0.0)))
        filled[name] = slots[-1][1] + sum(share for _, share in kind)
    if max(filled.values()) > 1.01:
        raise ConfigError(
            f"sites within {_ONE_PLACE_A:g} A of each other hold {max(filled.values()):.2f} atoms; at most one fits"
        )
    others = distance[group[:, None] != group[None]]
    return tuple(slots), float(min([*edges, *others]))


def _repeats(edges: NDArray[np.float64], table: CellTable) -> tuple[int, int]:
    """Return how many cells make the smallest box that is square within the misfit."""
    low, high, limit = table.box_A.low, table.box_A.high, one("cell.misfit", table.misfit)
    most = [max(1, int(high / edge)) for edge in edges]
    count = np.array(list(product(*(range(1, n + 1) for n in most))))
    size = count * edges
    box, misfit = size.max(axis=1), 1 - size.min(axis=1) / size.max(axis=1)
    inside = (box >= low) & (box <= high)
    if not inside.any():
        raise ConfigError(
            f"cell.box_A = [{low:g}, {high:g}]: no whole number of cells of {edges[0]:.2f} x {edges[1]:.2f} A fits"
        )
    count, box, misfit = count[inside], box[inside], misfit[inside]
    if misfit.min() > limit:
        n, best = count[misfit.argmin()], misfit.min()
        raise ConfigError(
            f"cell.misfit = {limit:g}: no box of {low:g} to {high:g} A is as square; the nearest, {n[0]} x {n[1]} "
            f"cells of {edges[0]:.2f} x {edges[1]:.2f} A, misses by {best:.3f}; allow that, or a larger cell.box_A"
        )
    chosen = count[np.where(misfit <= limit, box, np.inf).argmin()]
    return int(chosen[0]), int(chosen[1])


def _direction(key: str, text: str) -> NDArray[np.int64]:
    """Return a lattice direction, without common factors."""
    parts = text.strip("[] ").replace(",", " ").split()
    try:
        values = np.array([int(part) for part in parts])
    except ValueError:
        values = np.zeros(0, int)
    if values.shape != (3,) or not values.any() or np.abs(values).max() > 12:
        raise ConfigError(f"{key} = {text!r} must be three whole numbers from -12 to 12, not all zero, such as '1 0 0'")
    return np.asarray(values // np.gcd.reduce(values), dtype=np.int64)


def one(name: str, value: Uniform) -> float:
    """Return a number that must not be a range."""
    if value.low != value.high:
        raise ConfigError(f"{name} = [{value.low:g}, {value.high:g}] must be one number")
    return value.low
