"""What the specimen's table means for the crystal; what contradicts itself is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from napari_polarmap.core.config import ConfigError, Uniform
from napari_polarmap.simulation.cell import read_block
from napari_polarmap.simulation.cif import read_crystal
from napari_polarmap.simulation.cif_file import read_cif
from napari_polarmap.simulation.config import SCENE_BOX_CELLS, CellTable, SimulationConfig, SpecimenTable
from napari_polarmap.simulation.crystal import Crystal, chemical_symbol
from napari_polarmap.simulation.defects import PEROVSKITE_DEFECTS
from napari_polarmap.simulation.multislice import Microscope, sampling_mrad

_COARSEST: Final = 1.1
"""Largest distance of probe positions, in wavelengths over twice the convergence; more makes the average alias."""


def with_crystal(config: SimulationConfig, path: Path, stated: dict[str, Any]) -> SimulationConfig:
    """Put the crystal into the configuration read from `path`, and check what the tables say about it.

    `stated` holds the keys of the specimen that the file itself gives.

    Raises
    ------
    ConfigError
        Naming the key and what fits.
    """
    table = config.specimen
    if table.cif:
        if config.cell != CellTable() and not config.cell.zone_axis:
            raise ConfigError("table [cell] needs cell.zone_axis, the direction of the beam, such as '1 0 0'")
        if "sodium_fraction" in stated:
            raise ConfigError("specimen.sodium_fraction is for the built-in niobate; with a CIF use specimen.fraction")
        if config.cell.zone_axis:
            return _with_block(config, path, stated)
        crystal = _polarized(_perovskite(path.parent / table.cif), table)
        lattice = table.lattice_A if "lattice_A" in stated else Uniform(crystal.lattice_A, crystal.lattice_A)
        config = replace(config, specimen=replace(table, lattice_A=lattice))
    else:
        if config.cell != CellTable():
            raise ConfigError("table [cell] needs specimen.cif; the built-in niobate has none")
        crystal = config.crystal
        if table.fraction:
            raise ConfigError("specimen.fraction needs specimen.cif; the built-in niobate has specimen.sodium_fraction")
        if table.polar_axis not in ("auto", crystal.polar_axis):
            raise ConfigError(f"specimen.polar_axis = {table.polar_axis}; the niobate has {crystal.polar_axis}")
    crystal = replace(crystal, directions=table.directions)
    if not crystal.families:
        raise ConfigError(
            f"specimen.directions = {table.directions}: {crystal.name}, P along <{crystal.polar_axis}>, has none"
        )
    _check_elements(crystal, table, thermal=config.multislice.phonons > 0)
    return replace(config, crystal=crystal)


def _perovskite(path: Path) -> Crystal:
    """Read a perovskite of one formula unit, and say what other crystals need."""
    read_cif(path)
    try:
        return read_crystal(path)
    except ConfigError as error:
        raise ConfigError(f"{error}; for any other structure give [cell] with zone_axis = 'u v w'") from None


def _with_block(config: SimulationConfig, path: Path, stated: dict[str, Any]) -> SimulationConfig:
    """Put a crystal of any structure into the configuration."""
    table, cell = config.specimen, config.cell
    for key in ("lattice_A", "cells", "polar_axis", "bond_shift_A", "angled_shift_A"):
        if key in stated:
            instead = {"lattice_A": "cell.scale", "cells": "cell.box_A"}.get(key, "cell.polar_direction")
            raise ConfigError(f"specimen.{key} is for perovskites without a table [cell]; use {instead}")
    if bool(table.shift_A) != bool(cell.polar_direction):
        raise ConfigError(
            "specimen.shift_A and cell.polar_direction go together, for a CIF without polarization; "
            f"{'cell.polar_direction' if table.shift_A else 'specimen.shift_A'} is missing"
        )
    if config.kind == "scan" and config.scene.defect in PEROVSKITE_DEFECTS:
        raise ConfigError(f"scene.defect = {config.scene.defect} is for perovskites without a table [cell]")
    if cell.parent:
        cell = replace(cell, parent=str(path.parent / cell.parent))
    crystal: Crystal = replace(read_block(path.parent / table.cif, cell), directions=table.directions)
    if not crystal.families:
        seen = "axis-like" if crystal.polar_axis == "100" else "diagonal"
        raise ConfigError(f"specimen.directions = {table.directions}: P of {table.cif} is {seen} in this cell")
    _check_elements(crystal, table, thermal=config.multislice.phonons > 0)
    lattice = Uniform(crystal.lattice_A * cell.scale.low, crystal.lattice_A * cell.scale.high)
    config = replace(config, crystal=crystal, specimen=replace(table, lattice_A=lattice))
    if config.kind == "specimens":
        _check_spacing(config)
    return config


def _check_spacing(config: SimulationConfig) -> None:
    """Refuse a grid of probe positions that is too coarse for the largest angles in the disk."""
    edge = float(config.crystal.edges_A[:2].max()) * config.cell.scale.high
    convergence = config.microscope.convergence_mrad.high
    finest = 1e3 * Microscope(voltage_kV=config.microscope.voltage_kV.high).wavelength_A / (2 * convergence)
    least = int(np.ceil(edge / (_COARSEST * finest)))
    if config.probe.per_cell < least:
        raise ConfigError(
            f"probe.per_cell = {config.probe.per_cell} is too coarse for a cell edge of {edge:.2f} A and a convergence "
            f"of {convergence:g} mrad; choose at least {least}"
        )


def _polarized(crystal: Crystal, table: SpecimenTable) -> Crystal:
    """Return the crystal of a CIF with the family of P that the file or the configuration says."""
    stated = table.polar_axis
    if crystal.polar_axis:
        if stated not in ("auto", crystal.polar_axis):
            raise ConfigError(f"specimen.polar_axis = {stated}; {table.cif} is polarized along <{crystal.polar_axis}>")
        return crystal
    if stated == "auto" or not (table.shift_A or table.bond_shift_A or table.angled_shift_A):
        raise ConfigError(
            f"specimen.cif = {table.cif!r} has no polarization; give specimen.polar_axis (100, 110 or 111) and "
            "specimen.shift_A, or the CIF of the polar structure"
        )
    return replace(crystal, polar_axis=stated)


def _check_elements(crystal: Crystal, table: SpecimenTable, *, thermal: bool) -> None:
    """Refuse elements that the crystal does not hold, and one without a thermal displacement."""
    sites = {chemical_symbol(number): site for site in crystal.sites for number in site.elements}
    for key in ("fraction", "rms_A", "shift_A", "bond_shift_A", "angled_shift_A"):
        for symbol in getattr(table, key):
            if symbol not in sites:
                raise ConfigError(f"specimen.{key}: no {symbol} in {crystal.name}; known: {', '.join(sorted(sites))}")
            if key == "fraction" and len(sites[symbol].elements) == 1:
                raise ConfigError(f"specimen.fraction: {symbol} is alone on its site; a mixed site of the CIF fits")
            if key.startswith(("bond", "angled")) and sites[symbol].bond_axis is None:
                raise ConfigError(f"specimen.{key}: {symbol} is no anion of {crystal.name}; use specimen.shift_A")
    for symbol, site in sites.items():
        known = set(table.rms_A) & {chemical_symbol(number) for number in site.elements}
        if thermal and np.isnan(site.rms_A) and not known:
            raise ConfigError(
                f"specimen.rms_A: {table.cif} states no thermal displacement of {symbol}; "
                f"give rms_A = {{ {symbol} = 0.08 }} or so, or multislice.phonons = 0"
            )


def check_angles(config: SimulationConfig) -> None:
    """Refuse a disk that does not fit into the crop of the simulated pattern."""
    cells = SCENE_BOX_CELLS if config.kind == "scan" else config.specimen.cells
    largest = replace(config.crystal, lattice_A=config.specimen.lattice_A.high)
    per_px = sampling_mrad(largest.box_A(cells), Microscope(voltage_kV=config.microscope.voltage_kV.high))
    reach = config.multislice.crop_px / 2 * per_px
    if config.microscope.convergence_mrad.high > reach:
        raise ConfigError(
            f"microscope.convergence_mrad = {config.microscope.convergence_mrad.high:g} does not fit into "
            f"multislice.crop_px = {config.multislice.crop_px}, which holds {reach:.1f} mrad; "
            "choose a larger crop and gpts, or a smaller aperture"
        )
