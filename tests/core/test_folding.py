"""What repeats with the lattice stays when a map is folded, and is counted as such."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_polarmap.core.folding import fold, spectrum
from napari_polarmap.core.lattice import Lattice, lattice_from_step

SHAPE = (60, 72)


def square(period_px: float = 8.0, angle_deg: float = 0.0) -> Lattice:
    return lattice_from_step(1 / period_px, 1.0, angle_deg)


def wave(lattice: Lattice, h: int, k: int) -> np.ndarray:
    return np.cos(2 * np.pi * (lattice.coordinates(SHAPE) @ [h, k]) + 0.4)


@pytest.mark.parametrize(("period_px", "angle_deg"), [(8, 0), (7.3, 11)])
def test_what_repeats_is_the_same_in_the_mean_cell(period_px, angle_deg):
    lattice = square(period_px, angle_deg)
    values = wave(lattice, 1, 0) + 0.5 * wave(lattice, 0, 2)
    mean, count = fold(values, lattice)
    centre = (np.arange(len(mean)) + 0.5) / len(mean)
    second, first = np.meshgrid(centre, centre, indexing="ij")
    expected = np.cos(2 * np.pi * first + 0.4) + 0.5 * np.cos(4 * np.pi * second + 0.4)
    assert np.corrcoef(mean.ravel(), expected.ravel())[0, 1] > (0.85 if angle_deg == 0 else 0.99)
    assert count.sum() == values.size


def test_undefined_positions_do_not_count_in_the_mean_cell():
    values = np.ones(SHAPE)
    values[:30] = np.nan
    mean, count = fold(values, square())
    assert count.sum() == 30 * 72
    assert (mean == 1).all()


def test_a_map_without_lattice_is_not_folded():
    with pytest.raises(ValueError, match="not known"):
        fold(np.zeros(SHAPE), Lattice(vectors_px=np.full((2, 2), np.nan)))


def test_a_repeating_map_is_periodic_and_its_peaks_are_those_of_the_lattice():
    lattice = square(7.3, 11)
    found = spectrum(wave(lattice, 1, 0) + wave(lattice, 1, -2), lattice)
    assert found.periodic > 0.999
    assert found.by_chance < 0.15
    y, x = found.frequency
    brightest = np.unravel_index(np.argmax(found.power), SHAPE)
    assert np.linalg.norm(found.peaks - [y[brightest[0]], x[brightest[1]]], axis=1).min() < 0.01


def test_errors_at_random_places_repeat_as_much_as_chance_says():
    lattice = square()
    shares = []
    for seed in range(20):
        found = spectrum((np.random.default_rng(seed).random(SHAPE) < 0.3).astype(float), lattice)
        shares.append(found.periodic)
    assert np.mean(shares) == pytest.approx(found.uncorrelated, rel=0.15)
    assert found.by_chance == pytest.approx(found.uncorrelated, rel=0.3)


def test_patches_of_errors_do_not_pass_for_periodic():
    noise = ndimage.gaussian_filter(np.random.default_rng(2).standard_normal(SHAPE), 1.5)
    found = spectrum((noise > 0.1).astype(float), square())
    assert abs(found.periodic - found.by_chance) < 5 * found.by_chance_std


def test_errors_partly_at_one_place_of_the_cell_are_partly_periodic():
    lattice = square()
    regular = wave(lattice, 1, 0) * wave(lattice, 0, 1)
    mixed = regular / regular.std() + np.random.default_rng(3).standard_normal(SHAPE)
    assert spectrum(mixed, lattice).periodic == pytest.approx(0.5, abs=0.05)


def test_holes_in_a_map_do_not_make_it_less_periodic():
    values = wave(square(), 1, 1)
    values[np.random.default_rng(4).random(SHAPE) < 0.4] = np.nan
    assert spectrum(values, square()).periodic > 0.99


def test_a_constant_map_has_no_share():
    assert np.isnan(spectrum(np.ones(SHAPE), square()).periodic)


def test_without_a_lattice_there_is_a_spectrum_but_no_share():
    found = spectrum(np.random.default_rng(5).random(SHAPE), None)
    assert np.isnan(found.periodic)
    assert found.peaks.shape == (0, 2)
    assert found.power.sum() == pytest.approx(1)
