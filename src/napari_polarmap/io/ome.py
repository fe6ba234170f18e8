"""Maps as OME-TIFF and OME-Zarr: images that carry their physical size, for any viewer that knows OME."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.directions import COLORS, LABELS, UNDEFINED
from napari_polarmap.core.whole_file import whole_file
from napari_polarmap.io.result import PolarizationMap

CHANNELS: Final = {"probability": LABELS, "com_px": ("y", "x"), "tilt_mrad": ("y", "x")}
"""Maps with an axis beyond the scan, and what lies along it."""
CLASS_MAPS: Final = ("direction", "domain", "single_direction")
NGFF_VERSION: Final = "0.5"


def step_nm(result: PolarizationMap) -> float | None:
    """Return the distance of scan positions [nm]; None where it is not known."""
    step_A = (result.provenance.get("calibration") or {}).get("scan_step_A")
    return None if not step_A else float(step_A) / 10


def write_tiffs(result: PolarizationMap, folder: Path, stem: str, names: Collection[str] | None = None) -> list[Path]:
    """Write one OME-TIFF per map, or those of some `names`; masks are 0 and 255, axes beyond the scan become channels.

    The size of a scan position stands in the OME metadata [nm] and, for programs that do not read these, in the
    resolution of the TIFF.
    """
    import tifffile

    step = step_nm(result)
    size: dict[str, Any] = {}
    if step is not None:
        size = {"resolution": (1e7 / step, 1e7 / step), "resolutionunit": "CENTIMETER"}
    paths = []
    for name, values, channels in _images(result):
        if names is not None and name not in names:
            continue
        metadata: dict[str, Any] = {"axes": "CYX" if channels else "YX", "Name": f"{stem} {name}"}
        metadata["Description"] = _origin(result)
        if channels:
            metadata["Channel"] = {"Name": list(channels)}
        if step is not None:
            metadata |= {
                f"PhysicalSize{axis}{part}": value for axis in "XY" for part, value in (("", step), ("Unit", "nm"))
            }
        path = folder / f"{stem}_{name}.ome.tif"
        with whole_file(path) as partial, tifffile.TiffWriter(partial, ome=True) as file:
            file.write(values, photometric="minisblack", metadata=metadata, **size)
        paths.append(path)
    return paths


def write_zarr(result: PolarizationMap, folder: Path, stem: str) -> list[Path]:
    """Write all maps as images of one OME-Zarr store, with the provenance as attribute.

    Each map is a group that OME-Zarr readers open as an image (``STORE.zarr/domain``); class maps carry the eight
    colours.

    References
    ----------
    .. [1] Next-generation file formats (NGFF) 0.5, https://ngff.openmicroscopy.org/0.5/.
    """
    import zarr

    path = folder / f"{stem}.zarr"
    with whole_file(path) as partial:
        root = zarr.open_group(partial, mode="w")
        root.attrs["provenance"] = json.loads(json.dumps(result.provenance))
        root.attrs["ome"] = {"version": NGFF_VERSION, "bioformats2raw.layout": 3}
        names = []
        for name, values, channels in _images(result):
            image = root.create_group(name)
            image.attrs["ome"] = _ngff(name, channels, step_nm(result))
            if channels:
                image.attrs["channels"] = list(channels)
            axes = ["c", "y", "x"] if channels else ["y", "x"]
            image.create_array("0", data=values, dimension_names=axes)
            names.append(name)
        root.create_group("OME").attrs["ome"] = {"version": NGFF_VERSION, "series": names}
    return [path]


def _images(result: PolarizationMap) -> list[tuple[str, NDArray[Any], tuple[str, ...]]]:
    """Return name, image and names of the channels of every map."""
    images = []
    for name, array in result.arrays().items():
        values = array.astype(np.uint8) * np.uint8(255) if array.dtype == np.bool_ else array
        channels = tuple(CHANNELS.get(name, ()))
        images.append((name, np.ascontiguousarray(np.moveaxis(values, -1, 0) if channels else values), channels))
    return images


def _origin(result: PolarizationMap) -> str:
    """Return in a line what the maps were made from."""
    provenance = result.provenance
    source = Path(str((provenance.get("input") or {}).get("path") or "")).name
    model = (provenance.get("model") or {}).get("name", "")
    return f"napari-polarmap; scan {source or 'unknown'}; model {model or 'unknown'}"


def _ngff(name: str, channels: tuple[str, ...], step: float | None) -> dict[str, Any]:
    """Return the OME attributes of one image."""
    unit = {} if step is None else {"unit": "nanometer"}
    axes: list[dict[str, str]] = [{"name": "c", "type": "channel"}] if channels else []
    axes += [{"name": axis, "type": "space", **unit} for axis in "yx"]
    scale = [*([1.0] if channels else []), step or 1.0, step or 1.0]
    dataset = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}
    record: dict[str, Any] = {
        "version": NGFF_VERSION,
        "multiscales": [{"name": name, "axes": axes, "datasets": [dataset]}],
    }
    if name in CLASS_MAPS:
        colors = [
            {"label-value": index, "rgba": [*bytes.fromhex(color[1:]), 255]} for index, color in enumerate(COLORS)
        ]
        names = [{"label-value": index, "direction": label} for index, label in enumerate(LABELS)]
        record["image-label"] = {
            "colors": [*colors, {"label-value": UNDEFINED, "rgba": [0, 0, 0, 0]}],
            "properties": names,
        }
    return record
