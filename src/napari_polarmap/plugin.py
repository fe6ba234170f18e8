"""What the napari manifest names, without Qt: reader, writer and sample data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np

from napari_polarmap.core.directions import UNDEFINED
from napari_polarmap.io import DatasetNeededError, ScanShapeNeededError, open_scan
from napari_polarmap.io.display import display_of
from napari_polarmap.io.result import PolarizationMap, is_result
from napari_polarmap.pipeline.layer_state import with_appearance
from napari_polarmap.pipeline.layers import (
    MAP_KEY,
    MAPS_BEHIND,
    ROLE_KEY,
    SOURCE_KEY,
    LayerData,
    map_layers,
    scan_layer,
)
from napari_polarmap.pipeline.preview import IN_SIGHT_S, quick_look

SAMPLES: Final = {
    "two_domains": "two domains and their wall",
    "defect": "one domain with a structural defect",
}
"""Scans in ``sample_data/``: file stem and title."""


_PREVIEW_BYTES: Final = 24 * 2**20


def get_reader(path: str | Sequence[str]) -> Callable[[str], list[LayerData]] | None:
    """Return the reader of a scan or result file; None for a stack of several paths.

    The scan's bright-field image becomes a layer that carries the scan in its metadata;
    a result brings all its layers back.
    """
    return read_layers if isinstance(path, str) else None


def read_layers(path: str) -> list[LayerData]:
    """Read a scan or a result.

    Raises
    ------
    FileNotFoundError, ValueError
        With one sentence, if the file is neither.
    """
    if is_result(path):
        return map_layers(PolarizationMap.load(path))
    return read_scan(path)


def read_scan(path: str | Path) -> list[LayerData]:
    """Open a scan and return its bright-field image as a layer.

    Raises
    ------
    FileNotFoundError, ValueError
        With one sentence, if it is no scan, or if something has to be asked that only the panel can ask.
    """
    panel = "open it in Plugins > Polarization mapping, which asks for"
    try:
        scan = open_scan(path)
    except ScanShapeNeededError as error:
        raise ValueError(f"{path}: a stack of {error.n_patterns} patterns; {panel} the scan shape") from None
    except DatasetNeededError as error:
        raise ValueError(f"{path}: holds {len(error.choices)} data sets; {panel} the one to use") from None
    preview = quick_look(scan, _PREVIEW_BYTES, IN_SIGHT_S)  # a reader holds the window up
    return [scan_layer(scan, preview.image, preview=not preview.complete)]


def write_result(path: str, layers: list[LayerData]) -> list[str]:
    """Write the result behind the given layers as one file, with the looks of the layers.

    Directions that were painted over in the map are saved as painted.

    Raises
    ------
    ValueError
        If no layer, or layers of more than one result, belong to a polarization map.
    """
    return [str(result_of(path, layers).save(path))]


def write_for_others(path: str, layers: list[LayerData]) -> list[str]:
    """Write the result behind the given layers in the format of the suffix, as the export does.

    ``.tif`` writes only the maps that the layers show, each as ``NAME_MAP.ome.tif``.

    Raises
    ------
    ValueError
        If no layer, or layers of more than one result, belong to a polarization map, or for another suffix.
    """
    from napari_polarmap.io.export import export_map
    from napari_polarmap.io.ome import write_tiffs

    target = Path(path)
    result = result_of(path, layers)
    if target.suffix.lower() in (".tif", ".tiff"):
        roles = [meta["metadata"].get(ROLE_KEY) for _, meta, _ in _of_maps(layers)]
        shown = {name for role in roles for name in MAPS_BEHIND.get(role, ())}
        written = write_tiffs(result, target.parent, target.stem.removesuffix(".ome"), shown)
    else:
        written = export_map(
            result, target.parent, [target.suffix.lower().lstrip(".")], target.stem, display_of(result)
        )
    return [str(file) for file in written]


def result_of(path: str, layers: list[LayerData]) -> PolarizationMap:
    """Return the one result that layers belong to, as they show it: looks, and directions that were painted.

    Raises
    ------
    ValueError
        If no layer, or layers of more than one result, belong to a polarization map.
    """
    found = {id(meta["metadata"][MAP_KEY]): meta["metadata"][MAP_KEY] for _, meta, _ in _of_maps(layers)}
    if len(found) != 1:
        what = "layers of several polarization maps" if found else "no layer of a polarization map"
        raise ValueError(f"{path}: {what} to save; select the layers of one map")
    (result,) = found.values()
    source = _of_maps(layers)[0][1]["metadata"][SOURCE_KEY]
    for data, meta, _ in _of_maps(layers):
        if meta["metadata"].get(ROLE_KEY) == "direction":
            result = _with_painted(result, np.asarray(data))
    together = [layer for layer in layers if (layer[1].get("metadata") or {}).get(SOURCE_KEY) is source]
    return with_appearance(result, together)


def _of_maps(layers: list[LayerData]) -> list[LayerData]:
    return [layer for layer in layers if MAP_KEY in (layer[1].get("metadata") or {})]


def _with_painted(result: PolarizationMap, label: np.ndarray[Any, np.dtype[Any]]) -> PolarizationMap:
    known = (label >= 1) & (label <= 8)
    domain = np.where(known, label.astype(np.int64) - 1, UNDEFINED).astype(np.uint8)
    changed = int((domain != result.domain).sum())
    if changed == 0:
        return result
    notes = [*result.provenance.get("notes", []), f"{changed} positions of the direction map were edited by hand."]
    return replace(result, domain=domain, provenance={**result.provenance, "notes": notes})


def sample_path(name: str) -> Path:
    """Return the file of a sample scan by its stem."""
    return Path(str(files("napari_polarmap") / "sample_data" / f"{name}.h5"))


def sample_two_domains() -> list[LayerData]:
    """Open the sample with two domains."""
    return read_scan(sample_path("two_domains"))


def sample_defect() -> list[LayerData]:
    """Open the sample with a structural defect."""
    return read_scan(sample_path("defect"))
