"""Change how a finished map is judged, without classifying anything again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.directions import UNDEFINED
from napari_polarmap.core.irregularity import irregular_at
from napari_polarmap.io.result import PolarizationMap


def with_fdr(result: PolarizationMap, fdr: float) -> PolarizationMap:
    """Return the map with its irregular positions marked at another false-discovery rate.

    Raises
    ------
    ValueError
        If `fdr` does not lie between 0 and 1.
    """
    parameters = {**result.provenance.get("parameters", {}), "fdr": fdr}
    return replace(
        result,
        irregular=irregular_at(result.irregularity, fdr),
        provenance={**result.provenance, "parameters": parameters},
    )


def with_reference(result: PolarizationMap, reference: int | NDArray[np.uint8] | None) -> PolarizationMap:
    """Return the map compared with a class or a map of classes; None takes the comparison away.

    Positions where either is undefined do not differ.

    Raises
    ------
    ValueError
        If a map of classes has another shape.
    """
    if reference is None:
        return replace(result, misclassified=None)
    truth = np.asarray(reference, np.uint8)
    if truth.ndim and truth.shape != result.scan_shape:
        raise ValueError(f"the reference has shape {truth.shape}; the map has {result.scan_shape}")
    differs = (result.direction != truth) & (truth != UNDEFINED) & (result.direction != UNDEFINED)
    return replace(result, misclassified=differs)
