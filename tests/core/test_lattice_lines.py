"""Lattice lines run through the dark columns and stay inside the scan."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap.core.lattice import Lattice, lattice_from_vectors, square_vectors
from napari_polarmap.core.lattice_lines import lattice_lines


@pytest.mark.parametrize(("period_px", "angle_deg"), [(8, 0), (9.3, 20), (7.7, -40)])
def test_lines_run_through_the_dark_columns(period_px, angle_deg):
    lattice = lattice_from_vectors(square_vectors(period_px, angle_deg))
    shape = (60, 80)
    image = -np.cos(2 * np.pi * (lattice.phase(shape) - [0.3, 0.7])).sum(axis=-1)
    lines = lattice_lines(lattice, image)
    assert len(lines) >= (60 + 80) / period_px - 4
    # Half-way between two crossings along a line lies no column, on a crossing one: the mean phase tells.
    middle = lines.mean(axis=1) @ np.linalg.inv(lattice.vectors_px) - [0.3, 0.7]
    distance = np.abs(middle - np.round(middle)).min(axis=1)
    assert distance.max() < 0.1


def test_lines_end_at_the_edges_of_the_scan():
    lattice = lattice_from_vectors(square_vectors(9.3, 20))
    lines = lattice_lines(lattice, np.zeros((40, 50)))
    assert lines.min() >= -0.5 - 1e-9
    assert lines[..., 0].max() <= 39.5 + 1e-9
    assert lines[..., 1].max() <= 49.5 + 1e-9


def test_an_unknown_lattice_has_no_lines():
    unknown = Lattice(vectors_px=np.full((2, 2), np.nan), resolved=False, source="unknown")
    assert lattice_lines(unknown, np.zeros((9, 9))).shape == (0, 2, 2)
