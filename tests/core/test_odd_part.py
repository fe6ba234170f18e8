"""The odd part turns like a vector, and so does everything fitted to it."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap.core.directions import ANGLES_DEG, VECTORS_YX
from napari_polarmap.core.odd_part import N_PARAMETERS, fold, normalised, odd_terms, polarization_axes
from napari_polarmap.core.symmetry import OPERATIONS, SquareOperation


def turned_parameters(operation: SquareOperation, parameters: np.ndarray) -> np.ndarray:
    return operation.vectors(parameters.reshape(-1, 4, 2)).reshape(parameters.shape)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_odd_part_turns_like_a_vector_and_the_symmetric_part_stays(operation):
    patterns = np.random.default_rng(0).random((3, 8, 8))
    odd, even = fold(patterns)
    turned_odd, turned_even = fold(operation.images(patterns))
    np.testing.assert_allclose(turned_odd, np.moveaxis(operation.vectors(np.moveaxis(odd, 1, -1)), -1, 1))
    np.testing.assert_allclose(turned_even, even)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_terms_commute_with_the_operations_of_the_square(operation):
    rng = np.random.default_rng(1)
    parameters, convergence = rng.normal(size=(5, N_PARAMETERS)), rng.normal(size=5)
    straight = np.moveaxis(odd_terms(parameters, convergence), 1, -1)
    turned = np.moveaxis(odd_terms(turned_parameters(operation, parameters), convergence), 1, -1)
    np.testing.assert_allclose(turned, operation.vectors(straight), atol=1e-12)


def test_a_pattern_and_its_half_turn_have_opposite_odd_parts():
    patterns = np.random.default_rng(2).random((2, 8, 8))
    np.testing.assert_allclose(fold(patterns[:, ::-1, ::-1])[0], -fold(patterns)[0], atol=1e-12)


def test_the_path_of_polarization_passes_through_all_eight_directions():
    axes = polarization_axes(ANGLES_DEG)
    np.testing.assert_allclose(axes[::2, :2], VECTORS_YX[::2], atol=1e-12)
    np.testing.assert_allclose(axes[1::2, 2:], np.sqrt(2) * VECTORS_YX[1::2], atol=1e-12)
    np.testing.assert_allclose(axes[::2, 2:], 0, atol=1e-12)
    np.testing.assert_allclose(axes[1::2, :2], 0, atol=1e-12)


def test_a_pattern_without_counts_stays_zero():
    assert not normalised(np.zeros((1, 4, 4))).any()


def test_a_pattern_with_an_odd_edge_is_refused():
    with pytest.raises(ValueError, match="even edge"):
        fold(np.ones((1, 5, 5)))
