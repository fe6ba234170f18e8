"""Model files: one safetensors file holds the arrays, and everything said of a model as metadata."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from napari_polarmap.core.whole_file import whole_file

FORMAT: Final = "napari-polarmap model"
MAX_BYTES: Final = 2**30
FAMILIARITY_PREFIX: Final = "familiarity."
_KINDS: Final[dict[type, tuple[str, ...]]] = {
    str: ("name", "title", "network", "objective", "material", "zone_axis", "training_set", "licence", "description"),
    float: ("voltage_kV", "grid_mrad"),
    int: ("grid_px",),
    dict: ("options", "scores", "calibration"),
    bool: ("recommended",),
}
_NAMES_OF_KINDS: Final = {
    str: "a text",
    float: "a number",
    int: "a whole number",
    dict: "a table",
    bool: "true or false",
}
_RANGES: Final = ("convergence_mrad", "thickness_nm", "tilt_mrad")
_LEAST_GRID_PX: Final = 8
_MOST_GRID_PX: Final = 1024
_MOST_GRID_MRAD: Final = 1000.0
_REQUIRED: Final = ("name", "title", "network", "grid_px", "grid_mrad", "licence")


class ModelFileError(ValueError):
    """A model file that cannot be used; the message names the file and the reason."""


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What is known of a classifier without loading its arrays.

    Attributes
    ----------
    name, title : str
        Key for the command line and name for people.
    network, objective : str
        Key into `MODELS` and what it was trained for.
    material, zone_axis : str
    voltage_kV : float
    convergence_mrad, thickness_nm, tilt_mrad : (float, float)
        Ranges of the training set.
    grid_px : int
        Edge of the patterns it takes, direct beam in the middle.
    grid_mrad : float
        Angle per pixel of these patterns [mrad].
    options : dict
        What `build` of the network needs besides the arrays.
    scores : dict of str to float
        Held-out figures, as measured.
    calibration : dict
        How probabilities follow from log-odds, see `calibration.Calibration`; empty in
        files that were never calibrated.
    seed : int, optional
        Of the split of the training set into training, validation and test specimens.
    training_set, licence, description : str
    recommended : bool
        The default of the command line and the window.
    path : Path, optional
    sha256 : str
        Of the whole file.
    """

    name: str
    title: str
    network: str
    objective: str = "classification"
    material: str = ""
    zone_axis: str = ""
    voltage_kV: float = 200.0
    convergence_mrad: tuple[float, float] = (24.0, 24.0)
    thickness_nm: tuple[float, float] = (0.0, 0.0)
    tilt_mrad: tuple[float, float] = (0.0, 0.0)
    grid_px: int = 64
    grid_mrad: float = 1.05
    options: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    training_set: str = ""
    licence: str = ""
    description: str = ""
    recommended: bool = False
    path: Path | None = None
    sha256: str = ""


def save_model(path: str | Path, info: ModelInfo, arrays: dict[str, NDArray[Any]]) -> Path:
    """Write a model file, under a temporary name until it is whole."""
    path = Path(path)
    record = {key: value for key, value in asdict(info).items() if key not in ("path", "sha256")}
    contiguous = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
    with whole_file(path) as partial:
        save_file(contiguous, partial, metadata={"format": FORMAT, "info": json.dumps(record, sort_keys=True)})
        partial.chmod(0o644)
    return path


def read_info(path: str | Path) -> ModelInfo:
    """Read what a model file says of itself; its arrays stay on disk.

    Raises
    ------
    ModelFileError
        If the file is missing, too large or not a model of ours.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelFileError(f"{path}: no such model file")
    if path.stat().st_size > MAX_BYTES:
        raise ModelFileError(f"{path}: {path.stat().st_size / 2**20:.0f} MB; a model may have at most 1024 MB")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{path}: not a safetensors file ({error})") from None
    if metadata.get("format") != FORMAT:
        raise ModelFileError(f"{path}: a safetensors file, but not a model of napari-polarmap")
    try:
        record = json.loads(metadata["info"])
        known = {entry.name for entry in fields(ModelInfo)} - {"path", "sha256"}
        _check(record)
        values: dict[str, Any] = {
            key: tuple(v) if isinstance(v, list) else v for key, v in record.items() if key in known
        }
        return ModelInfo(**values, path=path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelFileError(f"{path}: the model's description cannot be used ({error})") from None


def _check(record: Any) -> None:
    """Raise `ValueError` if a description lacks what is needed, or holds something of another kind or size."""
    if not isinstance(record, dict):
        raise ValueError("not a table of names and values")
    missing = [key for key in _REQUIRED if key not in record]
    if missing:
        raise ValueError(f"missing {', '.join(missing)}")
    for kind, keys in _KINDS.items():
        for key in keys:
            value = record.get(key, kind())
            if not isinstance(value, (int, float) if kind is float else kind) or (kind is not bool and value is True):
                raise ValueError(f"{key} is {str(value)[:40]!r}; {_NAMES_OF_KINDS[kind]} fits")
    for key in _RANGES:
        pair = record.get(key, [0.0, 0.0])
        if not (isinstance(pair, list) and len(pair) == 2 and all(type(part) in (int, float) for part in pair)):
            raise ValueError(f"{key} is {str(pair)[:40]!r}; two numbers fit")
    if not (_LEAST_GRID_PX <= record["grid_px"] <= _MOST_GRID_PX and 0 < record["grid_mrad"] < _MOST_GRID_MRAD):
        raise ValueError(f"a grid of {record['grid_px']} px of {record['grid_mrad']:g} mrad")
    if not all(type(value) in (int, float) for value in record.get("scores", {}).values()):
        raise ValueError("scores must be numbers")


def read_arrays(path: str | Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of a model's network."""
    return {key: array for key, array in _every_array(path).items() if not key.startswith(FAMILIARITY_PREFIX)}


def read_familiarity(path: str | Path) -> dict[str, NDArray[Any]]:
    """Read the arrays that say what a model's training patterns look like; empty in files never calibrated."""
    return {
        key.removeprefix(FAMILIARITY_PREFIX): array
        for key, array in _every_array(path).items()
        if key.startswith(FAMILIARITY_PREFIX)
    }


def _every_array(path: str | Path) -> dict[str, NDArray[Any]]:
    with safe_open(path, framework="numpy") as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
