"""Windows average the lattice away, for any period, and stay inside the scan."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap.core.pooling import cell_window, centre_grid, pooling_matrix, round_window


def square(period_px: float, angle_deg: float = 0.0) -> np.ndarray:
    c, s = period_px * np.cos(np.deg2rad(angle_deg)), period_px * np.sin(np.deg2rad(angle_deg))
    return np.array([[-s, c], [c, s]])


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


def pooled(image: np.ndarray, vectors: np.ndarray, cells: float) -> np.ndarray:
    window = cell_window(vectors, cells)
    rows, columns = centre_grid(image.shape, window, 1)
    return pooling_matrix(image.shape, rows, columns, window) @ image.ravel()


@pytest.mark.parametrize(("period_px", "angle_deg"), [(8, 0), (7.96, 0), (10.67, 0), (9.4, 15), (8.3, -31)])
def test_a_window_of_two_cells_cancels_the_lattice_for_any_period(period_px, angle_deg):
    vectors = square(period_px, angle_deg)
    image = lattice_image(vectors, (48, 56))
    out = pooled(image, vectors, 2)
    assert np.abs(out - 1).max() < 0.01 * image.std()


def test_a_plain_box_of_whole_pixels_does_not_cancel_a_fractional_period():
    vectors = square(10.67)
    image = lattice_image(vectors, (48, 56))
    box = np.lib.stride_tricks.sliding_window_view(image, (11, 11)).mean(axis=(2, 3))
    assert np.abs(box - 1).max() > 5 * np.abs(pooled(image, vectors, 1) - 1).max()


def test_weights_sum_to_one_and_count_as_many_positions_as_the_window_holds():
    window = cell_window(square(8), 2)
    assert window.weights.sum() == pytest.approx(1)
    assert window.effective_positions == pytest.approx(256, rel=0.1)


def test_windows_stay_inside_the_scan():
    window = cell_window(square(8), 1)
    rows, columns = centre_grid((20, 31), window, 4)
    assert rows[0] >= window.half[0]
    assert rows[-1] <= 19 - window.half[0]
    assert columns[-1] == 30 - window.half[1]


def test_a_window_larger_than_the_scan_is_refused_with_both_sizes():
    with pytest.raises(ValueError, match="17 x 17 positions does not fit a scan of 10 x 40"):
        centre_grid((10, 40), cell_window(square(8), 2), 1)


@pytest.mark.parametrize("vectors", [np.zeros((2, 2)), np.array([[0, 1.0], [1.0, 0]]), np.full((2, 2), np.nan)])
def test_a_cell_below_two_positions_cannot_be_pooled(vectors):
    with pytest.raises(ValueError, match="none can be pooled"):
        cell_window(vectors)


def test_without_a_lattice_the_window_is_round():
    window = round_window(3.0)
    assert window.weights.shape == (7, 7)
    assert window.weights[0, 0] == 0
    assert window.weights.sum() == pytest.approx(1)
