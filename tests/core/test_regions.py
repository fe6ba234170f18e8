"""Walls stay, defects return, glitches fill a line, and information ends at an edge."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from napari_polarmap.core.directions import UNDEFINED, Direction
from napari_polarmap.core.kinds import Kind, glitch_lines
from napari_polarmap.core.lattice import lattice_from_step
from napari_polarmap.core.regions import find_regions

SHAPE = (64, 80)
LATTICE = lattice_from_step(0.5, 4.0)


def score_of(mask: np.ndarray, height: float = 6.0) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(SHAPE)
    return np.where(mask, height + 0.1 * noise, noise)


def spot(row: float, column: float, radius: float = 4.0) -> np.ndarray:
    y, x = np.indices(SHAPE)
    return np.hypot(y - row, x - column) <= radius


def domains(second: Direction | int = Direction.RM, column: int = 40) -> np.ndarray:
    domain = np.full(SHAPE, Direction.RM, np.uint8)
    domain[:, column:] = second
    return domain


def atoms() -> np.ndarray:
    """A virtual image with counting noise: bright, one dark column of atoms in each cell."""
    y, x = np.indices(SHAPE)
    mean = 4000 - 600 * np.cos(2 * np.pi * y / 8) - 600 * np.cos(2 * np.pi * x / 8)
    return np.random.default_rng(1).poisson(mean).astype(float)


def test_a_spot_in_one_domain_is_a_local_defect_of_known_size_and_place():
    mask = spot(20, 30)
    regions, label = find_regions(mask, score_of(mask), domains(), lattice=LATTICE, step_nm=0.05)
    (region,) = regions
    assert region.kind is Kind.DEFECT
    assert region.directions == "RM"
    assert region.positions == mask.sum()
    assert region.area_nm2 == pytest.approx(mask.sum() * 0.05**2)
    assert region.cells == pytest.approx(mask.sum() / 64)
    assert region.centre_px == pytest.approx((20, 30), abs=0.2)
    assert region.box_px == (16, 26, 24, 34)
    assert region.p_value < 1e-6
    np.testing.assert_array_equal(label == 1, mask)


def test_fragments_nearer_than_a_third_of_a_cell_are_one_region_and_the_strongest_is_first():
    one, two = spot(20, 20, 3), spot(40, 60, 3)
    split = one.copy()
    split[:, 20] = False
    score = score_of(split | two) + 3 * two
    regions, label = find_regions(split | two, score, domains(), lattice=LATTICE)
    assert [region.number for region in regions] == [1, 2]
    assert label[40, 60] == 1
    assert math.isnan(regions[0].area_nm2)
    assert regions[1].positions == split.sum()


def test_a_line_along_which_the_direction_changes_and_stays_is_a_wall():
    mask = np.zeros(SHAPE, bool)
    mask[:, 38:42] = True
    regions, _ = find_regions(mask, score_of(mask), domains(Direction.MU), lattice=LATTICE)
    (region,) = regions
    assert region.kind is Kind.WALL
    assert region.directions == "RM | MU"


def test_a_wall_is_listed_where_only_the_direction_tells():
    (region,), _ = find_regions(np.zeros(SHAPE, bool), np.zeros(SHAPE), domains(Direction.LD), lattice=LATTICE)
    assert (region.kind, region.directions) == (Kind.WALL, "RM | LD")


def test_a_defect_that_turns_the_direction_for_a_few_cells_returns():
    mask = spot(30, 30, 7)
    domain = domains()
    domain[spot(30, 30, 6)] = Direction.LU
    (region,), _ = find_regions(mask, score_of(mask), domain, lattice=LATTICE)
    assert (region.kind, region.directions) == (Kind.DEFECT, "RM")


def test_a_defect_near_a_wall_is_its_own_region():
    mask = spot(30, 20, 5)
    mask[:, 38:42] = True
    regions, _ = find_regions(mask, score_of(mask), domains(Direction.MU), lattice=LATTICE)
    assert sorted(region.kind for region in regions) == [Kind.WALL, Kind.DEFECT]


def test_where_directions_end_information_ends():
    mask = np.zeros(SHAPE, bool)
    mask[:, 38:42] = True
    (region,), _ = find_regions(mask, score_of(mask), domains(UNDEFINED), lattice=LATTICE)
    assert region.kind is Kind.EDGE


def test_where_the_intensity_falls_by_half_information_ends():
    mask = np.zeros(SHAPE, bool)
    mask[:, 38:42] = True
    image = atoms()
    image[:, 40:] *= 0.5
    (region,), _ = find_regions(mask, score_of(mask), domains(), lattice=LATTICE, signal=image)
    assert region.kind is Kind.EDGE


@pytest.mark.parametrize("change", ["lost", "bright", "displaced"])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_line_of_the_scan_that_does_not_fit_is_a_glitch(change, transposed):
    image = atoms()
    mask = np.zeros(SHAPE, bool)
    mask[28:33] = True
    image[30] = {"lost": 0 * image[30], "bright": 1.3 * image[30], "displaced": np.roll(image[30], 4)}[change]
    if transposed:
        image, mask = image[:, :64].T.copy(), mask[:, :64].T.copy()
    rows, columns = glitch_lines(image, LATTICE)
    found, other = (columns, rows) if transposed else (rows, columns)
    assert np.flatnonzero(found).tolist() == [30]
    assert not other.any()
    score = np.where(mask, 6.0, 0.0)
    regions, _ = find_regions(mask, score, np.zeros(mask.shape, np.uint8), lattice=LATTICE, signal=image)
    assert [region.kind for region in regions] == [Kind.GLITCH]


def test_atom_rows_and_counting_noise_are_no_glitch():
    rows, columns = glitch_lines(atoms(), LATTICE)
    assert not rows.any()
    assert not columns.any()


def test_a_planar_fault_along_the_rows_is_no_glitch():
    image = atoms()
    image[32:] = np.roll(image[32:], 4, axis=1)
    mask = np.zeros(SHAPE, bool)
    mask[30:34] = True
    (region,), _ = find_regions(mask, score_of(mask), domains(), lattice=LATTICE, signal=image)
    assert region.kind is Kind.DEFECT


def test_nothing_irregular_and_one_domain_is_no_region():
    regions, label = find_regions(np.zeros(SHAPE, bool), np.zeros(SHAPE), domains(), lattice=None)
    assert regions == []
    assert not label.any()


def test_undefined_scores_are_no_peak():
    mask = spot(20, 30)
    score = score_of(mask)
    score[ndimage.binary_dilation(mask) & ~mask] = np.nan
    (region,), _ = find_regions(mask, score, domains())
    assert region.peak_score > 5


def test_maps_of_different_shape_are_refused():
    with pytest.raises(ValueError, match=r"score has shape \(3, 3\)"):
        find_regions(np.zeros(SHAPE, bool), np.zeros((3, 3)), domains())
    with pytest.raises(ValueError, match="signal has shape"):
        find_regions(np.zeros(SHAPE, bool), np.zeros(SHAPE), domains(), signal=np.zeros((2, 3, 3)))


@pytest.mark.parametrize(("step_nm", "kind"), [(4.0, Kind.EDGE), (0.4, Kind.DEFECT)])
def test_where_the_thickness_changes_without_the_direction_there_is_an_edge(step_nm, kind):
    mask = np.abs(np.indices(SHAPE)[1] - 40) < 4
    thickness = np.where(np.indices(SHAPE)[1] < 40, 20.0, 20.0 - step_nm)
    error = np.full(SHAPE, 0.4)
    (region,), _ = find_regions(mask, score_of(mask), domains(), lattice=LATTICE, thickness=(thickness, error))
    assert region.kind is kind
