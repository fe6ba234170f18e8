"""What is said of the windows of one size, kept at their centres and brought to every position."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from napari_polarmap.core.directions import N_DIRECTIONS
from napari_polarmap.core.domains import log_softmax
from napari_polarmap.core.pooling import Pool, centre_axes, pooling_matrix
from napari_polarmap.pipeline.looking import Told, Windows
from napari_polarmap.pipeline.tiling import Tile
from napari_polarmap.pipeline.windows import WindowPlan

BATCH: Final = 128
"""Windows classified at once, where the classifier has no number of its own."""

Indices = tuple[NDArray[np.int64], NDArray[np.int64]]


class Answers:
    """What is said of the windows of one size, or of their parts inside one segment, at their centres.

    Parameters
    ----------
    plan : WindowPlan
    size : int
        Which of the plan's sizes.
    found : dict
        What was said in an earlier run, by the names of `arrays`.
    label : int
        Of the segment; -1 for whole windows.
    batch : int
        Windows classified at once.
    """

    def __init__(
        self, plan: WindowPlan, size: int, found: dict[str, NDArray[Any]], label: int = -1, *, batch: int = BATCH
    ) -> None:
        self.pool: Pool = plan.pools[size]
        self.grid, self.size, self.batch = plan.grid, size, batch
        self.axes = centre_axes(plan.grid, self.pool)
        self.shape = len(self.axes[0]), len(self.axes[1])
        self._head = f"{size}." if label < 0 else f"{size}in{label}."
        known = {name.removeprefix(self._head): array for name, array in found.items() if name.startswith(self._head)}
        nothing = np.full((*self.shape, N_DIRECTIONS + 1), np.nan, np.float32)
        self.log_probability: NDArray[np.float32] = known.pop("log_probability", nothing)
        self.estimated: dict[str, NDArray[np.float32]] = known

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return what has been said so far, by names that no other size has."""
        said = {"log_probability": self.log_probability, **self.estimated}
        return {f"{self._head}{name}": array for name, array in said.items()}

    def keep(self, windows: Windows, told: Told) -> None:
        """Keep what is said of some windows."""
        place = windows.place
        self.log_probability[place] = told.log_probability
        for name, values in told.estimated.items():
            kept = self.estimated.setdefault(name, np.full((*self.shape, *values.shape[1:]), np.nan, np.float32))
            kept[place] = values

    def told(self, place: Indices) -> Told:
        """Return what was said of some windows."""
        return Told(self.log_probability[place], {name: values[place] for name, values in self.estimated.items()})

    def of(self, tile: Tile) -> Indices:
        """Return the indices of the centres that lie in a tile."""
        rows, columns = (
            np.flatnonzero((at >= part.start) & (at < part.stop))
            for at, part in zip(self.axes, tile.centred, strict=True)
        )
        return rows, columns

    def everywhere(self, scan_shape: tuple[int, int]) -> NDArray[np.float32]:
        """Interpolate from the centres to every position; beyond the last centre its window is used."""
        places = [
            np.interp(np.arange(length), at[index], np.arange(len(index)))
            for length, at, index in zip(scan_shape, self.grid.axes, self.axes, strict=True)
        ]
        place = np.stack(np.meshgrid(*places, indexing="ij"))
        known = self._filled(self.log_probability)
        channels = [ndimage.map_coordinates(channel, place, order=1) for channel in np.moveaxis(known, -1, 0)]
        return log_softmax(np.stack(channels, axis=-1))

    def nearest(self, scan_shape: tuple[int, int]) -> dict[str, NDArray[np.float32]]:
        """Return, at every position, the numbers estimated at the nearest centre."""
        rows, columns = (
            np.abs(np.arange(length)[:, None] - at[index]).argmin(axis=1)
            for length, at, index in zip(scan_shape, self.grid.axes, self.axes, strict=True)
        )
        return {name: self._filled(values)[np.ix_(rows, columns)] for name, values in self.estimated.items()}

    def _filled(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the nearest answer where a segment does not reach a window."""
        unsaid = np.isnan(self.log_probability[..., 0])
        if not unsaid.any() or unsaid.all():
            return values
        index = ndimage.distance_transform_edt(unsaid, return_distances=False, return_indices=True)
        return np.asarray(values[tuple(index)], np.float32)


def window_places(
    averages: NDArray[np.float32], answer: Answers, tile: Tile, whole: NDArray[np.bool_] | None
) -> tuple[sparse.csr_array, Indices]:
    """Return the matrix from a tile's base windows to the windows centred in it, and their indices.

    A window larger than the scan ends with it: its weights then sum to less than 1. So do those of a window with base
    windows that are not `whole`, which are left out.
    """
    rows, columns = answer.of(tile)
    shift = [at[pick] - part.start for at, pick, part in zip(answer.axes, (rows, columns), tile.nodes, strict=True)]
    matrix = pooling_matrix(averages.shape[:2], shift[0], shift[1], answer.pool.weights)
    if whole is not None:
        matrix = sparse.csr_array(matrix @ sparse.diags_array(whole.ravel().astype(matrix.dtype)))
    place = [grid.ravel() for grid in np.meshgrid(rows, columns, indexing="ij")]
    return matrix, (place[0], place[1])
