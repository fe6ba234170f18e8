"""What several commands make of their options."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from napari_polarmap.terminal import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_polarmap.core.data import Scan4D
    from napari_polarmap.io import RawLayout
    from napari_polarmap.pipeline.parameters import MapParams


CALIBRATION: Final = {
    "mrad_per_px": "detector pixel [mrad]",
    "convergence_mrad": "convergence semi-angle [mrad]",
    "voltage_kV": "accelerating voltage [kV]",
    "scan_step_A": "distance of scan positions [Å]",
    "thickness_nm": "specimen thickness [nm]",
    "rotation_deg": "turn detector vectors counter-clockwise by this into the scan image [degree]",
    "crystal_angle_deg": "angle of a <100> axis against the scan columns, counter-clockwise [degree]",
}
"""Quantities that `run_map` takes as options, and what they are."""


def open_file(args: Namespace) -> Scan4D:
    """Open the scan that is to be worked on."""
    return open_as(args, args.file)


def open_as(args: Namespace, path: Path) -> Scan4D:
    """Open a scan as the options tell."""
    from napari_polarmap.io import AxisOrder, open_scan

    shape = None if args.scan_shape is None else (args.scan_shape[0], args.scan_shape[1])
    return open_scan(
        path,
        scan_shape=shape,
        dataset=args.dataset,
        allow_external=args.allow_external,
        axes=AxisOrder.parse(args.axes) if args.axes else None,
        raw=raw_layout(args),
    )


def raw_layout(args: Namespace) -> RawLayout | None:
    """Return how the numbers of a raw file lie, where that is told."""
    from napari_polarmap.io import RawLayout

    return RawLayout.parse(args.raw) if args.raw else None


def map_params(args: Namespace) -> MapParams:
    """Return the parameters of a map."""
    from napari_polarmap.pipeline.parameters import MapParams

    given = {name: getattr(args, name) for name in ("pool", "center", "crop_px", "fdr", "radius_px")}
    given["lattice_px"] = None if args.lattice is None else _lattice(args.lattice)
    return MapParams(**{name: value for name, value in given.items() if value is not None})


def _lattice(numbers: list[float]) -> tuple[float, ...]:
    """Return lattice vectors ``(y1, x1, y2, x2)`` from these, or from period and angle of a square lattice."""
    from napari_polarmap.core.lattice import square_vectors

    if len(numbers) not in (2, 4):
        raise UsageError(f"--lattice: {len(numbers)} numbers; period and angle, or y1 x1 y2 x2, are needed")
    return square_vectors(*numbers) if len(numbers) == 2 else tuple(numbers)


def calibrated(args: Namespace, scan: Scan4D) -> Scan4D:
    """Return the scan with the calibration of a file, and then that of single options."""
    return scan.calibrated(**calibration_changes(args))


def calibration_changes(args: Namespace) -> dict[str, Any]:
    """Return the quantities of a calibration file, and over them those of single options."""
    from napari_polarmap.io.calibration_file import load_calibration

    known = {} if args.calibration is None else load_calibration(args.calibration)
    given = {name: getattr(args, name) for name in (*CALIBRATION, "flip")}
    return {**known, **{name: value for name, value in given.items() if value is not None}}


def reference_of(text: str, scan_shape: tuple[int, int]) -> int | NDArray[np.uint8]:
    """Return the class or map of classes that `text` names."""
    from napari_polarmap.core.directions import LABELS, parse_direction

    path = Path(text)
    if not path.exists():
        try:
            return int(parse_direction(text))
        except ValueError:
            raise UsageError(
                f"--reference {text}: neither a class ({', '.join(LABELS)}) nor a file that is there"
            ) from None
    from napari_polarmap.pipeline.review import read_reference

    try:
        return read_reference(path, scan_shape)
    except ValueError as error:
        raise UsageError(f"--reference {error}") from None


def check_target(target: Path, source: Path, suffixes: tuple[str, ...]) -> None:
    """Refuse, before any work, targets that cannot be written or would destroy something."""
    if target.suffix.lower() not in suffixes:
        raise UsageError(f"{target}: the name must end in {' or '.join(suffixes)}")
    if not target.parent.is_dir():
        raise UsageError(f"{target.parent}: no such folder to write {target.name} into")
    if not os.access(target.parent, os.W_OK):
        raise UsageError(f"{target.parent}: not allowed to write into this folder")
    if target.is_dir():
        raise UsageError(f"{target}: a folder; name a file")
    if not target.exists():
        return
    if source.exists() and target.samefile(source):
        raise UsageError(f"{target}: the scan itself; choose another name for the result")
    from napari_polarmap.io.result import is_result

    if target.suffix.lower() in (".h5", ".hdf5") and not is_result(target):
        raise UsageError(f"{target}: exists and is no result of polarmap; choose another name, or move it away")


def check_output(target: Path, *sources: Path) -> None:
    """Refuse a folder or an input file as what is written."""
    if target.is_dir():
        raise UsageError(f"{target}: a folder; name a file")
    for source in sources:
        if target.exists() and source.exists() and target.samefile(source):
            raise UsageError(f"{target}: one of the input files; choose another name for --out")
