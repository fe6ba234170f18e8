"""Read and check TOML files against frozen dataclasses.

Every table is a frozen dataclass; every number states its allowed range beside its
default. A number may be given as a pair ``[low, high]`` where a range makes sense.
"""

from __future__ import annotations

import tomllib
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

Table = TypeVar("Table")


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


def number(default: float | tuple[float, float], low: float, high: float) -> Any:
    """Declare a number, or range of numbers, that may lie from `low` to `high`."""
    pair = default if isinstance(default, tuple) else (default, default)
    return field(default=Uniform(*map(float, pair)), metadata={"low": low, "high": high})


def whole(default: int, low: int, high: int) -> Any:
    """Declare a whole number from `low` to `high`."""
    return field(default=default, metadata={"low": low, "high": high})


def choice(default: str, *options: str) -> Any:
    """Declare a text that must be one of `options`."""
    return field(default=default, metadata={"options": options})


def by_name(low: float, high: float) -> Any:
    """Declare a table of numbers, or ranges of numbers, by names that the file chooses."""
    return field(default_factory=dict, metadata={"low": low, "high": high})


def derived(factory: Any) -> Any:
    """Declare what is made from the other values and is no key of the file."""
    return field(default_factory=factory, metadata={"derived": True})


def load_table(kind: type[Table], path: str | Path, variant: str = "") -> Table:
    """Read a TOML file into the dataclass `kind`.

    Tables below ``[variants.NAME]`` hold keys that differ in a variant of that name;
    `variant`, or the file's own ``variant = "NAME"``, chooses it. All are checked.

    Raises
    ------
    ConfigError
        Naming the file, the key and what fits.
    """
    return load_stated(kind, path, variant)[0]


def load_stated(kind: type[Table], path: str | Path, variant: str = "") -> tuple[Table, dict[str, Any]]:
    """Read a TOML file as `load_table` does; also return what the file itself states, the variant's keys merged."""
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: not a readable TOML file ({error})") from None
    try:
        variants, own = table.pop("variants", {}), table.pop("variant", "")
        if not (isinstance(variants, dict) and all(isinstance(changes, dict) for changes in variants.values())):
            raise ConfigError("variants must be tables [variants.NAME]")
        chosen = variant or own
        if chosen and chosen not in variants:
            raise ConfigError(f"no variant {chosen!r}; the file has {', '.join(sorted(variants)) or 'none'}")
        merged = {name: _merged(table, changes) for name, changes in variants.items()}
        parsed = {name: parse_table(kind, changed) for name, changed in merged.items()}
        return (parsed[chosen], merged[chosen]) if chosen else (parse_table(kind, table), table)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _merged(table: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    out = dict(table)
    for key, value in changes.items():
        known = out.get(key, {})
        out[key] = _merged(known, value) if isinstance(value, dict) and isinstance(known, dict) else value
    return out


def parse_table(kind: type[Table], table: dict[str, Any], prefix: str = "") -> Table:
    """Build the dataclass `kind` from a TOML table, refusing unknown keys and values out of range."""
    known = {entry.name: entry for entry in fields(kind) if not entry.metadata.get("derived")}  # type: ignore[arg-type]
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
        elif isinstance(default, dict):
            if not isinstance(value, dict):
                raise ConfigError(f"{name} = {value!r} must be a table of numbers by name, such as {{ O = 0.1 }}")
            number = Uniform(0, 0)
            values[key] = {part: _parse_value(f"{name}.{part}", v, number, entry) for part, v in value.items()}
        else:
            values[key] = _parse_value(name, value, default, entry)
    return kind(**values)


def _parse_value(name: str, value: Any, default: Any, entry: Field[Any]) -> Any:
    low: Any = entry.metadata.get("low")
    high: Any = entry.metadata.get("high")
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
