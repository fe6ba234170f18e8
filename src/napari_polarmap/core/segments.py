"""Where domains end: cells told apart by templates, and joined with their neighbours.

A cell by itself says little of its direction. Once thickness and tilt are known from larger
windows around it, what it says of each direction can be added up over cells, and a chain of
cells that agree is cut where the evidence on both sides outweighs the cost of a wall. The
segments found tell windows where to end; what lies in them is for a classifier to say.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_polarmap.core.directions import ANGLES_DEG, N_DIRECTIONS
from napari_polarmap.core.domains import log_softmax
from napari_polarmap.core.odd_part import (
    N_PARAMETERS,
    TILT_SCALE_MRAD,
    fold,
    normalised,
    odd_terms,
    polarization_axes,
)
from napari_polarmap.core.template_fit import PRIOR_SD, PhysicalModel

Array = NDArray[np.float64]
Block = tuple[slice, slice]

_WALL: Final = 3.0
"""Cost of a wall between two neighbouring places of the grid, in log-odds; less across a diagonal."""
_STEPS: Final = ((0, 1), (1, 0), (1, 1), (1, -1))
"""To the neighbours; with the diagonal ones a wall costs nearly the same in every direction."""
_ROUNDS: Final = 60
_LEAST_ELECTRONS: Final = 5e5
"""A segment of fewer may be a play of noise."""
_STEP: Final = 1e-3
_NUISANCES: Final = 4
"""Tilt and offset: the first of the parameters of `odd_terms`."""


def cell_evidence(
    model: PhysicalModel, patterns: NDArray[np.floating], variance: Array, thickness_nm: Array, tilt_mrad: Array
) -> NDArray[np.float32]:
    """Return log-probabilities of the eight directions and of none, with thickness and tilt known nearly.

    Errors of the tilt and of the disk's centre are integrated out in every pattern, as they may be
    the same in all; the amplitude is taken to be 1.

    Parameters
    ----------
    model : PhysicalModel
    patterns : ndarray, shape (n, edge, edge)
        Averages over one cell.
    variance : ndarray, shape (n,)
        Counting noise as one over the electrons.
    thickness_nm : ndarray, shape (n,)
    tilt_mrad : ndarray, shape (n, 2)

    Returns
    -------
    ndarray, shape (n, 9)
    """
    odd, _ = fold(normalised(patterns))
    seen = (2 * odd * model.weight) @ model.odd_modes.T
    node = np.abs(thickness_nm[:, None] - model.thickness_nm).argmin(axis=1)
    prior = np.diag(PRIOR_SD[:_NUISANCES] ** -2.0)
    out = np.zeros((len(patterns), N_DIRECTIONS + 1))
    for j in np.unique(node):
        rows = np.flatnonzero(node == j)
        table = model.odd_terms[j] @ model.odd_axes[j]
        at = np.zeros((len(rows), N_DIRECTIONS + 1, N_PARAMETERS))
        at[..., :2] = tilt_mrad[rows, None] / TILT_SCALE_MRAD
        at[:, :N_DIRECTIONS, _NUISANCES:] = polarization_axes(ANGLES_DEG)
        moves = np.zeros((_NUISANCES, N_PARAMETERS))
        moves[:, :_NUISANCES] = _STEP * np.eye(_NUISANCES)
        slope = (_expected(at[:, -1:] + moves, table) - _expected(at[:, -1:] - moves, table)) / (2 * _STEP)
        precision = 1 / (np.tile(model.odd_variance[j], 2) + model.kept * variance[rows, None])
        rest = (seen[rows] @ model.odd_axes[j]).reshape(len(rows), 1, -1) - _expected(at, table)
        weighted = slope * precision[:, None]
        inverse = np.linalg.inv(weighted @ slope.transpose(0, 2, 1) + prior)
        pull = rest @ weighted.transpose(0, 2, 1)
        out[rows] = -0.5 * ((rest**2 * precision[:, None]).sum(axis=-1) - ((pull @ inverse) * pull).sum(axis=-1))
    return log_softmax(out)


def _expected(parameters: Array, table: Array) -> Array:
    """Return the odd part for sets of parameters, shape (n, k, 2 modes)."""
    terms = odd_terms(parameters, np.zeros(parameters.shape[:2]))
    return np.asarray((terms @ table).reshape(*parameters.shape[:2], -1), dtype=np.float64)


def join_cells(evidence: NDArray[np.floating], overlap: float) -> NDArray[np.float32]:
    """Add up the evidence of cells along chains of neighbours, walls having their price (belief propagation).

    Parameters
    ----------
    evidence : ndarray, shape (rows, columns, 9)
        Log-probabilities at each place of a grid.
    overlap : float
        How many places share one cell's patterns, whose evidence counts once.

    Returns
    -------
    belief : ndarray, shape (rows, columns, 9)
        Log-probabilities.
    """
    local = np.asarray(evidence, np.float64) / overlap
    links = [link for step in _STEPS for link in _links(local.shape, *step)]
    inbox = np.zeros((len(links), *local.shape))
    for _ in range(_ROUNDS):
        whole, new = local + inbox.sum(axis=0), np.zeros_like(inbox)
        for number, (source, target, wall) in enumerate(links):
            # What came from the target, by the link in the other direction, is not told back.
            new[number][target] = _message(whole[source] - inbox[number ^ 1][source], wall)
        inbox = (inbox + new) / 2
    return log_softmax(local + inbox.sum(axis=0))


def _links(shape: tuple[int, ...], down: int, right: int) -> list[tuple[Block, Block, float]]:
    """Return both directions of the links between places and their neighbours at one step, and what a wall costs."""
    rows, columns = shape[:2]
    one = slice(0, rows - down), slice(max(0, -right), columns - max(0, right))
    other = slice(down, rows), slice(max(0, right), columns - max(0, -right))
    wall = _WALL / float(np.hypot(down, right))
    return [(one, other, wall), (other, one, wall)]


def _message(belief: Array, wall: float) -> Array:
    """Return what places tell their neighbours."""
    weight, other = np.exp(belief - belief.max(axis=-1, keepdims=True)), np.exp(-wall)
    passed = np.log(weight * (1 - other) + other * weight.sum(axis=-1, keepdims=True))
    return np.asarray(passed - passed.max(axis=-1, keepdims=True), dtype=np.float64)


def large_segments(labels: NDArray[np.intp], electrons: float) -> NDArray[np.bool_]:
    """Return where segments hold electrons enough not to be a play of noise.

    Parameters
    ----------
    labels : ndarray of int, shape (rows, columns)
    electrons : float
        That each place stands for.
    """
    large = np.zeros(labels.shape, np.bool_)
    for label in np.unique(labels):
        parts, _ = ndimage.label(labels == label)
        count = np.bincount(parts.ravel())
        count[0] = 0
        large |= (count * electrons >= _LEAST_ELECTRONS)[parts]
    return large
