"""Make a result again from its provenance, and compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.axes import AxisOrder
from napari_polarmap.core.calibration import Calibration, known_changes
from napari_polarmap.core.data import Scan4D
from napari_polarmap.io import RawLayout, open_scan
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.io.source import file_sha256
from napari_polarmap.models.registry import Classifier, list_models, load_classifier
from napari_polarmap.pipeline.mapping import Progress, map_polarization
from napari_polarmap.pipeline.parameters import MapParams

TOLERANCE: Final = 1e-5
"""Probabilities that differ by less are the same."""


@dataclass(frozen=True)
class Repetition:
    """A result and the map made again from its provenance.

    Attributes
    ----------
    first, second : PolarizationMap
    left_out : tuple of str
        Maps that only the first holds and that cannot be made again, with the reason.
    """

    first: PolarizationMap
    second: PolarizationMap
    left_out: tuple[str, ...] = ()

    @property
    def differences(self) -> dict[str, float]:
        """Maps that are not the same bit for bit: the largest difference, or the share of positions that differ.

        The share is given for classes and masks, and for numbers where they are known in only one of the maps.
        """
        second = self.second.arrays()
        shared = {name: array for name, array in self.first.arrays().items() if name in second}
        found = {name: _difference(name, array, second[name]) for name, array in shared.items()}
        return {name: difference for name, difference in found.items() if difference}

    @property
    def agrees(self) -> bool:
        """Whether directions are the same and probabilities within `TOLERANCE`."""
        found = self.differences
        numbers = max(found.get("probability", 0.0), found.get("confidence", 0.0))
        classes = ("direction", "domain", "irregular", "misclassified")
        return numbers <= TOLERANCE and not any(name in found for name in classes)

    @property
    def versions(self) -> list[str]:
        """Packages whose versions differ, as ``"numpy 2.4.6 then, 2.3.0 now"``."""
        then, now = (one.provenance.get("versions", {}) for one in (self.first, self.second))
        names = sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))
        return [f"{name} {then.get(name, 'none')} then, {now.get(name, 'none')} now" for name in names]


def _difference(name: str, one: NDArray[Any], other: NDArray[Any]) -> float:
    if one.shape != other.shape:
        return 1.0
    if one.dtype.kind != "f":
        return float((one != other).mean())
    known = np.isfinite(one)
    if (known != np.isfinite(other)).any():
        return float((known != np.isfinite(other)).mean())
    apart = np.abs(one[known].astype(np.float64) - other[known])
    if name.endswith("angle_deg"):
        apart = np.minimum(apart, 360 - apart)
    return float(apart.max(initial=0))


def repeat(
    path: str | Path,
    *,
    source: Path | None = None,
    model: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Repetition:
    """Map again what a result was made from, as its provenance says.

    Parameters
    ----------
    path : path
        Of the result.
    source : Path, optional
        The scan, where it no longer lies where it did; a file of the same name beside the result is found
        without.
    model : str, optional
        Name or file of the classifier, where it has another name now.
    progress : callable, optional

    Raises
    ------
    FileNotFoundError
        If the scan is not there.
    ValueError
        If `path` is no result, or scan or classifier are not those that it was made with.
    """
    path = Path(path)
    first = PolarizationMap.load(path)
    said = first.provenance
    missing = [name for name in ("input", "calibration", "parameters", "model") if not isinstance(said.get(name), dict)]
    if missing:
        raise ValueError(f"{path}: its provenance lacks {', '.join(missing)}; it cannot be repeated")
    classifier = _classifier(path, said["model"], model)
    parameters: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in said["parameters"].items()
    }
    try:
        params = MapParams(**parameters)
        calibration = Calibration(**known_changes(said["calibration"]))
        scan = _opened(path, said["input"], source)
    except (TypeError, KeyError) as error:
        raise ValueError(f"{path}: its provenance cannot be followed ({error}); it is of another version") from None
    reference = said.get("reference")
    left_out: tuple[str, ...] = ()
    if first.misclassified is not None and not isinstance(reference, int):
        first, reference = replace(first, misclassified=None), None
        left_out = ("misclassified (the map of classes it was compared with is not part of the result)",)
    with scan:
        second = map_polarization(
            replace(scan, calibration=calibration), classifier, params, reference=reference, progress=progress
        )
    return Repetition(first, second, left_out)


def _classifier(path: Path, said: dict[str, Any], given: str | None) -> Classifier:
    """Return the classifier that a result was made with, known by its SHA-256."""
    sha256 = said.get("sha256")
    if given is not None:
        found = load_classifier(given)
    else:
        named = next((info for info in list_models() if info.sha256 == sha256), None)
        if named is None:
            raise ValueError(
                f"{path}: was made with {said.get('name')} (SHA-256 {str(sha256)[:12]}...), which is not installed; "
                "name its file with --model"
            )
        found = load_classifier(named.name if named.path is None else named.path)
    if found.info.sha256 != sha256:
        raise ValueError(f"{path}: was made with another classifier than {given} (SHA-256 {str(sha256)[:12]}...)")
    return found


def _opened(path: Path, said: dict[str, Any], given: Path | None) -> Scan4D:
    """Open the scan that a result was made from, known by its SHA-256, or by size and time."""
    source = given or _source(path, said)
    if source.is_file() and "size" in said:
        _check_same(source, said, path)
    options = said.get("options", {})
    raw = options.get("raw")
    shape = options.get("scan_shape")
    axes = said.get("axes")
    scan = open_scan(
        source,
        scan_shape=None if shape is None else (int(shape[0]), int(shape[1])),
        dataset=said.get("dataset"),
        allow_external=bool(options.get("allow_external", False)),
        axes=None if axes is None else AxisOrder(stored=tuple(axes["stored"]), mirrored=tuple(axes["mirrored"])),
        raw=None if raw is None else RawLayout(**{**raw, "detector_shape": tuple(raw["detector_shape"])}),
    )
    if list(scan.shape) != said.get("shape", list(scan.shape)):
        scan.close()
        raise ValueError(f"{source}: has shape {scan.shape}; {path} was made from one of shape {tuple(said['shape'])}")
    return scan


def _source(path: Path, said: dict[str, Any]) -> Path:
    if not said.get("path"):
        raise ValueError(f"{path}: was made from a scan in memory; name its file with --file")
    stated = Path(said["path"])
    for place in (stated, path.parent / stated.name):
        if place.exists():
            return place
    raise FileNotFoundError(f"{stated}: not there any more, nor beside {path}; name the scan with --file")


def _check_same(source: Path, said: dict[str, Any], path: Path) -> None:
    status = source.stat()
    if "sha256" in said:
        same = status.st_size == said["size"] and file_sha256(source) == said["sha256"]
    else:
        modified = datetime.fromtimestamp(status.st_mtime, UTC).isoformat(timespec="seconds")
        same = status.st_size == said["size"] and modified == said.get("modified")
    if not same:
        raise ValueError(f"{source}: is not the file that {path} was made from; name that one with --file")
