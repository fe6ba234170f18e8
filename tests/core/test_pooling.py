"""Windows average the lattice away, for any period, and stay inside the scan."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap.core.lattice import square_vectors
from napari_polarmap.core.pooling import (
    cell_step,
    cell_window,
    cells_pool,
    centre_axes,
    lay_grid,
    pooling_matrix,
    round_window,
)


def square(period_px: float, angle_deg: float = 0.0) -> np.ndarray:
    return np.reshape(square_vectors(period_px, angle_deg), (2, 2))


def lattice_image(vectors: np.ndarray, shape: tuple[int, int], orders: int = 3) -> np.ndarray:
    """Sum of lattice waves of random phase with a mean of 1."""
    rng = np.random.default_rng(1)
    place = np.moveaxis(np.indices(shape), 0, -1) @ np.linalg.inv(vectors)
    image = np.ones(shape)
    for h in range(-orders, orders + 1):
        for k in range(-orders, orders + 1):
            if (h, k) != (0, 0):
                image += 0.3 * np.cos(2 * np.pi * (place @ [h, k] + rng.random()))
    return image


def pooled(image: np.ndarray, vectors: np.ndarray, cells: int) -> np.ndarray:
    """Averages over windows of so many cells, at their centres."""
    base, step = cell_window(vectors), cell_step(vectors)
    grid = lay_grid(image.shape, base, step)
    averages = pooling_matrix(image.shape, *grid.axes, base.weights) @ image.ravel()
    pool = cells_pool(vectors, base, step, cells)
    return pooling_matrix(grid.shape, *centre_axes(grid, pool), pool.weights) @ averages


LATTICES = [(8, 0), (7.96, 0), (10.67, 0), (9.4, 15), (8.3, -31), (10, 45)]


@pytest.mark.parametrize(("period_px", "angle_deg"), LATTICES)
@pytest.mark.parametrize("cells", [1, 2, 3])
def test_windows_cancel_the_lattice_for_any_period(period_px, angle_deg, cells):
    vectors = square(period_px, angle_deg)
    image = lattice_image(vectors, (64, 72))
    assert np.abs(pooled(image, vectors, cells) - 1).max() < 0.01 * image.std()


def test_a_plain_box_of_whole_pixels_does_not_cancel_a_fractional_period():
    vectors = square(10.67)
    image = lattice_image(vectors, (48, 56))
    box = np.lib.stride_tricks.sliding_window_view(image, (11, 11)).mean(axis=(2, 3))
    assert np.abs(box - 1).max() > 50 * np.abs(pooled(image, vectors, 1) - 1).max()


def test_between_the_centres_straight_lines_give_what_a_window_there_would():
    """A step of half a cell is fine enough: the average over a cell hardly changes in between."""
    vectors = square(7.96)
    image = np.ones((64, 64))
    image[:, 32:] = 2
    base, step = cell_window(vectors), cell_step(vectors)
    grid = lay_grid(image.shape, base, step)
    every = lay_grid(image.shape, base, (1, 1))
    coarse, fine = (
        (pooling_matrix(image.shape, *laid.axes, base.weights) @ image.ravel()).reshape(laid.shape)[5]
        for laid in (grid, every)
    )
    between = np.interp(every.axes[1], grid.axes[1], coarse)
    inside = (every.axes[1] >= grid.axes[1][0]) & (every.axes[1] <= grid.axes[1][-1])
    assert np.abs(between - fine)[inside].max() < 0.1


@pytest.mark.parametrize(("period_px", "angle_deg"), LATTICES)
@pytest.mark.parametrize("cells", [1, 2, 4])
def test_windows_count_as_many_positions_as_their_cells_hold(period_px, angle_deg, cells):
    vectors = square(period_px, angle_deg)
    pool = cells_pool(vectors, cell_window(vectors), cell_step(vectors), cells)
    assert pool.weights.sum() == pytest.approx(1)
    assert pool.effective_positions == pytest.approx((cells * period_px) ** 2, rel=0.25)


def test_windows_stay_inside_the_scan_and_reach_its_edges():
    base = cell_window(square(8))
    grid = lay_grid((20, 31), base, (4, 4))
    for axis, length in enumerate((20, 31)):
        first, last = grid.axes[axis][0], grid.axes[axis][-1]
        assert 0 <= first - base.half[axis] < 4
        assert length - 4 <= last + base.half[axis] < length


def test_windows_of_several_cells_stay_inside_the_grid():
    vectors = square(8)
    pool = cells_pool(vectors, cell_window(vectors), (4, 4), 3)
    grid = lay_grid((60, 47), cell_window(vectors), (4, 4))
    for at, half, length in zip(centre_axes(grid, pool), pool.half, grid.shape, strict=True):
        assert at[0] == half
        assert at[-1] == length - 1 - half


def test_a_window_larger_than_the_scan_is_refused_with_both_sizes():
    with pytest.raises(ValueError, match="9 x 9 positions does not fit a scan of 8 x 40"):
        lay_grid((8, 40), cell_window(square(8)), (4, 4))


@pytest.mark.parametrize("vectors", [np.zeros((2, 2)), np.array([[0, 1.0], [1.0, 0]]), np.full((2, 2), np.nan)])
def test_a_cell_below_two_positions_cannot_be_pooled(vectors):
    with pytest.raises(ValueError, match="none can be pooled"):
        cell_window(vectors)


def test_a_matrix_made_for_parts_of_a_scan_adds_up_to_that_of_the_whole():
    base = cell_window(square(5.3, 20))
    image = np.random.default_rng(0).random((24, 30))
    rows, columns = lay_grid(image.shape, base, (2, 2)).axes
    whole = pooling_matrix(image.shape, rows, columns, base.weights) @ image.ravel()
    parts = np.zeros_like(whole)
    for top, left in ((0, 0), (0, 11), (13, 0), (13, 11)):
        part = image[top : 13 if top == 0 else None, left : 11 if left == 0 else None]
        parts += pooling_matrix(part.shape, rows - top, columns - left, base.weights) @ part.ravel()
    np.testing.assert_allclose(parts, whole, rtol=1e-5)


def test_without_a_lattice_the_window_is_round():
    window = round_window(3.0)
    assert window.weights.shape == (7, 7)
    assert window.weights[0, 0] == 0
    assert window.weights.sum() == pytest.approx(1)
