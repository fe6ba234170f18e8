"""What HDF5 files of other programs, and our own, say about how a scan was taken."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from napari_polarmap.core.data import Calibration
from napari_polarmap.io.calibration import angle_mrad, from_axes, length_A, positive

_NUMBERS = ("voltage_kV", "convergence_mrad", "mrad_per_px", "scan_step_A", "thickness_nm")


def read_calibration(node: h5py.Dataset, file: h5py.File, path: Path, *, own_only: bool = False) -> Calibration:
    """Return what the file tells about `node`; whatever cannot be read or makes no sense stays unknown.

    `own_only` leaves it at the attributes of `node`: links in the file might lead out of it.
    """
    found: dict[str, Any] = {}
    others = (_py4dstem, _py4dstem_older, _prismatic, _hyperspy, _emd_axes, _nexus, _dectris)
    for reader in (_own, *(() if own_only else others)):
        try:
            values = reader(node, file, path)
        except Exception:  # noqa: BLE001, S112 -- other programs leave all kinds of things
            continue
        for name, value in values.items():
            if value is not None:
                found.setdefault(name, value)
    return Calibration(**found)


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _top_group(node: h5py.Dataset, file: h5py.File) -> h5py.Group:
    group = file[node.name.split("/")[1]]
    if not isinstance(group, h5py.Group):
        raise KeyError(node.name)
    return group


def _own(node: h5py.Dataset, file: h5py.File, path: Path) -> dict[str, Any]:
    del file, path
    return own_calibration(node)


def own_calibration(node: Any) -> dict[str, Any]:
    """Attributes on an HDF5 dataset or Zarr array, named as in `Calibration`."""
    found: dict[str, Any] = {name: positive(node.attrs.get(name)) for name in _NUMBERS}
    for name in ("material", "zone_axis"):
        found[name] = _text(node.attrs[name]) if name in node.attrs else None
    for name in ("rotation_deg", "crystal_angle_deg"):
        if name in node.attrs and np.isfinite(node.attrs[name]):
            found[name] = float(node.attrs[name])
    if "flip" in node.attrs:
        found["flip"] = bool(node.attrs["flip"])
    known = {entry.name for entry in fields(Calibration)}
    return {name: value for name, value in found.items() if name in known}


def _pixel_sizes(values: Any, q_size: str, r_size: str, q_units: str, r_units: str, voltage: Any) -> dict[str, Any]:
    """Turn named sizes and units, as py4DSTEM writes them, into ours."""
    voltage_kV = positive(voltage, 1e-3)
    step, angle = positive(values.get(r_size)), positive(values.get(q_size))
    return {
        "voltage_kV": voltage_kV,
        "scan_step_A": length_A(step, _text(values.get(r_units))) if step else None,
        "mrad_per_px": angle_mrad(angle, _text(values.get(q_units)), voltage_kV) if angle else None,
    }


def _py4dstem(node: h5py.Dataset, file: h5py.File, path: Path) -> dict[str, Any]:
    """EMD 1.0: a bundle of scalars beside the data."""
    del path
    root = _top_group(node, file)
    values = {name: item[()] for name, item in root["metadatabundle/calibration"].items() if hasattr(item, "shape")}
    voltage = values.get("accelerating_voltage", values.get("voltage"))
    sizes = _pixel_sizes(values, "Q_pixel_size", "R_pixel_size", "Q_pixel_units", "R_pixel_units", voltage)
    return {**sizes, "convergence_mrad": positive(values.get("convergence_semiangle_mrad"))}


def _py4dstem_older(node: h5py.Dataset, file: h5py.File, path: Path) -> dict[str, Any]:
    """EMD 0.x of py4DSTEM: attributes of metadata groups."""
    del path
    root = _top_group(node, file)["metadata/metadata_0"]
    values = {**dict(root["microscope"].attrs), **dict(root["calibration"].attrs)}
    voltage = values.get("accelerating_voltage")
    q_size = "Q_pixel_size" if "Q_pixel_size" in values else "K_pix_size"
    r_size = "R_pixel_size" if "R_pixel_size" in values else "R_pix_size"
    q_units, r_units = (name.replace("size", "units") for name in (q_size, r_size))
    sizes = _pixel_sizes(values, q_size, r_size, q_units, r_units, voltage)
    return {**sizes, "convergence_mrad": positive(values.get("convergence_semiangle_mrad"))}


def _prismatic(node: h5py.Dataset, file: h5py.File, path: Path) -> dict[str, Any]:
    """Prismatic: its axes are in angstrom and inverse angstrom, though it labels them nm (see its input ``px``)."""
    del path
    root = _top_group(node, file)
    given = root["metadata/metadata_0/original/simulation_parameters"].attrs
    voltage_kV = positive(given["E"])
    steps = [float(np.diff(node.parent[name][:2])[0]) for name in ("dim3", "dim4")]
    return {
        "voltage_kV": voltage_kV,
        "convergence_mrad": positive(given["A"]),
        "scan_step_A": positive(given["px"]) if given["px"] == given["py"] else None,
        "mrad_per_px": from_axes([(1, ""), (1, ""), *((step, "1/A") for step in steps)], voltage_kV).get("mrad_per_px"),
    }


def _hyperspy(node: h5py.Dataset, file: h5py.File, path: Path) -> dict[str, Any]:
    del file, path
    return hyperspy_calibration(node.parent)


def hyperspy_calibration(group: Any) -> dict[str, Any]:
    """HyperSpy and RosettaSciIO, in HDF5 and Zarr: a group per axis, a tree of metadata."""
    axes = [group[f"axis-{index}"].attrs for index in range(4)]
    microscope: Any = group.get("metadata/Acquisition_instrument/TEM")
    values = {} if microscope is None else dict(microscope.attrs)
    voltage_kV = positive(values.get("beam_energy"))
    steps = [(float(axis["scale"]), _text(axis.get("units", ""))) for axis in axes]
    return {
        "voltage_kV": voltage_kV,
        "convergence_mrad": positive(values.get("convergence_angle")),
        **from_axes(steps, voltage_kV),
    }


def _emd_axes(node: h5py.Dataset, file: h5py.File, path: Path) -> dict[str, Any]:
    """EMD: one vector per axis, counted from 0 or from 1."""
    del file, path
    first = 0 if "dim0" in node.parent else 1
    vectors = [node.parent[f"dim{index + first}"] for index in range(4)]
    return from_axes([(float(v[1] - v[0]), _text(v.attrs.get("units", ""))) for v in vectors])


def _nexus(node: h5py.Dataset, file: h5py.File, path: Path) -> dict[str, Any]:
    """NeXus: the group names an axis for each dimension."""
    del file, path
    names = [_text(name) for name in np.atleast_1d(node.parent.attrs["axes"])]
    vectors = [node.parent[name] for name in names]
    return from_axes([(float(v[1] - v[0]), _text(v.attrs.get("units", ""))) for v in vectors])


def _dectris(node: h5py.Dataset, file: h5py.File, path: Path) -> dict[str, Any]:
    """Dectris master file: photon energy is the beam energy; the step from the file of the scan, if calibrated."""
    del node
    found: dict[str, Any] = {
        "voltage_kV": positive(file["entry/instrument/detector/detectorSpecific/photon_energy"][()], 1e-3)
    }
    scan = _dectris_scan(path)
    if positive(scan.get("IsPixelSizeCalibrated")):
        found["scan_step_A"] = positive(scan.get("Pixel Size"), 10.0)
    return found


def dectris_scan_shape(path: Path, n_patterns: int) -> tuple[int, int] | None:
    """Return the scan shape that the file beside a Dectris master file states, if it fits."""
    scan = _dectris_scan(path)
    rows, columns = (positive(scan.get(name)) for name in ("NumPixelsY", "NumPixelsX"))
    if rows is None or columns is None or round(rows * columns) != n_patterns:
        return None
    return round(rows), round(columns)


def _dectris_scan(path: Path) -> dict[str, Any]:
    name, master, _ = path.name.partition("_master")
    try:
        with h5py.File(path.with_name(f"{name}.h5") if master else "", "r") as file:
            return dict(file["STEM Metadata"].attrs)
    except (OSError, KeyError, ValueError):
        return {}
