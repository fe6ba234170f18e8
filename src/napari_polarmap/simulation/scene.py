"""Scans over a specimen with domains and defects, and the truth that goes with them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.directions import Direction, nearest_direction, parse_direction
from napari_polarmap.simulation.config import SimulationConfig
from napari_polarmap.simulation.multislice import Microscope, simulate_patterns
from napari_polarmap.simulation.specimens import INTENSITY_SCALE, draw_crystal, draw_microscope
from napari_polarmap.simulation.structure import Structure, build_structure

BLOCK_PX = 8
"""Scan positions along an edge of the blocks that are simulated together."""

BOX_CELLS = 6
"""Edge of the window of specimen around a block, in unit cells."""


@dataclass(frozen=True)
class Scene:
    """Specimen, probe positions and truth of one scan.

    Attributes
    ----------
    structure : Structure
    microscope : Microscope
    positions_A : ndarray, shape (scan_y, scan_x, 2)
        ``(row, column)`` in the frame of the specimen.
    label : ndarray of uint8, shape (scan_y, scan_x)
        True class in the frame of the scan image.
    defect : ndarray of bool, shape (scan_y, scan_x)
    step_A, thickness_nm, lattice_A, crystal_angle_deg : float
    """

    structure: Structure
    microscope: Microscope
    positions_A: NDArray[np.float64]
    label: NDArray[np.uint8]
    defect: NDArray[np.bool_]
    step_A: float
    thickness_nm: float
    lattice_A: float
    crystal_angle_deg: float


def build_scene(config: SimulationConfig) -> Scene:
    """Draw the scene of a ``kind = "scan"`` configuration; the same config gives the same scene."""
    rng = np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=(0,)))
    table = config.scene
    step, rotation = table.step_A.draw(rng), table.scan_rotation_deg.draw(rng)
    lattice, amplitude = config.specimen.lattice_A.draw(rng), config.specimen.amplitude.draw(rng)
    thickness = config.thickness.low_nm.draw(rng)
    crystal = draw_crystal(config, lattice, rng)
    wall_deg, wall_width = table.wall_deg.draw(rng), table.wall_width_A.draw(rng)
    defect_at = np.array([table.defect_row.draw(rng), table.defect_column.draw(rng)])
    radius = table.defect_radius_A.draw(rng)
    microscope = draw_microscope(config, rng)

    centred = _centred_grid(table.rows, table.columns) * step
    offset = centred @ _turn(rotation).T
    reach = np.abs(offset).max(axis=(0, 1)) + (BOX_CELLS / 2 + 1) * lattice
    cells = 2 * np.ceil(reach / lattice).astype(int)
    positions = offset + cells * lattice / 2 + rng.random(2) * lattice

    # Distance to the wall, along its normal; the wall passes through the middle of the scan.
    normal = np.array([-np.sin(np.deg2rad(wall_deg - 90)), np.cos(np.deg2rad(wall_deg - 90))])
    middle = positions.mean(axis=(0, 1))
    axes = _domain_axes(config, rng)
    cell_middle = (np.stack(np.meshgrid(*map(np.arange, cells), indexing="ij"), axis=-1) + 0.5) * lattice
    side = (cell_middle - middle) @ normal
    share = np.clip(side / max(wall_width, 1e-6) + 0.5, 0, 1)[..., None] if len(axes) == 2 else np.zeros((*cells, 1))
    field = amplitude * ((1 - share) * axes[0] + share * axes[-1])

    structure = build_structure(crystal, field, thickness_nm=thickness + 0.1 * lattice, rng=rng)
    shape = np.array([table.rows, table.columns])
    centre = middle + ((defect_at - 0.5) * (shape - 1) * step) @ _turn(rotation).T
    structure, defect = add_defect(
        structure, positions, table.defect, centre, radius, rng, b_elements=crystal.b_elements
    )

    which = ((positions - middle) @ normal >= 0).astype(int) if len(axes) == 2 else np.zeros(shape, int)
    named = [parse_direction(name) for name in (table.first, table.second or table.first)]
    angle = np.array([direction.angle_deg for direction in named])[which]
    # A scan turned counter-clockwise sees the crystal turned clockwise.
    label = nearest_direction(angle - rotation) if amplitude > 0 else np.full(shape, 255, np.uint8)
    return Scene(
        structure=structure,
        microscope=microscope,
        positions_A=positions,
        label=label,
        defect=defect,
        step_A=step,
        thickness_nm=thickness,
        lattice_A=lattice,
        crystal_angle_deg=-rotation,
    )


def n_blocks(config: SimulationConfig) -> int:
    """Return the number of blocks a scan is simulated in."""
    return -(-config.scene.rows // BLOCK_PX) * -(-config.scene.columns // BLOCK_PX)


def block_slices(config: SimulationConfig, index: int) -> tuple[slice, slice]:
    """Return the scan rows and columns of block `index`."""
    row, column = divmod(index, -(-config.scene.columns // BLOCK_PX))
    return (
        slice(row * BLOCK_PX, min((row + 1) * BLOCK_PX, config.scene.rows)),
        slice(column * BLOCK_PX, min((column + 1) * BLOCK_PX, config.scene.columns)),
    )


def simulate_block(config: SimulationConfig, index: int) -> NDArray[np.float16]:
    """Simulate one block of a scan, shape (positions, qy, qx), as fractions times `INTENSITY_SCALE`."""
    scene = build_scene(config)
    rng = np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=(1, index)))
    positions = scene.positions_A[block_slices(config, index)].reshape(-1, 2)
    centre = positions.mean(axis=0)
    size = BOX_CELLS * scene.lattice_A
    box = scene.structure.window((float(centre[0]), float(centre[1])), size)
    local = positions - centre + size / 2
    total = np.zeros((len(positions), config.multislice.crop_px, config.multislice.crop_px), np.float32)
    phonons = config.multislice.phonons
    for _ in range(max(1, phonons)):
        total += simulate_patterns(
            box,
            local,
            [scene.thickness_nm],
            scene.microscope,
            gpts=config.multislice.gpts,
            crop_px=config.multislice.crop_px,
            rng=rng if phonons else None,
        )[0]
    return (total / max(1, phonons) * INTENSITY_SCALE).astype(np.float16)


def add_defect(
    structure: Structure,
    positions_A: NDArray[np.float64],
    kind: str,
    centre_A: NDArray[np.float64],
    radius_A: float,
    rng: np.random.Generator,
    *,
    b_elements: tuple[int, ...],
) -> tuple[Structure, NDArray[np.bool_]]:
    """Return the structure with a defect and its mask over the probe positions.

    Parameters
    ----------
    structure : Structure
    positions_A : ndarray, shape (scan_y, scan_x, 2)
    kind : str
        ``none``; ``vacancy_column``: columns of the B site within the radius are removed;
        ``amorphous_patch``: atoms within the radius are displaced at random;
        ``antiphase_fault``: beyond the column of the centre the crystal is shifted by
        half a cell along the rows and in depth.
    centre_A : ndarray, shape (2,)
    radius_A : float
    rng : numpy Generator
    b_elements : tuple of int
        Atomic numbers of the B site.
    """
    distance = np.linalg.norm(positions_A - centre_A, axis=-1)
    lateral = np.linalg.norm(structure.position_A[:, :2] - centre_A, axis=1)
    if kind == "none":
        return structure, np.zeros(distance.shape, bool)
    if kind == "vacancy_column":
        return structure.keep(~np.isin(structure.number, b_elements) | (lateral > radius_A)), distance <= radius_A
    position = structure.position_A.copy()
    if kind == "amorphous_patch":
        inside = lateral <= radius_A
        position[inside, :2] += rng.normal(scale=0.6, size=(int(inside.sum()), 2))
        return replace(structure, position_A=position), distance <= radius_A
    beyond = position[:, 1] > centre_A[1]
    position[beyond, 0] = (position[beyond, 0] + structure.layer_A) % structure.size_A[0]
    layer = np.where(beyond, (structure.layer + 1) % structure.n_layers, structure.layer)
    return replace(structure, position_A=position, layer=layer), np.abs(positions_A[..., 1] - centre_A[1]) <= radius_A


def _domain_axes(config: SimulationConfig, rng: np.random.Generator) -> list[NDArray[np.float64]]:
    names = [name for name in (config.scene.first, config.scene.second) if name]
    sign = 1 if rng.random() < 0.5 else -1
    return [config.crystal.axis(Direction[name.upper()], depth_sign=sign) for name in names]


def _centred_grid(rows: int, columns: int) -> NDArray[np.float64]:
    grid = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), axis=-1).astype(np.float64)
    return np.asarray(grid - grid.mean(axis=(0, 1)), dtype=np.float64)


def _turn(angle_deg: float) -> NDArray[np.float64]:
    """Matrix that turns ``(y, x)`` vectors counter-clockwise on the screen."""
    c, s = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    return np.array([[c, -s], [s, c]])
