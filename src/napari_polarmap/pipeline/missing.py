"""Averages over unit cells in which positions are missing.

An average over a cell in which a position is missing no longer cancels the lattice, which is stronger than the
polarization; it would tell a wrong direction with confidence. So the pattern one lattice vector away stands for it, see
`Frame.patterns`. Where there is none, averages that reach the position are left out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.pooling import pooling_matrix
from napari_polarmap.pipeline.tiling import Tile
from napari_polarmap.pipeline.windows import WindowPlan


def undisturbed(hollow: NDArray[np.bool_], plan: WindowPlan, tile: Tile) -> NDArray[np.bool_] | None:
    """Return which base windows of a tile reach no position that nothing stands for, shape (y, x); None if all do."""
    here = hollow[tile.read]
    if not here.any():
        return None
    at = [axis[part] - read.start for axis, part, read in zip(plan.grid.axes, tile.nodes, tile.read, strict=True)]
    share = pooling_matrix(here.shape, at[0], at[1], plan.base.weights) @ here.ravel().astype(np.float32)
    return np.asarray(share <= 1e-6).reshape(len(at[0]), len(at[1]))
