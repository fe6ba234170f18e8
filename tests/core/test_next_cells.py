"""The next cells are compared where strain has moved them, and no further."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap.core.next_cells import departure_from_next_cells

PER_CELL = 8
SHAPE = (64, 64)


def waves(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    phase = 2 * np.pi / PER_CELL
    angles = [phase * rows, phase * columns, phase * (rows + columns), 2 * phase * rows]
    return np.stack([f(angle) for angle in angles for f in (np.cos, np.sin)]).astype(np.float32)


def departure(maps: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    known = np.ones(SHAPE, bool) if known is None else known
    return departure_from_next_cells(maps, known, np.ones(SHAPE, np.float32), 2.4, PER_CELL)


def test_what_repeats_does_not_depart():
    assert departure(waves(*np.indices(SHAPE, float))).max() < 1e-6


def test_an_eighth_of_strain_departs_less_than_half_a_cell():
    rows, columns = np.indices(SHAPE, float)
    strained = departure(waves(rows, columns * (1 - 1 / 9)))[8:-8, 8:-8]
    faulted = departure(waves(rows, columns + np.where(columns > 32, 4, 0)))[8:-8, 28:36]
    assert strained.mean() < 0.02 * faulted.mean()


def test_beside_a_wall_the_cells_on_this_side_are_enough():
    rows, columns = np.indices(SHAPE, float)
    maps = np.where(columns > 32, waves(rows, columns)[::-1], waves(rows, columns))
    assert departure(maps)[16:-16, 10:22].max() < 1e-6
    assert departure(maps)[16:-16, 42:54].max() < 1e-6


def test_noise_departs_by_the_number_of_maps():
    noise = np.random.default_rng(0).standard_normal((8, *SHAPE)).astype(np.float32)
    assert departure(noise)[8:-8, 8:-8].mean() == pytest.approx(8, rel=0.3)


def test_where_no_two_next_cells_are_known_there_is_no_answer():
    known = np.zeros(SHAPE, bool)
    known[20:26, 20:26] = True
    assert np.isinf(departure(waves(*np.indices(SHAPE, float)), known)).all()
