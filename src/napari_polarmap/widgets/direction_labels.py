"""Layers whose status is what the map says at the cursor."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer

from napari_polarmap.pipeline.layers import MAP_KEY, ROLE_KEY
from napari_polarmap.pipeline.reading import reading


class _Reading:
    """The status bar reads direction, confidence, thickness, tilt and window of the position."""

    def get_status(self, position: Any = None, *, world: bool = False, **options: Any) -> dict[str, str]:
        """Return napari's status with the reading in place of the value."""
        status = super().get_status(position, world=world, **options)
        result = self.metadata.get(MAP_KEY)
        if position is None or result is None:
            return status
        point = np.asarray(self.world_to_data(position) if world else position)[-2:]
        row, column = (int(value) for value in np.rint(point))
        rows, columns = result.scan_shape
        if 0 <= row < rows and 0 <= column < columns:
            text = reading(result, row, column)
            status["value"] = text
            status["coordinates"] = f"row {row}, column {column}: {text}"
        return status


class DirectionLabels(_Reading, Labels):
    """Directions in eight colours."""

    @property
    def _type_string(self) -> str:
        """Labels, for napari's menus, icons and files."""
        return "labels"


class AngleImage(_Reading, Image):
    """The continuous angle in colours."""

    @property
    def _type_string(self) -> str:
        """Image, for napari's menus, icons and files."""
        return "image"


_READING = {"direction": DirectionLabels, "window": DirectionLabels, "angle": AngleImage}


def make_layer(data: Any, options: dict[str, Any], kind: str) -> Layer:
    """Return the layer of some layer data; directions get one that reads the map."""
    special = _READING.get(options["metadata"].get(ROLE_KEY))
    return Layer.create(data, options, kind) if special is None else special(data, **options)
