"""Read, check and explain the TOML file of ``polarmap simulate``.

Every table is a frozen dataclass; every number states its allowed range beside its
default. A number may be given as a pair ``[low, high]``, from which each specimen
draws uniformly. Nothing is computed before the whole file has been checked.
"""

from __future__ import annotations

import tomllib
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np

from napari_polarmap.core.directions import parse_direction


class ConfigError(ValueError):
    """A configuration file that cannot be used; the message names the key and what fits."""


@dataclass(frozen=True)
class Uniform:
    """A number drawn uniformly from `low` to `high`; a plain number where both are equal."""

    low: float
    high: float

    def draw(self, rng: np.random.Generator) -> float:
        """Draw one value; always consumes one random number, so that sets stay comparable."""
        return float(self.low + (self.high - self.low) * rng.random())


def _number(default: float | tuple[float, float], low: float, high: float) -> Any:
    pair = default if isinstance(default, tuple) else (default, default)
    return field(default=Uniform(*map(float, pair)), metadata={"low": low, "high": high})


def _whole(default: int, low: int, high: int) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


def _choice(default: str, *options: str) -> Any:
    return field(default=default, metadata={"options": options})


@dataclass(frozen=True, kw_only=True)
class SpecimenTable:
    """What the specimens are made of."""

    count: int = _whole(8, 1, 100_000)
    unpolarised_fraction: Uniform = _number(0.0, 0.0, 1.0)
    amplitude: Uniform = _number(1.0, 0.0, 3.0)
    lattice_A: Uniform = _number(3.98, 3.5, 4.5)
    sodium_fraction: Uniform = _number(0.5, 0.0, 1.0)
    cells: int = _whole(6, 1, 16)


@dataclass(frozen=True, kw_only=True)
class ThicknessTable:
    """Thicknesses of one run: `count` values, one drawn from each equal part of the range."""

    low_nm: Uniform = _number(20.0, 0.4, 200.0)
    high_nm: Uniform = _number(20.0, 0.4, 200.0)
    count: int = _whole(1, 1, 64)


@dataclass(frozen=True, kw_only=True)
class MicroscopeTable:
    """Illumination and specimen tilt."""

    voltage_kV: Uniform = _number(200.0, 20.0, 1000.0)
    convergence_mrad: Uniform = _number(24.0, 1.0, 31.0)
    defocus_A: Uniform = _number(0.0, -1000.0, 1000.0)
    spherical_A: Uniform = _number(0.0, -1e7, 1e7)
    astigmatism_A: Uniform = _number(0.0, 0.0, 1000.0)
    tilt_mrad: Uniform = _number(0.0, 0.0, 20.0)


