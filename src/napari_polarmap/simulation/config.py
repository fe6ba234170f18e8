"""The TOML file of ``polarmap simulate``: tables, defaults, allowed ranges.

A number may be given as a pair ``[low, high]``, from which each specimen draws
uniformly. Nothing is computed before the whole file has been checked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from napari_polarmap.core.config import ConfigError, Uniform, by_name, choice, derived, load_stated, number, whole
from napari_polarmap.core.directions import parse_direction
from napari_polarmap.simulation.arrangement import arrange
from napari_polarmap.simulation.crystal import Crystal, niobate
from napari_polarmap.simulation.defects import DEFECTS

SCENE_BOX_CELLS: Final = 6
"""Edge of the window of specimen around a block of a scan, in unit cells."""

CELL_STRAIN: Final = 0.05
"""Most that a cell may be strained to have right angles."""


@dataclass(frozen=True, kw_only=True)
class SpecimenTable:
    """What the specimens are made of: the built-in niobate, or the crystal of a CIF file.

    `cif` is a path relative to the configuration. `polar_axis` and the displacements are
    those of the CIF unless given; `rms_A`, `shift_A`, `bond_shift_A`, `angled_shift_A`
    (see `Site`) and `fraction`, the share of an element on its site, go by the symbol of an
    element. `directions` leaves out one of the two families of classes.
    """

    cif: str = ""
    polar_axis: str = choice("auto", "auto", "100", "110", "111")
    directions: str = choice("all", "all", "axis", "diagonal")
    rms_A: dict[str, Uniform] = by_name(0.0, 0.5)
    shift_A: dict[str, Uniform] = by_name(-1.0, 1.0)
    bond_shift_A: dict[str, Uniform] = by_name(-1.0, 1.0)
    angled_shift_A: dict[str, Uniform] = by_name(-1.0, 1.0)
    fraction: dict[str, Uniform] = by_name(0.0, 1.0)
    count: int = whole(8, 1, 100_000)
    unpolarised_fraction: Uniform = number(0.0, 0.0, 1.0)
    amplitude: Uniform = number(1.0, 0.0, 3.0)
    lattice_A: Uniform = number(3.98, 3.0, 8.0)
    sodium_fraction: Uniform = number(0.5, 0.0, 1.0)
    cells: int = whole(6, 1, 16)


@dataclass(frozen=True, kw_only=True)
class CellTable:
    """How the cell of a CIF of any structure is seen; without `zone_axis` the CIF must be a perovskite.

    `zone_axis` (the beam) and `edge_axis` (an edge of the cell across it; the smallest cell
    when not given) are lattice directions of the file, such as ``"1 0 0"``. `parent` is the CIF
    of the structure without polarization in the same cell; without it the nearest one with
    a centre of inversion is taken. `polar_direction` is what `specimen.shift_A` moves the
    atoms of a file without polarization along. `charge`, by the symbol of an element, tells
    cations from anions. `scale` multiplies all edges. `strain` may be spent on right angles;
    `misfit` is the gap that may stay open in a box of an edge in the range `box_A`.
    """

    zone_axis: str = ""
    edge_axis: str = ""
    parent: str = ""
    polar_direction: str = ""
    charge: dict[str, Uniform] = by_name(-8.0, 8.0)
    scale: Uniform = number(1.0, 0.9, 1.1)
    strain: Uniform = number(0.01, 0.0, CELL_STRAIN)
    misfit: Uniform = number(0.08, 0.0, 0.2)
    box_A: Uniform = number((22.0, 36.0), 5.0, 100.0)


@dataclass(frozen=True, kw_only=True)
class ThicknessTable:
    """Thicknesses of one run: `count` values, one drawn from each equal part of the range."""

    low_nm: Uniform = number(20.0, 0.4, 200.0)
    high_nm: Uniform = number(20.0, 0.4, 200.0)
    count: int = whole(1, 1, 64)


@dataclass(frozen=True, kw_only=True)
class MicroscopeTable:
    """Illumination and specimen tilt."""

    voltage_kV: Uniform = number(200.0, 20.0, 1000.0)
    convergence_mrad: Uniform = number(24.0, 1.0, 31.0)
    defocus_A: Uniform = number(0.0, -1000.0, 1000.0)
    spherical_A: Uniform = number(0.0, -1e7, 1e7)
    astigmatism_A: Uniform = number(0.0, 0.0, 1000.0)
    tilt_mrad: Uniform = number(0.0, 0.0, 20.0)


@dataclass(frozen=True, kw_only=True)
class MultisliceTable:
    """Numerics; `phonons` thermal configurations share the probe positions of a specimen between them.

    `engine` is the loop over the slices: our own in torch, or abTEM's, slower and alike.
    """

    engine: str = choice("torch", "torch", "abtem")
    gpts: int = whole(192, 64, 1024)
    crop_px: int = whole(64, 16, 512)
    phonons: int = whole(4, 0, 64)
    static_fraction: Uniform = number(0.0, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class ProbeTable:
    """Probe positions of a specimen: a grid over one unit cell, each point in a cell of its own choice."""

    per_cell: int = whole(8, 1, 64)
    spread_cells: Uniform = number((1.0, 6.0), 1.0, 16.0)


@dataclass(frozen=True, kw_only=True)
class SceneTable:
    """A scan over a specimen with domains and defects.

    The thickness grows by `thickness_change_nm`, and the specimen bends by
    `bend_mrad`, from one side of the scan to the other, both in the direction given.
    """

    rows: int = whole(64, 4, 4096)
    columns: int = whole(64, 4, 4096)
    step_A: Uniform = number(0.5, 0.02, 20.0)
    scan_rotation_deg: Uniform = number(0.0, -180.0, 180.0)
    arrangement: str = choice("wall", "wall", "closure", "vortex")
    first: str = "RM"
    second: str = ""
    wall_deg: Uniform = number(90.0, -180.0, 180.0)
    wall_width_A: Uniform = number(4.0, 0.0, 100.0)
    thickness_change_nm: Uniform = number(0.0, -100.0, 100.0)
    thickness_change_deg: Uniform = number(0.0, -180.0, 180.0)
    bend_mrad: Uniform = number(0.0, -20.0, 20.0)
    bend_deg: Uniform = number(0.0, -180.0, 180.0)
    defect: str = choice("none", "none", *DEFECTS)
    defect_radius_A: Uniform = number(3.0, 0.5, 200.0)
    defect_row: Uniform = number(0.5, 0.0, 1.0)
    defect_column: Uniform = number(0.5, 0.0, 1.0)
    step_height_nm: Uniform = number(2.0, 0.2, 50.0)

    def __post_init__(self) -> None:
        for key in ("first", "second"):
            if value := getattr(self, key):
                try:
                    parse_direction(value)
                except ValueError as error:
                    raise ConfigError(f"scene.{key}: {error}") from None


@dataclass(frozen=True, kw_only=True)
class DetectorTable:
    """The camera; zero dose keeps exact intensities.

    `gain_noise` is the relative spread of the pixels' gain. Dead pixels read nothing; hot
    ones read ten times the brightest pixel of the mean pattern.
    """

    size_px: int = whole(64, 8, 1024)
    mrad_per_px: Uniform = number(1.05, 0.05, 20.0)
    dose_electrons: Uniform = number(0.0, 0.0, 1e9)
    source_A: Uniform = number(0.0, 0.0, 5.0)
    blur_px: Uniform = number(0.0, 0.0, 10.0)
    offset_row_px: Uniform = number(0.0, -100.0, 100.0)
    offset_column_px: Uniform = number(0.0, -100.0, 100.0)
    rotation_deg: Uniform = number(0.0, -180.0, 180.0)
    gain_noise: Uniform = number(0.0, 0.0, 0.5)
    dead_fraction: Uniform = number(0.0, 0.0, 0.5)
    hot_fraction: Uniform = number(0.0, 0.0, 0.5)


@dataclass(frozen=True, kw_only=True)
class SimulationConfig:
    """The whole file.

    ``kind = "specimens"`` makes a training set: each specimen new, a grid of probe
    positions over its unit cell, several thicknesses. ``kind = "scan"`` makes one
    scan over a scene.
    """

    kind: str = choice("specimens", "specimens", "scan")
    seed: int = whole(0, 0, 2**31)
    specimen: SpecimenTable = field(default_factory=SpecimenTable)
    cell: CellTable = field(default_factory=CellTable)
    thickness: ThicknessTable = field(default_factory=ThicknessTable)
    microscope: MicroscopeTable = field(default_factory=MicroscopeTable)
    multislice: MultisliceTable = field(default_factory=MultisliceTable)
    probe: ProbeTable = field(default_factory=ProbeTable)
    scene: SceneTable = field(default_factory=SceneTable)
    detector: DetectorTable = field(default_factory=DetectorTable)
    crystal: Crystal = derived(niobate)

    def __post_init__(self) -> None:
        if self.thickness.high_nm.high < self.thickness.low_nm.high:
            raise ConfigError(
                f"thickness.high_nm = {self.thickness.high_nm.high:g} lies below "
                f"thickness.low_nm = {self.thickness.low_nm.high:g}; it must not"
            )
        if self.multislice.crop_px > 2 * self.multislice.gpts // 3:
            raise ConfigError(
                f"multislice.crop_px = {self.multislice.crop_px} reaches past the simulated angle; "
                f"with gpts = {self.multislice.gpts} at most {2 * self.multislice.gpts // 3}"
            )
        if self.kind == "scan":
            self._check_scene()
        if self.kind == "specimens" and self.probe.spread_cells.high > self.specimen.cells:
            raise ConfigError(
                f"probe.spread_cells = {self.probe.spread_cells.high:g} is wider than specimen.cells = "
                f"{self.specimen.cells}; choose at most {self.specimen.cells}"
            )

    def _check_scene(self) -> None:
        try:
            arrange(self.scene.arrangement, crystal=self.crystal, first=self.scene.first, second=self.scene.second)
        except ValueError as error:
            raise ConfigError(f"scene.first, scene.second: {error}") from None
        thinnest = self.thickness.low_nm.low
        change = max(abs(self.scene.thickness_change_nm.low), abs(self.scene.thickness_change_nm.high)) / 2
        if thinnest - change < 0.4:
            raise ConfigError(
                f"scene.thickness_change_nm = {2 * change:g} leaves nothing of thickness.low_nm = {thinnest:g}; "
                f"choose at most {max(0.0, 2 * (thinnest - 0.4)):g}"
            )
        if self.scene.defect == "surface_step" and self.scene.step_height_nm.high > thinnest - change - 0.4:
            raise ConfigError(
                f"scene.step_height_nm = {self.scene.step_height_nm.high:g} is more than the specimen holds; "
                f"choose at most {thinnest - change - 0.4:g}"
            )


def load_config(path: str | Path, variant: str = "") -> SimulationConfig:
    """Read and check a configuration file, or one of the variants it describes, and the CIF file that it names.

    Raises
    ------
    ConfigError
        Naming the file, the key and what fits.
    """
    from napari_polarmap.simulation.material import check_angles, with_crystal

    path = Path(path)
    config, stated = load_stated(SimulationConfig, path, variant)
    try:
        config = with_crystal(config, path, stated.get("specimen", {}))
        check_angles(config)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    return config
