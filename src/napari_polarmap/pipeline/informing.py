"""The information map of a result: what its single patterns tell, folded into one unit cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.information import InformationMap, fold_information
from napari_polarmap.core.lattice import lattice_from_vectors
from napari_polarmap.io.result import PolarizationMap


@dataclass(frozen=True)
class Informed:
    """An information map, and what its directions were compared with."""

    information: InformationMap
    reference: str


def information_of(
    result: PolarizationMap, reference: int | NDArray[np.uint8] | None = None, *, bins: int | None = None
) -> Informed:
    """Fold what single patterns tell into the unit cell of a result.

    Parameters
    ----------
    result : PolarizationMap
    reference : int or ndarray of uint8, shape (scan_y, scan_x), optional
        The true class or classes; the domains of the result itself when not given.
    bins : int, optional
        Places along each side of the cell.

    Raises
    ------
    ValueError
        If the result holds no lattice or no answers to single patterns, or the reference has another shape.
    """
    vectors = result.provenance.get("measured", {}).get("lattice_vectors_px")
    if not vectors:
        raise ValueError("the result holds no lattice; without it nothing can be folded into a unit cell")
    maps = result.virtual_image, result.single_confidence, result.single_entropy_bits, result.single_direction
    if any(values is None for values in maps):
        raise ValueError("the result holds no answers to single patterns; map the scan again with this version")
    image, confidence, entropy, direction = (np.asarray(values) for values in maps)
    truth = result.domain if reference is None else np.asarray(reference, np.uint8)
    if truth.ndim and truth.shape != result.scan_shape:
        raise ValueError(f"the reference has shape {truth.shape}; the map has {result.scan_shape}")
    information = fold_information(
        lattice_from_vectors(np.ravel(vectors).tolist()),
        image,
        confidence,
        entropy,
        direction,
        np.broadcast_to(truth, result.scan_shape),
        bins=bins,
    )
    return Informed(information, "the domain there" if reference is None else "the reference")
