"""Waves over a scan: which ones a lattice has, and how strong they are in a map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def half_orders(highest: int) -> NDArray[np.int64]:
    """Return the orders ``(h, k)`` of one of each pair of opposite waves of a lattice, shape (n, 2), without zero."""
    orders = range(-highest, highest + 1)
    return np.array([(h, k) for h in orders for k in orders if (h, k) > (0, 0)], dtype=np.int64)


def wave_sums(image: NDArray[np.float64], frequency: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Return the sum over positions r of the image times exp(2 pi i f r) for each frequency f.

    Parameters
    ----------
    image : ndarray, shape (scan_y, scan_x)
    frequency : ndarray, shape (n, 2)
        Along rows and columns, in periods per scan position.
    """
    rows = np.exp(2j * np.pi * np.outer(np.arange(image.shape[0]), frequency[:, 0]))
    columns = np.exp(2j * np.pi * np.outer(np.arange(image.shape[1]), frequency[:, 1]))
    return np.asarray(((image @ columns) * rows).sum(axis=0), dtype=np.complex128)