@dataclass(frozen=True, kw_only=True)
class MultisliceTable:
    """Numerics; `phonons` thermal configurations share the probe positions of a specimen between them."""

    gpts: int = _whole(192, 64, 1024)
    crop_px: int = _whole(64, 16, 512)
    phonons: int = _whole(4, 0, 64)
    static_fraction: Uniform = _number(0.0, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class ProbeTable:
    """Probe positions of a specimen: a grid over one unit cell, each point in a cell of its own choice."""

    per_cell: int = _whole(8, 1, 64)
    spread_cells: Uniform = _number((1.0, 6.0), 1.0, 16.0)


@dataclass(frozen=True, kw_only=True)
class SceneTable:
    """A scan over a specimen with domains and defects."""

    rows: int = _whole(64, 4, 4096)
    columns: int = _whole(64, 4, 4096)
    step_A: Uniform = _number(0.5, 0.02, 20.0)
    scan_rotation_deg: Uniform = _number(0.0, -180.0, 180.0)
    first: str = "RM"
    second: str = ""
    wall_deg: Uniform = _number(90.0, -180.0, 180.0)
    wall_width_A: Uniform = _number(4.0, 0.0, 100.0)
    defect: str = _choice("none", "none", "vacancy_column", "amorphous_patch", "antiphase_fault")
    defect_radius_A: Uniform = _number(3.0, 0.5, 200.0)
    defect_row: Uniform = _number(0.5, 0.0, 1.0)
    defect_column: Uniform = _number(0.5, 0.0, 1.0)

    def __post_init__(self) -> None:
        for key in ("first", "second"):
            if value := getattr(self, key):
                try:
                    parse_direction(value)
                except ValueError as error:
                    raise ConfigError(f"scene.{key}: {error}") from None


@dataclass(frozen=True, kw_only=True)
class DetectorTable:
    """The camera; zero dose keeps exact intensities."""

    size_px: int = _whole(64, 8, 1024)
    mrad_per_px: Uniform = _number(1.05, 0.05, 20.0)
    dose_electrons: Uniform = _number(0.0, 0.0, 1e9)
    source_A: Uniform = _number(0.0, 0.0, 5.0)
    blur_px: Uniform = _number(0.0, 0.0, 10.0)
    offset_row_px: Uniform = _number(0.0, -100.0, 100.0)
    offset_column_px: Uniform = _number(0.0, -100.0, 100.0)
    rotation_deg: Uniform = _number(0.0, -180.0, 180.0)
    gain_noise: Uniform = _number(0.0, 0.0, 0.5)


@dataclass(frozen=True, kw_only=True)
class SimulationConfig:
    """The whole file.

    ``kind = "specimens"`` makes a training set: each specimen new, a grid of probe
    positions over its unit cell, several thicknesses. ``kind = "scan"`` makes one
    scan over a scene.
    """

    TABLES: ClassVar[tuple[str, ...]] = (
        "specimen",
        "thickness",
        "microscope",
        "multislice",
        "probe",
        "scene",
        "detector",
    )

    kind: str = _choice("specimens", "specimens", "scan")
    seed: int = _whole(0, 0, 2**31)
    specimen: SpecimenTable = field(default_factory=SpecimenTable)
    thickness: ThicknessTable = field(default_factory=ThicknessTable)
    microscope: MicroscopeTable = field(default_factory=MicroscopeTable)
    multislice: MultisliceTable = field(default_factory=MultisliceTable)
    probe: ProbeTable = field(default_factory=ProbeTable)
    scene: SceneTable = field(default_factory=SceneTable)
    detector: DetectorTable = field(default_factory=DetectorTable)

    def __post_init__(self) -> None:
        if self.thickness.high_nm.high < self.thickness.low_nm.high:
            raise ConfigError(
                f"thickness.high_nm = {self.thickness.high_nm.high:g} lies below "
                f"thickness.low_nm = {self.thickness.low_nm.high:g}; it must not"
            )
        if self.multislice.crop_px > self.multislice.gpts // 2:
            raise ConfigError(
                f"multislice.crop_px = {self.multislice.crop_px} reaches past the simulated angle; "
                f"with gpts = {self.multislice.gpts} at most {self.multislice.gpts // 2}"
            )
        if self.kind == "specimens" and self.probe.spread_cells.high > self.specimen.cells:
            raise ConfigError(
                f"probe.spread_cells = {self.probe.spread_cells.high:g} is wider than specimen.cells = "
                f"{self.specimen.cells}; choose at most {self.specimen.cells}"
            )


def load_config(path: str | Path) -> SimulationConfig:
    """Read and check a configuration file.

    Raises
    ------
    ConfigError
        Naming the file, the key and what fits.
    """
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: not a readable TOML file ({error})") from None
    try:
        return cast(SimulationConfig, parse_table(SimulationConfig, table))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def parse_table(kind: type[Any], table: dict[str, Any], prefix: str = "") -> Any:
    """Build the dataclass `kind` from a TOML table, refusing unknown keys and values out of range."""
    known = {entry.name: entry for entry in fields(kind)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{prefix}{key}"
        if key not in known:
            raise ConfigError(f"unknown key {name}; known keys here: {', '.join(sorted(known))}")
        entry = known[key]
        default = entry.default_factory() if callable(entry.default_factory) else entry.default
        if hasattr(default, "__dataclass_fields__") and not isinstance(default, Uniform):
            if not isinstance(value, dict):
                raise ConfigError(f"{name} = {value!r} must be a table [{name}]")
            values[key] = parse_table(type(default), value, f"{name}.")
        else:
            values[key] = _parse_value(name, value, default, entry)
    return kind(**values)


def _parse_value(name: str, value: Any, default: Any, entry: Field[Any]) -> Any:
    low, high = entry.metadata.get("low"), entry.metadata.get("high")
    if isinstance(default, Uniform):
        pair = value if isinstance(value, list) else [value, value]
        if len(pair) != 2 or not all(type(part) in (int, float) for part in pair) or pair[0] > pair[1]:
            raise ConfigError(f"{name} = {value!r} must be a number or a pair [low, high]")
        if not (low <= pair[0] and pair[1] <= high):
            raise ConfigError(f"{name} = {value!r} is out of range; allowed is {low:g} to {high:g}")
        return Uniform(float(pair[0]), float(pair[1]))
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ConfigError(f"{name} = {value!r} must be true or false")
        return value
    if isinstance(default, int):
        if type(value) is not int or not low <= value <= high:
            raise ConfigError(f"{name} = {value!r} must be a whole number from {low} to {high}")
        return value
    options = entry.metadata.get("options")
    if not isinstance(value, str) or (options and value not in options):
        raise ConfigError(f"{name} = {value!r} must be {'one of ' + ', '.join(options) if options else 'a text'}")
    return value
