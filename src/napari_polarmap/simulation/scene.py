"""Scans over a specimen with domains and defects, and the truth that goes with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.directions import nearest_direction
from napari_polarmap.simulation.arrangement import arrange
from napari_polarmap.simulation.block import Block, build_slab, thinned
from napari_polarmap.simulation.config import SCENE_BOX_CELLS, SimulationConfig
from napari_polarmap.simulation.defects import Defect, add_defect
from napari_polarmap.simulation.multislice import Microscope, simulate_patterns
from napari_polarmap.simulation.specimens import INTENSITY_SCALE, draw_crystal, draw_microscope
from napari_polarmap.simulation.structure import Structure

BLOCK_PX = 8
"""Scan positions along an edge of the blocks that are simulated together."""


@dataclass(frozen=True)
class Scene:
    """Specimen, probe positions and truth of one scan.

    Attributes
    ----------
    structure : Structure
    microscope : Microscope
    positions_A : ndarray, shape (scan_y, scan_x, 2)
        ``(row, column)`` in the frame of the specimen.
    tilt_mrad : ndarray, shape (scan_y, scan_x, 2)
        ``(row, column)`` in the frame of the specimen.
    thickness_nm : ndarray, shape (scan_y, scan_x)
    angle_deg : ndarray, shape (scan_y, scan_x)
        True direction in the frame of the scan image; NaN where there is no polarization.
    defect : ndarray of bool, shape (scan_y, scan_x)
    step_A, lattice_A, crystal_angle_deg : float
    box_A : float
        Edge of the window that a block of positions is simulated in.
    least_A : float
        Atoms nearer than this across the edge of a window are thinned out.
    """

    structure: Structure
    microscope: Microscope
    positions_A: NDArray[np.float64]
    tilt_mrad: NDArray[np.float64]
    thickness_nm: NDArray[np.float64]
    angle_deg: NDArray[np.float64]
    defect: NDArray[np.bool_]
    step_A: float
    lattice_A: float
    box_A: float
    least_A: float
    crystal_angle_deg: float

    @property
    def label(self) -> NDArray[np.uint8]:
        """True class of every scan position; 255 where there is no polarization."""
        return nearest_direction(self.angle_deg)


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

    later = np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=(3,)))
    thicker, thicker_deg = table.thickness_change_nm.draw(later), table.thickness_change_deg.draw(later)
    bend, bend_deg = table.bend_mrad.draw(later), table.bend_deg.draw(later)
    step_height = table.step_height_nm.draw(later)

    centred = _centred_grid(table.rows, table.columns) * step
    offset = centred @ _turn(rotation).T
    box_A, edges = crystal.box_A(SCENE_BOX_CELLS), crystal.edges_A[:2]
    reach = np.abs(offset).max(axis=(0, 1)) + box_A / 2 + edges
    cells = 2 * np.ceil(reach / edges).astype(int)
    positions = offset + cells * edges / 2 + rng.random(2) * edges
    middle = positions.mean(axis=(0, 1))

    arrangement = arrange(
        table.arrangement,
        first=table.first,
        second=table.second,
        wall_deg=wall_deg,
        wall_width_A=wall_width,
        crystal=crystal,
        depth_sign=1 if rng.random() < 0.5 else -1,
    )
    thickness_map = thickness + thicker * _progress(centred, thicker_deg)
    bend_axis = _turn(rotation) @ _along(bend_deg)
    structure = build_slab(
        crystal,
        lambda place: amplitude * arrangement.polarization(place - middle),
        size_A=cells * edges,
        thickness_nm=float(thickness_map.max()) + 0.1 * lattice,
        rng=rng,
    )
    shape = np.array([table.rows, table.columns])
    centre = middle + ((defect_at - 0.5) * (shape - 1) * step) @ _turn(rotation).T
    where = Defect(
        centre_A=centre,
        radius_A=radius,
        lattice_A=lattice,
        step_A=10 * (thickness - step_height),
        b_elements=crystal.b_elements,
    )
    structure, defect = add_defect(structure, positions, table.defect, where, rng)

    # A scan turned counter-clockwise sees the crystal turned clockwise.
    angle = (arrangement.angle_deg(positions - middle) - rotation) % 360
    return Scene(
        structure=structure,
        microscope=microscope,
        positions_A=positions,
        tilt_mrad=np.array(microscope.tilt_mrad) + bend * _progress(centred, bend_deg)[..., None] * bend_axis,
        thickness_nm=thickness_map,
        angle_deg=np.where(amplitude > 0, angle, np.nan),
        defect=defect,
        step_A=step,
        lattice_A=lattice,
        box_A=box_A,
        least_A=crystal.bond_A if isinstance(crystal, Block) else 0.0,
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
    block = block_slices(config, index)
    positions = scene.positions_A[block].reshape(-1, 2)
    centre = positions.mean(axis=0)
    size = scene.box_A
    box = scene.structure.window((float(centre[0]), float(centre[1])), size)
    if scene.least_A:
        box = thinned(box, scene.least_A, across_edge=True)
    layers = np.round(10 * scene.thickness_nm[block].ravel() / box.layer_A)
    planes, plane = np.unique(layers, return_inverse=True)
    tilts = scene.tilt_mrad[block].reshape(-1, 2)
    total = np.zeros((len(positions), config.multislice.crop_px, config.multislice.crop_px), np.float32)
    phonons = config.multislice.phonons
    for _ in range(max(1, phonons)):
        patterns = simulate_patterns(
            box,
            positions - centre + size / 2,
            (planes * box.layer_A / 10).tolist(),
            scene.microscope,
            gpts=config.multislice.gpts,
            crop_px=config.multislice.crop_px,
            engine=config.multislice.engine,
            rng=rng if phonons else None,
            tilts_mrad=tilts if np.ptp(tilts, axis=0).any() else None,
        )
        total += patterns[plane, np.arange(len(positions))]
    return (total / max(1, phonons) * INTENSITY_SCALE).astype(np.float16)


def _centred_grid(rows: int, columns: int) -> NDArray[np.float64]:
    grid = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), axis=-1).astype(np.float64)
    return np.asarray(grid - grid.mean(axis=(0, 1)), dtype=np.float64)


def _turn(angle_deg: float) -> NDArray[np.float64]:
    """Matrix that turns ``(y, x)`` vectors counter-clockwise on the screen."""
    c, s = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    return np.array([[c, -s], [s, c]])


def _along(angle_deg: float) -> NDArray[np.float64]:
    """Unit vector ``(y, x)`` at an angle counter-clockwise on the screen."""
    return np.array([-np.sin(np.deg2rad(angle_deg)), np.cos(np.deg2rad(angle_deg))])


def _progress(centred: NDArray[np.float64], angle_deg: float) -> NDArray[np.float64]:
    """Return how far along a direction each position lies, -1/2 to 1/2 from one side of the scan to the other."""
    along = centred @ _along(angle_deg)
    return np.asarray(along / max(np.ptp(along), 1e-9), dtype=np.float64)
