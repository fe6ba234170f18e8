"""Windows that average patterns over whole unit cells, so that the lattice cancels.

The probe position inside the cell changes a pattern a hundred times more than the
polarization does; the average over whole cells, for any real period, does not know
it. A window is a set of weights on scan positions around its centre. Near the border
windows are moved inside, never filled with mirrored data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

_HARMONICS: Final = 7
"""Lattice harmonics a probe of 24 mrad transfers at a = 4 A (twice the aperture over the wavelength)."""
_SUBSAMPLES: Final = 7
_RIDGE: Final = 0.02
"""What an uneven window costs in counting noise, weighed against a lattice wave left in it."""


@dataclass(frozen=True)
class Window:
    """Weights on the scan positions around a centre; they sum to 1.

    Attributes
    ----------
    weights : ndarray, shape (2 half_y + 1, 2 half_x + 1)
    cells : float
        Width in unit cells.
    leak : float
        Largest share of a lattice harmonic that is left, 0 for perfect cancellation.
    """

    weights: NDArray[np.float64]
    cells: float
    leak: float

    @property
    def half(self) -> tuple[int, int]:
        """Reach ``(y, x)`` from the centre in scan positions."""
        return self.weights.shape[0] // 2, self.weights.shape[1] // 2

    @property
    def effective_positions(self) -> float:
        """Number of equally weighted positions with the same counting noise."""
        return float(1 / (self.weights**2).sum())


def cell_window(vectors_px: NDArray[np.float64], cells: float = 1.0) -> Window:
    """Return the window of `cells` x `cells` unit cells that cancels the lattice best.

    Starts from the share of every scan position inside the parallelogram of the cell
    and changes the weights as little as it takes to cancel the harmonics of the
    lattice, so that periods need not be whole numbers of positions.

    Parameters
    ----------
    vectors_px : ndarray, shape (2, 2)
        Lattice vectors as rows ``(y, x)``, in scan positions.
    cells : float
        Edge of the window; whole numbers cancel.

    Returns
    -------
    Window

    Raises
    ------
    ValueError
        If the vectors do not span a cell of at least 2 x 2 positions.

    Examples
    --------
    >>> window = cell_window(np.array([[0.0, 8.0], [8.0, 0.0]]))
    >>> round(window.leak, 2), round(window.effective_positions)
    (0.0, 73)
    """
    vectors = np.asarray(vectors_px, dtype=np.float64)
    if vectors.shape != (2, 2) or not np.isfinite(vectors).all() or abs(np.linalg.det(vectors)) < 4:
        raise ValueError(
            f"lattice vectors {vectors.tolist()} px span less than 2 x 2 scan positions; none can be pooled"
        )
    reach = np.ceil(np.abs(vectors).sum(axis=0) * cells / 2).astype(int)
    y, x = np.mgrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1]
    offset = np.stack([y, x], axis=-1).astype(np.float64)
    fine = (np.arange(_SUBSAMPLES) + 0.5) / _SUBSAMPLES - 0.5
    inside = np.zeros(y.shape)
    to_cell = np.asarray(np.linalg.inv(vectors), dtype=np.float64)
    for fy in fine:
        for fx in fine:
            inside += (np.abs((offset + np.array([fy, fx])) @ to_cell) <= cells / 2 + 1e-9).all(axis=-1)
    share = inside / inside.sum()
    used = share > 0
    waves = _lattice_waves(offset[used], to_cell)
    base = share[used]
    # The least relative change of the weights, against what is left of the waves.
    scaled = waves * np.sqrt(base)
    gram = scaled @ scaled.T
    gram[np.diag_indices_from(gram)] += _RIDGE
    corrected = base - np.sqrt(base) * (scaled.T @ np.linalg.solve(gram, waves @ base))
    corrected /= corrected.sum()
    weights = np.zeros(y.shape)
    weights[used] = corrected
    return Window(weights, float(cells), float(np.hypot(*np.split(waves @ corrected, 2)).max()))


def round_window(radius_px: float) -> Window:
    """Return a disk of equal weights, for scans whose lattice is not resolved."""
    reach = max(1, int(np.floor(radius_px)))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    weights = (np.hypot(y, x) <= radius_px).astype(np.float64)
    return Window(weights / weights.sum(), 0.0, 1.0)


def _lattice_waves(offset: NDArray[np.float64], to_cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosines, then sines, of the lattice harmonics; the higher, the fainter, as the lens transfers them."""
    order = np.arange(-_HARMONICS, _HARMONICS + 1)
    index = np.stack(np.meshgrid(order, order, indexing="ij"), axis=-1).reshape(-1, 2)
    # One of each pair +-g.
    index = index[(index[:, 0] > 0) | ((index[:, 0] == 0) & (index[:, 1] > 0))]
    index = index[np.hypot(*index.T) <= _HARMONICS]
    # Harmonics that alias onto zero frequency look constant on this scan; nothing can cancel them.
    frequency = index @ to_cell.T
    aliased = np.abs(frequency - np.round(frequency)).max(axis=1) < 1e-3
    phase = 2 * np.pi * offset @ (frequency[~aliased]).T
    transfer = 1 - np.hypot(*index[~aliased].T) / (_HARMONICS + 1)
    waves = np.concatenate([np.cos(phase).T, np.sin(phase).T]) * np.tile(transfer, 2)[:, None]
    return np.asarray(waves, dtype=np.float64)


def centre_grid(
    scan_shape: tuple[int, int], window: Window, stride_px: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows and columns of window centres: every `stride_px`, all inside the scan.

    Raises
    ------
    ValueError
        If the window is larger than the scan.
    """
    axes = []
    for length, half in zip(scan_shape, window.half, strict=True):
        first, last = half, length - 1 - half
        if last < first:
            raise ValueError(
                f"a window of {window.weights.shape[0]} x {window.weights.shape[1]} positions does not fit a scan of "
                f"{scan_shape[0]} x {scan_shape[1]}"
            )
        count = 1 + -(-(last - first) // stride_px)
        axes.append(np.unique(np.round(np.linspace(first, last, count)).astype(np.int64)))
    return axes[0], axes[1]


def pooling_matrix(
    shape: tuple[int, int], rows: NDArray[np.int64], columns: NDArray[np.int64], window: Window
) -> sparse.csr_array:
    """Return the matrix that takes the patterns of a block to its pooled patterns.

    Parameters
    ----------
    shape : (int, int)
        Scan positions of the block.
    rows, columns : ndarray of int
        Window centres inside the block; every window must lie inside.
    window : Window

    Returns
    -------
    csr_array, shape (rows * columns, shape[0] * shape[1])
    """
    half_y, half_x = window.half
    dy, dx = np.nonzero(window.weights)
    values = window.weights[dy, dx]
    centre = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    taps = (centre[:, :1] + dy - half_y) * shape[1] + centre[:, 1:] + dx - half_x
    pointer = np.arange(len(centre) + 1) * len(values)
    return sparse.csr_array(
        (np.tile(values.astype(np.float32), len(centre)), taps.ravel(), pointer),
        shape=(len(centre), shape[0] * shape[1]),
    )
