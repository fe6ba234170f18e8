"""The lattice of a scan is read from its virtual images, or said not to be there."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_polarmap.core.lattice import Lattice, lattice_from_step
from napari_polarmap.core.lattice_search import find_lattice


def square(period_px: float, angle_deg: float = 0.0) -> Lattice:
    return lattice_from_step(1 / period_px, 1.0, angle_deg)


def image_of(lattice: Lattice, shape: tuple[int, int], noise: float = 0.5, seed: int = 0) -> np.ndarray:
    """Atom columns on the corners of the cell, weaker ones in its middle, and noise."""
    u, v = np.moveaxis(lattice.coordinates(shape), -1, 0)
    columns = [np.cos(2 * np.pi * u), np.cos(2 * np.pi * v)]
    centred = [np.cos(2 * np.pi * (u + v)), np.cos(2 * np.pi * (u - v))]
    return sum(columns) + 0.7 * sum(centred) + noise * np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("shape", [(40, 40), (48, 64), (96, 50)])
@pytest.mark.parametrize(("period_px", "angle_deg"), [(8, 0), (7.3, 3), (10.67, 20), (5.3, 40), (6.1, -30)])
def test_period_and_angle_are_found_between_the_pixels(shape, period_px, angle_deg):
    truth = square(period_px, angle_deg)
    lattice = find_lattice(image_of(truth, shape))
    assert lattice.resolved
    np.testing.assert_allclose(lattice.vectors_px, truth.vectors_px, atol=0.015 * period_px)
    assert lattice.angle_deg == pytest.approx(angle_deg, abs=1)


def test_a_cell_that_is_no_square_is_not_made_one():
    vectors = np.array([[-0.5, 9.0], [6.5, 1.5]])
    lattice = find_lattice(image_of(Lattice(vectors_px=vectors), (72, 72)))
    np.testing.assert_allclose(lattice.vectors_px, vectors, atol=0.1)
    assert lattice.cell_area_px == pytest.approx(abs(np.linalg.det(vectors)), rel=0.01)


def test_several_images_are_read_together():
    truth = square(8)
    u, v = np.moveaxis(truth.coordinates((48, 48)), -1, 0)
    rows_only, columns_only = (np.cos(2 * np.pi * axis) for axis in (u, v))
    assert not find_lattice(rows_only + 0.3 * np.random.default_rng(0).standard_normal((48, 48))).resolved
    lattice = find_lattice(np.stack([rows_only, columns_only]))
    np.testing.assert_allclose(lattice.vectors_px, truth.vectors_px, atol=0.1)


def test_holes_and_a_slow_background_do_not_matter():
    truth = square(7.4, 5)
    image = image_of(truth, (60, 60)) + 40 * np.linspace(0, 1, 60) ** 2
    image[10:14, 20:30] = np.nan
    image[40, 40] = 1e5
    np.testing.assert_allclose(find_lattice(image).vectors_px, truth.vectors_px, atol=0.1)


def test_the_expected_period_decides_where_only_the_centred_cell_is_seen():
    u, v = np.moveaxis(square(8).coordinates((48, 48)), -1, 0)
    centred = np.cos(2 * np.pi * (u + v)) + np.cos(2 * np.pi * (u - v))
    assert find_lattice(centred).period_px == pytest.approx(8 / np.sqrt(2), rel=0.01)
    assert find_lattice(centred, expected_period_px=8.6).period_px == pytest.approx(8, rel=0.01)


@pytest.mark.parametrize("smooth_px", [0, 2])
def test_noise_has_no_lattice(smooth_px):
    rng = np.random.default_rng(3)
    for _ in range(20):
        image = ndimage.gaussian_filter(rng.standard_normal((64, 64)), smooth_px) + 0.05 * rng.standard_normal((64, 64))
        lattice = find_lattice(image)
        assert not lattice.resolved
        assert lattice.reason
        assert not lattice.known


@pytest.mark.parametrize(
    ("image", "reason"),
    [(np.ones((32, 32)), "flat"), (np.full((32, 32), np.nan), "flat"), (np.zeros((6, 80)), "too small")],
)
def test_where_nothing_can_be_seen_the_reason_is_said(image, reason):
    assert reason in find_lattice(image).reason


def test_a_line_is_no_image():
    with pytest.raises(ValueError, match=r"give \(scan_y, scan_x\) or a stack"):
        find_lattice(np.zeros(10))


def test_the_nominal_lattice_has_the_size_of_the_cell_in_steps():
    lattice = lattice_from_step(0.5, 3.98, 30)
    assert lattice.period_px == pytest.approx(7.96)
    assert lattice.angle_deg == pytest.approx(30)
    assert not lattice.resolved
    assert lattice.known
    with pytest.raises(ValueError, match=r"scan_step_A is 0.0; it must be a positive number"):
        lattice_from_step(0.0)


def test_equivalent_positions_share_their_phase():
    lattice = Lattice(vectors_px=np.array([[-2.0, 8.0], [7.0, 3.0]]))
    phase = lattice.phase((30, 30))
    np.testing.assert_allclose(phase[10, 5], phase[8, 13], atol=1e-9)
    np.testing.assert_allclose(phase[10, 5], phase[17, 8], atol=1e-9)
    assert (phase >= 0).all()
    assert (phase < 1).all()


def test_the_expected_cell_is_taken_where_its_middle_looks_like_its_corners():
    u, v = np.moveaxis(Lattice(vectors_px=np.array([[8.0, 8.0], [8.0, -8.0]])).coordinates((64, 64)), -1, 0)
    columns = np.exp(6 * (np.cos(2 * np.pi * u) + np.cos(2 * np.pi * v) - 2))
    image = -columns + 1e-3 * np.random.default_rng(0).standard_normal((64, 64))
    assert find_lattice(image).period_px == pytest.approx(8 * np.sqrt(2), rel=0.01)
    found = find_lattice(image, expected_period_px=16)
    np.testing.assert_allclose(np.linalg.norm(found.vectors_px, axis=1), 16, rtol=0.01)


def test_a_repetition_far_from_the_expected_one_is_not_the_lattice():
    lattice = find_lattice(image_of(square(8), (48, 48)), expected_period_px=20)
    assert "repeat after 8.0 positions, far from the 20.0 expected" in lattice.reason
    assert not lattice.resolved
