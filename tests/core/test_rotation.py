"""Turn and handedness of the detector, from fields that a potential makes."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap.core.field import field_waves
from napari_polarmap.core.lattice import Lattice, lattice_from_vectors, square_vectors
from napari_polarmap.core.polarity import find_polarity
from napari_polarmap.core.rotation import find_rotation

SHAPE = (60, 72)
UNKNOWN = Lattice(vectors_px=np.full((2, 2), np.nan), resolved=False, source="unknown")


def potential(lattice: Lattice) -> np.ndarray:
    """Columns of two heights on the corners and middles of the cells."""
    place = 2 * np.pi * lattice.coordinates(SHAPE)
    first, second = np.cos(place[..., 0]), np.cos(place[..., 1])
    return first + second + 0.7 * first * second + 0.3 * (first**2 + second**2)


def recorded(image: np.ndarray, rotation_deg: float, flip: bool, noise: float = 0.0) -> np.ndarray:
    """Return the centres of mass that a detector turned by this would show of a gradient."""
    y, x = np.gradient(image)
    angle = np.deg2rad(rotation_deg)
    y, x = np.cos(angle) * y + np.sin(angle) * x, np.cos(angle) * x - np.sin(angle) * y
    field = np.stack([-y if flip else y, x], axis=-1)
    return 30 + field + noise * np.random.default_rng(0).standard_normal(field.shape)


@pytest.mark.parametrize("rotation_deg", [-80, -15, 0, 33.3, 90])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("resolved", [False, True])
def test_least_curl_tells_turn_and_handedness(rotation_deg, flip, resolved):
    lattice = lattice_from_vectors(square_vectors(8.3, 12))
    image = potential(lattice)
    waves = field_waves(recorded(image, rotation_deg, flip, noise=0.1), image, lattice if resolved else UNKNOWN)
    found = find_rotation(waves)
    assert found.flip is flip
    if resolved:
        assert found.handed
    assert abs((found.rotation_deg - rotation_deg + 90) % 180 - 90) < (2 if resolved else 3)


def test_slow_movement_of_the_disk_does_not_matter():
    lattice = lattice_from_vectors(square_vectors(9))
    image = potential(lattice)
    drift = np.indices(SHAPE).transpose(1, 2, 0) @ np.array([[0.3, -0.2], [0.1, 0.4]])
    found = find_rotation(field_waves(recorded(image, 25, False) + drift, image, lattice))
    assert found.rotation_deg == pytest.approx(25, abs=0.5)


def test_noise_leaves_the_handedness_open():
    lattice = lattice_from_vectors(square_vectors(9))
    image = potential(lattice)
    found = find_rotation(field_waves(recorded(image, 0, False, noise=30), image, lattice))
    assert not found.handed
    assert find_rotation(field_waves(recorded(image, 0, False, noise=30), image, lattice), flip=True).flip is True


def test_a_still_field_has_no_turn():
    with pytest.raises(ValueError, match="no curl to minimise"):
        find_rotation(field_waves(np.full((*SHAPE, 2), 30.0), np.ones(SHAPE), UNKNOWN))


def test_without_a_lattice_the_side_is_not_told():
    image = potential(lattice_from_vectors(square_vectors(9)))
    polarity = find_polarity(field_waves(recorded(image, 0, False), image, UNKNOWN), 0, False)
    assert not polarity.sure
    assert "lattice" in polarity.reason


def test_wide_scan_steps_do_not_tell_the_side():
    lattice = lattice_from_vectors(square_vectors(2.6))
    image = potential(lattice)
    polarity = find_polarity(field_waves(recorded(image, 0, False), image, lattice), 0, False)
    assert not polarity.sure
    assert "too wide" in polarity.reason
