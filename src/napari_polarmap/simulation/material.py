"""What the specimen's table means for the crystal; what contradicts itself is refused."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_polarmap.core.config import ConfigError, Uniform
from napari_polarmap.simulation.cif import read_crystal
from napari_polarmap.simulation.config import SCENE_BOX_CELLS, SimulationConfig, SpecimenTable
from napari_polarmap.simulation.crystal import Crystal, chemical_symbol
from napari_polarmap.simulation.multislice import Microscope, sampling_mrad


def with_crystal(config: SimulationConfig, path: Path) -> SimulationConfig:
    """Put the crystal into the configuration read from `path`, and check what the tables say about it.

    Raises
    ------
    ConfigError
        Naming the key and what fits.
    """
    table = config.specimen
    stated = tomllib.loads(path.read_text(encoding="utf-8")).get("specimen", {})
    if table.cif:
        if "sodium_fraction" in stated:
            raise ConfigError("specimen.sodium_fraction is for the built-in niobate; with a CIF use specimen.fraction")
        crystal = _polarized(read_crystal(path.parent / table.cif), table)
        lattice = table.lattice_A if "lattice_A" in stated else Uniform(crystal.lattice_A, crystal.lattice_A)
        config = replace(config, specimen=replace(table, lattice_A=lattice))
    else:
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
    per_px = sampling_mrad(
        cells * config.specimen.lattice_A.high, Microscope(voltage_kV=config.microscope.voltage_kV.high)
    )
    reach = config.multislice.crop_px / 2 * per_px
    if config.microscope.convergence_mrad.high > reach:
        raise ConfigError(
            f"microscope.convergence_mrad = {config.microscope.convergence_mrad.high:g} does not fit into "
            f"multislice.crop_px = {config.multislice.crop_px}, which holds {reach:.1f} mrad; "
            "choose a larger crop and gpts, or a smaller aperture"
        )
