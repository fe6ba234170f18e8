"""Training specimens: each drawn anew, a grid of probe positions over its unit cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.config import Uniform
from napari_polarmap.core.directions import UNDEFINED
from napari_polarmap.simulation.block import Block, build_slab, in_box
from napari_polarmap.simulation.config import SimulationConfig
from napari_polarmap.simulation.crystal import Crystal
from napari_polarmap.simulation.multislice import Microscope, sampling_mrad, simulate_patterns

INTENSITY_SCALE = 4096.0
"""Patterns are kept as half floats of (fraction of the incident electrons) x this."""


@dataclass(frozen=True)
class SpecimenPatterns:
    """Patterns of one specimen and what was drawn for it.

    Attributes
    ----------
    patterns : ndarray of float16, shape (thicknesses, positions, qy, qx)
    thickness_nm : ndarray, shape (thicknesses,)
    facts : dict of str to float
        One number per drawn parameter; `label` is the class or 255.
    """

    patterns: NDArray[np.float16]
    thickness_nm: NDArray[np.float64]
    facts: dict[str, float]


def draw_thicknesses(config: SimulationConfig, layer_nm: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw one thickness from each of `count` equal parts of the range, so that none is left out.

    Two that fall on the same layer of `layer_nm` are set one layer apart.
    """
    table = config.thickness
    low, high = table.low_nm.draw(rng), table.high_nm.draw(rng)
    drawn = low + (np.arange(table.count) + rng.random(table.count)) * (high - low) / table.count
    layers = np.round(drawn / layer_nm)
    for index in range(1, table.count):
        if layers[index] <= layers[index - 1]:
            layers[index] = layers[index - 1] + 1
            drawn[index] = layers[index] * layer_nm
    return drawn


def draw_microscope(config: SimulationConfig, rng: np.random.Generator) -> Microscope:
    """Draw the illumination and a tilt of any azimuth."""
    table = config.microscope
    tilt, azimuth = table.tilt_mrad.draw(rng), 2 * np.pi * rng.random()
    return Microscope(
        voltage_kV=table.voltage_kV.draw(rng),
        convergence_mrad=table.convergence_mrad.draw(rng),
        defocus_A=table.defocus_A.draw(rng),
        spherical_A=table.spherical_A.draw(rng),
        astigmatism_A=table.astigmatism_A.draw(rng),
        astigmatism_deg=180 * rng.random(),
        tilt_mrad=(float(tilt * np.sin(azimuth)), float(tilt * np.cos(azimuth))),
    )


def draw_crystal(config: SimulationConfig, lattice_A: float, rng: np.random.Generator) -> Crystal:
    """Draw the occupation, the displacements along P and the thermal ones of one specimen."""
    table = config.specimen
    sodium = table.sodium_fraction.draw(rng)
    fraction = _draw_by_name(table.fraction, rng) if config.crystal.cif else {"Na": sodium}
    return config.crystal.changed(
        lattice_A=lattice_A,
        fraction=fraction,
        rms_A=_draw_by_name(table.rms_A, rng),
        shift_A=_draw_by_name(table.shift_A, rng),
        bond_shift_A=_draw_by_name(table.bond_shift_A, rng),
        angled_shift_A=_draw_by_name(table.angled_shift_A, rng),
    )


def _draw_by_name(ranges: dict[str, Uniform], rng: np.random.Generator) -> dict[str, float]:
    return {name: ranges[name].draw(rng) for name in sorted(ranges)}


def simulate_specimen(config: SimulationConfig, index: int) -> SpecimenPatterns:
    """Simulate specimen `index` of a set; the same config and index give the same patterns.

    Axis-like (RM) and diagonal (RU) specimens alternate where the crystal has both; the
    other directions follow by the symmetry operations of the square when a set is used.
    """
    rng = np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=(index,)))
    table = config.specimen
    families = config.crystal.families
    direction = families[index % len(families)]
    amplitude = table.amplitude.draw(rng)
    if rng.random() < table.unpolarised_fraction.draw(rng):
        amplitude = 0.0
    lattice_A = table.lattice_A.draw(rng)
    layer_A = lattice_A * config.crystal.edges[2] / config.crystal.layers
    thickness_nm = draw_thicknesses(config, 0.1 * layer_A, rng)
    microscope = draw_microscope(config, rng)
    phonons = rng.random() >= config.multislice.static_fraction.draw(rng) and config.multislice.phonons > 0
    axis = config.crystal.axis(direction, depth_sign=1 if rng.random() < 0.5 else -1)
    crystal = draw_crystal(config, lattice_A, rng)
    box_A = crystal.box_A(table.cells)
    cells = np.array(crystal.repeats) if isinstance(crystal, Block) else table.cells
    edges_A = crystal.edges_A[:2]
    structure = build_slab(
        crystal,
        lambda place: np.broadcast_to(amplitude * axis, (*place.shape[:-1], 3)),
        size_A=cells * edges_A,
        thickness_nm=float(thickness_nm[-1]) + 0.1 * lattice_A,
        rng=rng,
    )
    spread = int(config.probe.spread_cells.draw(rng) + 0.5)
    within = crystal.spread(spread) if isinstance(crystal, Block) else spread
    positions = probe_positions(config.probe.per_cell, within, cells, rng) * edges_A
    if isinstance(crystal, Block):
        structure, positions = in_box(structure, box_A), positions + (box_A - cells * edges_A) / 2
    # Neighbouring positions go to different batches, so that every thermal
    # configuration is seen from all over the cell.
    order = rng.permutation(len(positions))
    shuffled = simulate_patterns(
        structure,
        positions[order],
        [float(value) for value in thickness_nm],
        microscope,
        gpts=config.multislice.gpts,
        crop_px=config.multislice.crop_px,
        engine=config.multislice.engine,
        rng=rng if phonons else None,
        max_batch=-(-len(positions) // max(1, config.multislice.phonons)),
    )
    patterns = np.empty_like(shuffled)
    patterns[:, order] = shuffled
    return SpecimenPatterns(
        patterns=(patterns * INTENSITY_SCALE).astype(np.float16),
        thickness_nm=thickness_nm,
        facts={
            "label": float(direction if amplitude > 0 else UNDEFINED),
            "amplitude": amplitude,
            "lattice_A": lattice_A,
            "convergence_mrad": microscope.convergence_mrad,
            "defocus_A": microscope.defocus_A,
            "tilt_row_mrad": microscope.tilt_mrad[0],
            "tilt_column_mrad": microscope.tilt_mrad[1],
            "phonons": float(config.multislice.phonons if phonons else 0),
            "spread_cells": float(np.max(within)),
            "mrad_per_px": sampling_mrad(structure.size_A[0], microscope),
        },
    )


def probe_positions(
    per_cell: int, spread: int | NDArray[np.int64], cells: int | NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return a grid over one unit cell, each point moved into a random one of ``spread x spread`` cells.

    `spread` and `cells` may be pairs, for rows and columns.

    Moving points between cells leaves the average over the cell what it is, and
    lets it see as many site occupations and thermal displacements as a window of
    that width in a scan.

    Returns
    -------
    positions : ndarray, shape (per_cell**2, 2)
        ``(row, column)`` in units of the cell's edges.
    """
    grid = (np.arange(per_cell) + rng.random()) / per_cell
    points = np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1).reshape(-1, 2)
    corner = (cells - spread) // 2
    return points + corner + rng.integers(0, spread, size=points.shape)
