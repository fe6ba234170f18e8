"""The irregular regions of a map as a napari layer: an outline in the colour of its kind, with its number."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from contourpy import contour_generator
from numpy.typing import NDArray
from scipy import ndimage

from napari_polarmap.core.kinds import Kind
from napari_polarmap.core.regions import Region
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.pipeline.layer_base import LayerData, map_options
from napari_polarmap.pipeline.review import regions_of

REGION_ROLE: Final = "regions"
KIND_COLORS: Final[dict[Kind, str]] = {
    Kind.DEFECT: "#ff2fd0",
    Kind.WALL: "#ffffff",
    Kind.EDGE: "#ffb000",
    Kind.GLITCH: "#9aa3ad",
}
"""Colour of each kind of region; none of them is a direction's."""
MOST_DRAWN: Final = 200
"""The weaker regions beyond this many are in the table only."""
_MARGIN_PX: Final = 1.0


def region_layer(result: PolarizationMap) -> LayerData:
    """Return the outlines of the irregular regions, the strongest 200 at most.

    The features of each outline hold number, kind, directions, area and peak of its region; the number is written
    beside one outline of each region. Without regions the layer is empty.
    """
    regions, label = regions_of(result)
    paths: list[NDArray[np.float64]] = []
    owners: list[Region] = []
    captions: list[str] = []
    for region in regions[:MOST_DRAWN]:
        for index, path in enumerate(_outlines(label, region)):
            paths.append(path)
            owners.append(region)
            captions.append("" if index else f"{region.number} {region.kind.value}")
    colors = [KIND_COLORS[region.kind] for region in owners]
    options: dict[str, Any] = {
        **map_options(result, "Irregular regions", REGION_ROLE),
        "shape_type": "path",
        "ndim": 2,
        "edge_width": max(0.3, min(result.scan_shape) / 130),
        "edge_color": colors or "#ffffff",
        "face_color": "transparent",
        "opacity": 1.0,
        "features": _features(owners, captions),
        "text": {
            "string": "{caption}",
            "size": 10,
            "color": {"feature": "color"},
            "anchor": "upper_left",
            "translation": [-0.5, 0.0],
        },
    }
    return paths, options, "shapes"


def _features(owners: list[Region], captions: list[str]) -> dict[str, list[Any]]:
    return {
        "caption": captions,
        "number": [region.number for region in owners],
        "kind": [region.kind.value for region in owners],
        "color": [KIND_COLORS[region.kind] for region in owners],
        "directions": [region.directions for region in owners],
        "positions": [region.positions for region in owners],
        "area_nm2": [region.area_nm2 for region in owners],
        "peak": [region.peak_score for region in owners],
    }


def _outlines(label: NDArray[np.int32], region: Region) -> list[NDArray[np.float64]]:
    """Return the closed curves around a region in scan positions, the longest first."""
    top, left, bottom, right = region.box_px
    margin = int(np.ceil(_MARGIN_PX)) + 2
    mask = np.pad(label[top : bottom + 1, left : right + 1] == region.number, margin).astype(np.float64)
    smooth = ndimage.gaussian_filter(mask, 0.8)
    lines = contour_generator(z=smooth).lines(0.2)
    curves = [np.asarray(line)[:, ::-1] + [top - margin, left - margin] for line in lines if len(line) > 3]
    return sorted(curves, key=len, reverse=True)
