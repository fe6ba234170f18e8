"""Defects change what they say, where they say it, and leave a possible crystal elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from napari_polarmap.simulation.crystal import NIOBIUM, niobate
from napari_polarmap.simulation.defects import DEFECTS, Defect, add_defect
from napari_polarmap.simulation.structure import build_structure

A = 3.98
CELLS = 12
CENTRE = np.array([6.4, 5.7]) * A


@pytest.fixture
def crystal():
    return build_structure(niobate(), np.zeros((CELLS, CELLS, 3)), thickness_nm=0.796, rng=np.random.default_rng(0))


@pytest.fixture
def positions() -> np.ndarray:
    grid = np.arange(3 * A, 9 * A, 0.5)
    return np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1)


def with_defect(crystal, positions, kind):
    defect = Defect(centre_A=CENTRE, radius_A=3.0, lattice_A=A, step_A=4.0, b_elements=(NIOBIUM,))
    return add_defect(crystal, positions, kind, defect, np.random.default_rng(1))


def closest(structure) -> float:
    """Smallest distance of two atoms, away from the edges of the box."""
    inner = (np.abs(structure.position_A[:, :2] - CELLS * A / 2) < 4 * A).all(axis=1)
    distance, _ = cKDTree(structure.position_A[inner]).query(structure.position_A[inner], k=2)
    return float(distance[:, 1].min())


@pytest.mark.parametrize("kind", DEFECTS)
def test_every_defect_has_a_mask_that_is_a_small_part_of_the_scan(crystal, positions, kind):
    _, mask = with_defect(crystal, positions, kind)
    assert 0 < mask.mean() < 0.4


@pytest.mark.parametrize("kind", ["vacancy_column", "amorphous_patch"])
def test_a_local_defect_leaves_the_crystal_around_it_as_it_was(crystal, positions, kind):
    changed, _ = with_defect(crystal, positions, kind)

    def outside(structure):
        far = np.linalg.norm(structure.position_A[:, :2] - CENTRE, axis=1) > 6
        return structure.position_A[far]

    np.testing.assert_array_equal(outside(changed), outside(crystal))
    assert len(changed.number) < len(crystal.number) or not np.array_equal(changed.position_A, crystal.position_A)


@pytest.mark.parametrize("kind", ["antiphase_fault", "ruddlesden_popper", "edge_dislocation"])
def test_atoms_keep_their_distance_at_a_fault(crystal, positions, kind):
    changed, _ = with_defect(crystal, positions, kind)
    # Half a cell in depth is kept by the layers, not by the depth coordinate, so look at each layer by itself.
    apart = [closest(changed.keep(changed.layer == layer)) for layer in range(changed.n_layers)]
    assert min(apart) > 0.35 * A


def test_a_ruddlesden_popper_fault_adds_one_ao_plane(crystal, positions):
    changed, _ = with_defect(crystal, positions, "ruddlesden_popper")
    extra = len(changed.number) - len(crystal.number)
    depth = crystal.n_layers // 2
    assert extra == 2 * CELLS * depth
    assert (changed.number == NIOBIUM).sum() == (crystal.number == NIOBIUM).sum()


def test_a_circuit_around_the_dislocation_misses_one_lattice_vector(crystal, positions):
    changed, _ = with_defect(crystal, positions, "edge_dislocation")
    moved = changed.position_A[:, 1] - crystal.position_A[:, 1]
    row, column = (crystal.position_A[:, :2] - CENTRE).T
    cut = column < -2 * A
    above, below = moved[cut & (row < 0) & (row > -0.8 * A)], moved[cut & (row > 0) & (row < 0.8 * A)]
    assert above.mean() - below.mean() == pytest.approx(A, rel=0.1)


def test_beyond_a_surface_step_the_specimen_is_thinner(crystal, positions):
    changed, _ = with_defect(crystal, positions, "surface_step")
    depth = changed.position_A[:, 2]
    left = changed.position_A[:, 1] < CENTRE[1] - A
    right = changed.position_A[:, 1] > CENTRE[1] + A
    assert depth[left].max() > 4
    assert depth[right].max() < 4
