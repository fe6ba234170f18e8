"""In the frame of the lattice equivalent positions lie whole numbers of positions apart."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap.core.cell_frame import cell_frame, cells_within, sums
from napari_polarmap.core.lattice import lattice_from_step

SHAPE = (60, 70)


@pytest.mark.parametrize(("period_px", "angle_deg"), [(8.0, 0), (7.3, 5), (10.67, 40)])
def test_a_periodic_map_equals_its_mean_over_lattice_translations(period_px, angle_deg):
    lattice = lattice_from_step(1 / period_px, 1.0, angle_deg)
    image = np.cos(2 * np.pi * lattice.coordinates(SHAPE)[..., 0])[None].astype(np.float32)
    frame = cell_frame(lattice.vectors_px, SHAPE)
    maps, known = frame.sample(image, np.ones(SHAPE, bool))
    cells = cells_within(1.5)
    total, weight, _ = sums(maps, known.astype(np.float32), cells, np.ones(len(cells)), frame.per_cell)
    mean = total[0] / np.maximum(weight, 1)
    assert np.abs(mean - maps[0])[known & (weight > 0)].max() < 0.2


def test_a_slow_map_comes_back_as_it_was():
    lattice = lattice_from_step(1 / 8.3, 1.0, 20)
    y, x = np.indices(SHAPE)
    slow = (np.sin(y / 20) + x / 50)[None].astype(np.float32)
    frame = cell_frame(lattice.vectors_px, SHAPE)
    maps, known = frame.sample(slow, np.ones(SHAPE, bool))
    error = np.abs(frame.to_scan(maps[0], known) - slow[0])
    assert error.max() < 0.1
    assert np.median(error) < 0.005
