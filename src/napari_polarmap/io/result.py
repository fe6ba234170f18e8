"""The result of a run: maps over the scan with their provenance, as one HDF5 file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.whole_file import whole_file
from napari_polarmap.io.hdf5_tree import open_dataset
from napari_polarmap.io.limits import check_pieces

FORMAT: Final = "napari-polarmap result"
FORMAT_VERSION: Final = 1

_DTYPES: Final[dict[str, type[np.generic]]] = {
    "direction": np.uint8,
    "probability": np.float32,
    "angle_deg": np.float32,
    "confidence": np.float32,
    "irregularity": np.float32,
    "irregular": np.bool_,
    "misclassified": np.bool_,
    "com_px": np.float32,
    "domain": np.uint8,
    "virtual_image": np.float32,
    "window_cells": np.float32,
    "prediction_set": np.uint16,
    "single_direction": np.uint8,
    "single_confidence": np.float32,
    "single_entropy_bits": np.float32,
    "estimated_angle_deg": np.float32,
    "estimated_angle_error_deg": np.float32,
    "magnitude": np.float32,
    "magnitude_error": np.float32,
    "thickness_nm": np.float32,
    "thickness_error_nm": np.float32,
    "tilt_mrad": np.float32,
    "estimate_misfit": np.float32,
}
_TRAILING: Final = {"probability": (8,), "com_px": (2,), "tilt_mrad": (2,)}
_REQUIRED: Final = (
    "direction",
    "probability",
    "angle_deg",
    "confidence",
    "irregularity",
    "irregular",
    "com_px",
    "domain",
)


def is_result(path: str | Path) -> bool:
    """Tell whether a file is one that `PolarizationMap.save` wrote."""
    if not Path(path).is_file() or not h5py.is_hdf5(path):
        return False
    try:
        with h5py.File(path, "r") as file:
            return bool(file.attrs.get("format") == FORMAT)
    except OSError:
        return False


@dataclass(frozen=True, kw_only=True, eq=False)
class PolarizationMap:
    """Maps of one run; every array begins with the axes ``(scan_y, scan_x)``.

    Attributes
    ----------
    direction : ndarray of uint8
        Class from the single pattern or pooled window asked for; 255 undefined.
    probability : ndarray of float32, shape (scan_y, scan_x, 8)
        Sums to 1; NaN where undefined.
    angle_deg : ndarray of float32
        Counter-clockwise on the screen, frame of the scan image; NaN where undefined.
    confidence : ndarray of float32
        Probability that `direction` is right, 0 to 1.
    irregularity : ndarray of float32
        Higher = departs more from the lattice-periodic expectation.
    irregular : ndarray of bool
        Irregularity above the stated false-discovery rate.
    com_px : ndarray of float32, shape (scan_y, scan_x, 2)
        Centre of mass ``(y, x)`` in detector pixels.
    domain : ndarray of uint8
        The direction to publish, walls kept sharp; 255 undefined.
    misclassified : ndarray of bool, optional
        Prediction differs from the reference; only with a reference.
    virtual_image : ndarray of float32, optional
        Counts inside the direct disk.
    window_cells : ndarray of float32, optional
        Width of the window behind `domain`, in unit cells; 0 for a neighbourhood without lattice.
    prediction_set : ndarray of uint16, optional
        What the truth is among nine times in ten, as bits: 0 to 7 the classes, 8 no polarization.
    single_direction : ndarray of uint8, optional
        Most probable class of each single pattern, however unsure; 255 without counts, and
        where several are equally probable.
    single_confidence : ndarray of float32, optional
        Probability that it is right.
    single_entropy_bits : ndarray of float32, optional
        Entropy of the answer to the single pattern, 0 to 3.17 bits.
    estimated_angle_deg, estimated_angle_error_deg : ndarray of float32, optional
        Angle of P by the physical estimator and its standard error (counting, and the scatter between
        specimens), from the window in `window_cells`; NaN where not known.
    magnitude, magnitude_error : ndarray of float32, optional
        Displacement relative to the simulated one, and standard error.
    thickness_nm, thickness_error_nm : ndarray of float32, optional
        Thickness of the specimen and standard error.
    tilt_mrad : ndarray of float32, shape (scan_y, scan_x, 2), optional
        Tilt of the specimen ``(y, x)`` in the frame of the scan image.
    estimate_misfit : ndarray of float32, optional
        What the physical estimator leaves unexplained; about 1 where its model holds.
    provenance : dict
        What is needed to repeat the run; plain JSON values.
    display : dict
        How its layers looked when it was saved; plain JSON values, empty where nobody looked.

    Raises
    ------
    ValueError
        If the maps differ in shape.
    """

    direction: NDArray[np.uint8]
    probability: NDArray[np.float32]
    angle_deg: NDArray[np.float32]
    confidence: NDArray[np.float32]
    irregularity: NDArray[np.float32]
    irregular: NDArray[np.bool_]
    com_px: NDArray[np.float32]
    domain: NDArray[np.uint8]
    misclassified: NDArray[np.bool_] | None = None
    virtual_image: NDArray[np.float32] | None = None
    window_cells: NDArray[np.float32] | None = None
    prediction_set: NDArray[np.uint16] | None = None
    single_direction: NDArray[np.uint8] | None = None
    single_confidence: NDArray[np.float32] | None = None
    single_entropy_bits: NDArray[np.float32] | None = None
    estimated_angle_deg: NDArray[np.float32] | None = None
    estimated_angle_error_deg: NDArray[np.float32] | None = None
    magnitude: NDArray[np.float32] | None = None
    magnitude_error: NDArray[np.float32] | None = None
    thickness_nm: NDArray[np.float32] | None = None
    thickness_error_nm: NDArray[np.float32] | None = None
    tilt_mrad: NDArray[np.float32] | None = None
    estimate_misfit: NDArray[np.float32] | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    display: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, array in self.arrays().items():
            expected = (*self.scan_shape, *_TRAILING.get(name, ()))
            if array.shape != expected:
                raise ValueError(f"map {name!r} has shape {array.shape}; {expected} fits")

    @property
    def scan_shape(self) -> tuple[int, int]:
        """``(scan_y, scan_x)``."""
        rows, columns = self.direction.shape
        return rows, columns

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the maps that are present, by name."""
        return {
            entry.name: value
            for entry in fields(self)
            if entry.name not in ("provenance", "display") and (value := getattr(self, entry.name)) is not None
        }

    def save(self, path: str | Path) -> Path:
        """Write the result to `path`, under a temporary name until it is whole.

        Raises
        ------
        OSError
            If the folder cannot be written; an existing file is left as it was.
        """
        path = Path(path)
        # Made in memory: HDF5 cannot close a file on a full disk, and would hold its room as long as the program runs.
        with h5py.File(path.name, "w", driver="core", backing_store=False) as file:
            file.attrs["format"] = FORMAT
            file.attrs["format_version"] = FORMAT_VERSION
            file.attrs["complete"] = True
            for name, array in self.arrays().items():
                file.create_dataset(
                    name, data=array.astype(_DTYPES[name], copy=False), compression="gzip", shuffle=True
                )
            file["provenance"] = json.dumps(self.provenance, indent=1, sort_keys=True)
            if self.display:
                file["display"] = json.dumps(self.display, indent=1)
            file.flush()
            image = file.id.get_file_image()
        with whole_file(path) as partial:
            partial.write_bytes(image)
        return path

    @classmethod
    def load(cls, path: str | Path) -> PolarizationMap:
        """Read a result file.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is no result of ours, of a newer format, or not whole.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
        try:
            with h5py.File(path, "r") as file:
                if file.attrs.get("format") != FORMAT:
                    raise ValueError(f"{path}: not a napari-polarmap result file")
                if int(file.attrs.get("format_version", 0)) > FORMAT_VERSION:
                    raise ValueError(
                        f"{path}: result format {file.attrs['format_version']} is newer than this program reads "
                        f"({FORMAT_VERSION}); update napari-polarmap"
                    )
                if not file.attrs.get("complete", False):
                    raise ValueError(f"{path}: the run that writes this result has not finished")
                names = [name for name in _DTYPES if name in file or name in _REQUIRED]
                arrays = {name: _read(file, name, path) for name in names}
                provenance = _read_json(file, "provenance", path)
                display = _read_json(file, "display", path) if "display" in file else {}
            return cls(**arrays, provenance=provenance, display=display if isinstance(display, dict) else {})
        except ValueError as error:
            raise error if str(path) in str(error) else ValueError(f"{path}: {error}") from None
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 -- what h5py raises at a damaged file is not one kind of error
            raise ValueError(f"{path}: not a readable result file ({' '.join(str(error).split())})") from None


def _read(file: h5py.File, name: str, path: Path) -> NDArray[Any]:
    node = open_dataset(file, name, path, allow_external=False)
    check_pieces(path, node.shape, np.dtype(_DTYPES[name]).itemsize, f"map {name!r}")
    return np.asarray(node[()], dtype=_DTYPES[name])


def _read_json(file: h5py.File, name: str, path: Path) -> Any:
    return json.loads(open_dataset(file, name, path, allow_external=False).asstr()[()])
