"""Change how a finished map is judged, without classifying anything again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final
from weakref import ref

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.directions import UNDEFINED
from napari_polarmap.core.irregularity import irregular_at
from napari_polarmap.core.kinds import Kind
from napari_polarmap.core.lattice import Lattice
from napari_polarmap.core.regions import Region, find_regions
from napari_polarmap.io.hdf5 import read_truth
from napari_polarmap.io.result import FORMAT, PolarizationMap


def with_fdr(result: PolarizationMap, fdr: float) -> PolarizationMap:
    """Return the map with its irregular positions marked at another false-discovery rate.

    Raises
    ------
    ValueError
        If `fdr` does not lie between 0 and 1.
    """
    parameters = {**result.provenance.get("parameters", {}), "fdr": fdr}
    return with_regions(
        replace(
            result,
            irregular=irregular_at(result.irregularity, fdr),
            provenance={**result.provenance, "parameters": parameters},
        )
    )


def lattice_of(result: PolarizationMap) -> Lattice | None:
    """Return the lattice of the scan that a result was made from; None where it was not known."""
    vectors = (result.provenance.get("measured") or {}).get("lattice_vectors_px")
    return None if vectors is None else Lattice(vectors_px=np.asarray(vectors, np.float64))


def regions_of(result: PolarizationMap) -> tuple[list[Region], NDArray[np.int32]]:
    """Return the irregular regions of a map and which one each position belongs to; see `find_regions`.

    Table, outlines and provenance ask for the same; what was found last is kept as long as its maps are.
    """
    step_A = (result.provenance.get("calibration") or {}).get("scan_step_A")
    maps = [getattr(result, name) for name in _JUDGED]
    lattice = lattice_of(result)
    scales = (step_A, None if lattice is None else lattice.vectors_px.tolist())
    known = _LAST.get("regions")
    if known is not None and known.scales == scales and known.fits(maps):
        return known.answer
    signal = None
    if result.virtual_image is not None:
        signal = np.stack([result.virtual_image, *np.moveaxis(result.com_px, -1, 0)])
    thickness = None
    if result.thickness_nm is not None and result.thickness_error_nm is not None:
        thickness = result.thickness_nm, result.thickness_error_nm
    answer = find_regions(
        result.irregular,
        result.irregularity,
        result.domain,
        lattice=lattice,
        signal=signal,
        thickness=thickness,
        step_nm=None if step_A is None else step_A / 10,
    )
    _LAST["regions"] = _Found([None if each is None else ref(each) for each in maps], scales, answer)
    return answer


@dataclass(frozen=True)
class _Found:
    """Regions, and the maps that they were found in, which are not kept from being forgotten."""

    maps: list[ref[NDArray[Any]] | None]
    scales: tuple[Any, ...]
    answer: tuple[list[Region], NDArray[np.int32]]

    def fits(self, maps: list[NDArray[Any] | None]) -> bool:
        """Tell whether these are the same arrays."""
        return all(
            each is None if known is None else known() is each is not None
            for known, each in zip(self.maps, maps, strict=True)
        )


_LAST: Final[dict[str, _Found]] = {}
_JUDGED: Final = (
    "irregular",
    "irregularity",
    "domain",
    "virtual_image",
    "com_px",
    "thickness_nm",
    "thickness_error_nm",
)
"""Maps that regions rest on."""


def with_regions(result: PolarizationMap) -> PolarizationMap:
    """Return the map with the table of its irregular regions in the provenance, as plain values."""
    table = [_plain(region) for region in regions_of(result)[0]]
    return replace(result, provenance={**result.provenance, "regions": table})


def _plain(region: Region) -> dict[str, Any]:
    """Return a region as JSON values; what is not known is None."""
    return {
        name: value.value if isinstance(value, Kind) else list(value) if isinstance(value, tuple) else _known(value)
        for name, value in asdict(region).items()
    }


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value


def with_reference(result: PolarizationMap, reference: int | NDArray[np.uint8] | None) -> PolarizationMap:
    """Return the map compared with a class or a map of classes; None takes the comparison away.

    Positions where either is undefined do not differ. The provenance keeps a class as its number, and of a map of
    classes that there was one.

    Raises
    ------
    ValueError
        If a map of classes has another shape.
    """
    provenance = {name: value for name, value in result.provenance.items() if name != "reference"}
    if reference is None:
        return replace(result, misclassified=None, provenance=provenance)
    truth = np.asarray(reference, np.uint8)
    if truth.ndim and truth.shape != result.scan_shape:
        raise ValueError(f"the reference has shape {truth.shape}; the map has {result.scan_shape}")
    differs = (result.direction != truth) & (truth != UNDEFINED) & (result.direction != UNDEFINED)
    provenance["reference"] = "map of classes" if truth.ndim else int(truth)
    return replace(result, misclassified=differs, provenance=provenance)


def read_reference(path: Path, scan_shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the map of classes in a result file, or the truth in a simulated scan.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file holds no classes, or of another shape.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    if not h5py.is_hdf5(path):
        raise ValueError(f"{path}: not an HDF5 file; a map of classes or a result file fits")
    with h5py.File(path, "r") as file:
        is_result = file.attrs.get("format") == FORMAT
    label = PolarizationMap.load(path).domain if is_result else read_truth(path)[0]
    if label is None:
        raise ValueError(f"{path}: holds no /label; a map of classes or a result file fits")
    if label.shape != scan_shape:
        raise ValueError(f"{path}: is a map of {label.shape} positions; the scan has {scan_shape}")
    return label
