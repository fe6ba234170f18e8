"""Cells are told apart by templates, and joined where they agree."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap.core.odd_part import TILT_SCALE_MRAD, odd_terms, polarization_axes
from napari_polarmap.core.segments import cell_evidence, join_cells, large_segments
from napari_polarmap.models.template import load_estimator

NODE = 20
TILT = np.array([1.0, -0.5])


@pytest.fixture(scope="module")
def model():
    return load_estimator().model


def cells(model, angle_deg: float, electrons: float, count: int, tilt_mrad: np.ndarray = TILT) -> np.ndarray:
    """Return averages over a cell as the model expects them, with counting noise."""
    parameters = np.concatenate([tilt_mrad / TILT_SCALE_MRAD, [0, 0], polarization_axes(angle_deg)])
    z = odd_terms(parameters, np.zeros(())) @ model.odd_terms[NODE]
    odd_y, odd_x = ((z @ model.odd_modes) / (2 * model.weight)).reshape(2, 32, 32)
    even = (model.mean + model.even_terms[NODE, 0] @ model.even_modes / (2 * model.weight)).reshape(32, 32)
    right = np.concatenate([np.flip(odd_x + even, 0), odd_x + even])
    left = np.concatenate([np.flip(even - odd_x, 0), even - odd_x])
    y = np.concatenate([-np.flip(odd_y.T, 0), odd_y.T])
    pattern = np.maximum(np.concatenate([left[:, ::-1] + y[:, ::-1], right + y], axis=1), 0)
    return np.random.default_rng(0).poisson(pattern / pattern.sum() * electrons, (count, *pattern.shape))


def evidence(model, patterns: np.ndarray, electrons: float, tilt_mrad: np.ndarray = TILT) -> np.ndarray:
    n = len(patterns)
    return cell_evidence(
        model, patterns, np.full(n, 1 / electrons), np.full(n, model.thickness_nm[NODE]), np.tile(tilt_mrad, (n, 1))
    )


@pytest.mark.parametrize("direction", [1, 4, 6])
def test_evidence_of_weak_cells_adds_up_to_the_right_direction(model, direction):
    found = evidence(model, cells(model, 45.0 * direction, 3e4, 40), 3e4)
    assert found.sum(axis=0).argmax() == direction
    assert (found.argmax(axis=1) == direction).mean() < 1
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, rtol=1e-4)


def test_an_error_of_the_tilt_is_no_evidence_of_a_direction(model):
    patterns = cells(model, 90.0, 1e6, 5)
    found = evidence(model, patterns, 1e6, TILT + np.array([0.3, -0.3]))
    assert (found.argmax(axis=1) == 2).all()


def two_halves(strength: float, noise: float, seed: int = 0) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(0, noise, (12, 20, 9))
    logits[:, :8, 2] += strength
    logits[:, 8:, 6] += strength
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def test_cells_that_are_often_wrong_alone_are_joined_to_segments_with_a_sharp_wall():
    local = two_halves(3.0, 2.0)
    assert (local.argmax(axis=-1)[:, :8] == 2).mean() < 0.8
    found = join_cells(local, 1.0).argmax(axis=-1)
    assert (found[:, :8] == 2).all()
    assert (found[:, 8:] == 6).all()


def test_noise_alone_makes_no_walls():
    local = two_halves(0.0, 1.0)
    local[..., 4] += 1.0
    assert (join_cells(local, 1.0).argmax(axis=-1) == 4).all()


def test_segments_are_large_by_their_electrons_each_part_by_itself():
    labels = np.full((10, 20), 3)
    labels[:, 12:], labels[2:4, 2:4], labels[6, 6] = 5, 1, 5
    large = large_segments(labels, 1e4)
    assert large[:, 12:].all()
    assert large[labels == 3].all()
    assert not large[2:4, 2:4].any()
    assert not large[6, 6]
    assert not large_segments(labels, 1e3).any()
