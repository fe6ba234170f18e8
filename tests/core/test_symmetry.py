"""The operations of the square act on pictures, vectors and classes alike."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from napari_polarmap.core.directions import UNDEFINED, VECTORS_YX
from napari_polarmap.core.symmetry import OPERATIONS, SquareOperation

CLASSES = np.arange(8, dtype=np.uint8)


def picture_of(direction: int, size: int = 9) -> np.ndarray:
    """A blob that lies off the middle in the given direction."""
    y, x = (np.indices((size, size)) - (size - 1) / 2) - 3 * VECTORS_YX[direction][:, None, None]
    return np.exp(-(y**2) - x**2)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("direction", range(8))
def test_a_picture_that_points_somewhere_points_to_its_new_class_afterwards(operation, direction):
    turned = int(operation.classes(np.array([direction], np.uint8))[0])
    np.testing.assert_allclose(operation.images(picture_of(direction)), picture_of(turned), atol=1e-12)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_vectors_turn_as_classes_do(operation):
    np.testing.assert_allclose(operation.vectors(VECTORS_YX), VECTORS_YX[operation.classes(CLASSES)], atol=1e-12)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_probabilities_follow_their_classes(operation):
    probability = np.random.default_rng(0).random((5, 8))
    turned = operation.probabilities(probability)
    np.testing.assert_array_equal(turned[:, operation.classes(CLASSES)], probability)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_inverse_undoes_it_on_pictures_classes_and_vectors(operation):
    image = np.random.default_rng(1).random((4, 6))
    inverse = operation.inverse
    np.testing.assert_array_equal(inverse.images(operation.images(image)), image)
    np.testing.assert_array_equal(inverse.classes(operation.classes(CLASSES)), CLASSES)
    np.testing.assert_allclose(inverse.vectors(operation.vectors(VECTORS_YX)), VECTORS_YX, atol=1e-12)


def test_two_operations_in_a_row_are_one_of_the_eight():
    results = {tuple(operation.classes(CLASSES)) for operation in OPERATIONS}
    assert len(results) == 8
    for first, second in itertools.product(OPERATIONS, repeat=2):
        assert tuple(second.classes(first.classes(CLASSES))) in results


@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_direction_stays_no_direction(operation):
    assert operation.classes(np.array([UNDEFINED], np.uint8)).tolist() == [UNDEFINED]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_in_a_scan_positions_and_patterns_turn_together(operation):
    data = np.random.default_rng(2).random((3, 4, 5, 6))
    scan = operation.scan(data)
    rows = operation.images(np.arange(12).reshape(3, 4))
    for place in np.ndindex(scan.shape[:2]):
        before = data.reshape(12, 5, 6)[rows[place]]
        np.testing.assert_array_equal(scan[place], operation.images(before))


def test_a_quarter_turn_takes_right_to_up():
    assert SquareOperation(False, 1).classes(np.array([0], np.uint8)).tolist() == [2]
    assert SquareOperation(True, 0).classes(np.array([0, 2], np.uint8)).tolist() == [4, 2]
