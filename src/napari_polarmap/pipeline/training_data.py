"""Training sets: simulated specimens as averages over the cell and as single patterns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.directions import N_DIRECTIONS, UNDEFINED
from napari_polarmap.core.symmetry import SquareOperation
from napari_polarmap.io.errors import ScanFileError
from napari_polarmap.io.hdf5_tree import open_dataset

NONE: Final = N_DIRECTIONS
"""Class of an unpolarised specimen while training."""

_FACTS: Final = ("specimen", "thickness_nm", "mrad_per_px", "convergence_mrad", "tilt_row_mrad", "tilt_column_mrad")


def turn_labels(operation: SquareOperation, label: NDArray[np.int64]) -> NDArray[np.int64]:
    """Apply an operation to training labels, where 8 is "none"."""
    return np.where(label == NONE, NONE, operation.classes(np.minimum(label, N_DIRECTIONS - 1)))


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Rows are thicknesses of specimens.

    Attributes
    ----------
    pooled : ndarray of float32, shape (rows, qy, qx)
        Averages over all probe positions of a cell; direct beam at ``n / 2``.
    singles : ndarray of float16, shape (rows, k, qy, qx)
        Some single patterns of each row.
    label : ndarray of int, shape (rows,)
        Class; 8 for an unpolarised specimen.
    specimen : ndarray of int, shape (rows,)
        Rows of one specimen share it; splits never cut a specimen.
    thickness_nm, mrad_per_px, convergence_mrad : ndarray, shape (rows,)
    tilt_mrad : ndarray, shape (rows, 2)
    amplitude : ndarray, shape (rows,)
        Displacement relative to the nominal one; 0 for an unpolarised specimen, 1 where the file
        does not tell.
    intensity_scale : float
        What fractions of the incident electrons were multiplied by.
    sources : list of dict
        Name and configuration of the files.
    """

    pooled: NDArray[np.float32]
    singles: NDArray[np.float16]
    label: NDArray[np.int64]
    specimen: NDArray[np.int64]
    thickness_nm: NDArray[np.float64]
    mrad_per_px: NDArray[np.float64]
    convergence_mrad: NDArray[np.float64]
    tilt_mrad: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    intensity_scale: float
    sources: list[dict[str, Any]]

    def split(self, seed: int, *, validation: float = 0.15, test: float = 0.1) -> dict[str, NDArray[np.int64]]:
        """Return row numbers of ``train``, ``validation`` and ``test``, whole specimens each."""
        specimens = np.random.default_rng(seed).permutation(np.unique(self.specimen))
        n_test, n_validation = (max(1, round(share * len(specimens))) for share in (test, validation))
        if len(specimens) < n_test + n_validation + 1:
            raise ScanFileError(f"{len(specimens)} specimens cannot be split; at least 3 are needed")
        parts = np.split(specimens, [n_test, n_test + n_validation])
        names = ("test", "validation", "train")
        return {name: np.flatnonzero(np.isin(self.specimen, part)) for name, part in zip(names, parts, strict=True)}


def load_training_data(paths: list[Path], *, singles: int = 4, seed: int = 0) -> TrainingData:
    """Read training sets made by ``polarmap simulate`` with ``kind = "specimens"``, row by row.

    Parameters
    ----------
    paths : list of Path
    singles : int
        Single patterns kept of each row, at random positions.
    seed : int

    Raises
    ------
    ScanFileError
        If a file is no training set, or the sets differ in pattern size or material.
    """
    rng = np.random.default_rng(seed)
    parts: list[TrainingData] = []
    for path in paths:
        parts.append(_load(Path(path), singles, rng, offset=sum(int(p.specimen.max()) + 1 for p in parts)))
    first = parts[0]
    for part in parts[1:]:
        if part.pooled.shape[1:] != first.pooled.shape[1:] or part.intensity_scale != first.intensity_scale:
            raise ScanFileError(f"{part.sources[0]['file']}: patterns differ in size or scale from the first set")
        for key in ("material", "zone_axis", "voltage_kV"):
            ours, theirs = (str(each.sources[0][key]) for each in (part, first))
            if ours != theirs:
                raise ScanFileError(
                    f"{part.sources[0]['file']}: its {key} is {ours or 'not stated'}, that of the first set "
                    f"{theirs or 'not stated'}; sets of one {key} fit"
                )
    names = ("pooled", "singles", "label", "specimen", *_FACTS[1:4], "tilt_mrad", "amplitude")
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return TrainingData(**joined, intensity_scale=first.intensity_scale, sources=[p.sources[0] for p in parts])


def describe_training_set(path: Path) -> str:
    """Return what a training set holds, in a line; nothing but its facts is read.

    Raises
    ------
    ScanFileError
        If the file is no training set.
    """
    with _opened(path) as file:
        specimens = len(np.unique(file["specimen/specimen"][()]))
        thickness = file["specimen/thickness_nm"][()]
        material = str(file["data"].attrs.get("material", "")) or "material not stated"
        return f"{path.name}: {material}, {specimens} specimens, {thickness.min():.3g} to {thickness.max():.3g} nm"


def _opened(path: Path) -> h5py.File:
    """Open a training set.

    Raises
    ------
    ScanFileError
        If the file is none.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ScanFileError(f"{path}: not a readable HDF5 file ({error})") from None
    if "data" not in file or "label" not in file or any(f"specimen/{name}" not in file for name in _FACTS):
        file.close()
        raise ScanFileError(f'{path}: not a training set; make one with polarmap simulate and kind = "specimens"')
    try:
        for place in ("data", "label", *(f"specimen/{name}" for name in _FACTS)):
            open_dataset(file, place, path, allow_external=False)
    except ScanFileError:
        file.close()
        raise
    return file


def _load(path: Path, singles: int, rng: np.random.Generator, offset: int) -> TrainingData:
    with _opened(path) as file:
        data = file["data"]
        rows, positions = data.shape[:2]
        kept = min(singles, positions)
        pooled = np.empty((rows, *data.shape[2:]), np.float32)
        chosen = np.empty((rows, kept, *data.shape[2:]), np.float16)
        step = data.chunks[0] if data.chunks else 1
        for start in range(0, rows, step):
            block = data[start : start + step]
            pooled[start : start + step] = block.mean(axis=1, dtype=np.float32)
            for row, patterns in enumerate(block, start=start):
                chosen[row] = patterns[rng.choice(positions, kept, replace=False)]
        label = file["label"][:, 0].astype(np.int64)
        facts = {name: np.asarray(file[f"specimen/{name}"][()], np.float64) for name in _FACTS}
        amplitude = file["specimen/amplitude"][()] if "specimen/amplitude" in file else np.ones(rows)
        return TrainingData(
            pooled=pooled,
            singles=chosen,
            label=np.where(label == UNDEFINED, NONE, label),
            specimen=facts["specimen"].astype(np.int64) + offset,
            thickness_nm=facts["thickness_nm"],
            mrad_per_px=facts["mrad_per_px"],
            convergence_mrad=facts["convergence_mrad"],
            tilt_mrad=np.column_stack([facts["tilt_row_mrad"], facts["tilt_column_mrad"]]),
            amplitude=np.where(label == UNDEFINED, 0.0, amplitude),
            intensity_scale=float(data.attrs.get("intensity_scale", 1.0)),
            sources=[
                {
                    "file": path.name,
                    "config_sha256": str(data.attrs.get("config_sha256", "")),
                    "material": str(data.attrs.get("material", "")),
                    "zone_axis": str(data.attrs.get("zone_axis", "")),
                    "voltage_kV": float(data.attrs.get("voltage_kV", 200.0)),
                    "specimens": len(np.unique(facts["specimen"])),
                }
            ],
        )
