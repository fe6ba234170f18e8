"""What is done to patterns while training: each has numbers of its own, and a seed decides them."""

from __future__ import annotations

import numpy as np
import torch

from napari_polarmap.core.survey import center_of_mass
from napari_polarmap.pipeline.augmentation import Augmentation, augment, blur, to_grid
from napari_polarmap.pipeline.published import PublishedAugmentation, augment_as_published


def spots(places: list[tuple[float, float]], edge: int = 64, width: float = 2.0) -> np.ndarray:
    """One round spot per pattern, ``(y, x)`` from the direct beam at ``edge / 2``."""
    y, x = np.mgrid[:edge, :edge] - edge / 2
    return np.stack([np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / (2 * width**2)) for at in places])


def from_middle(patterns: torch.Tensor) -> np.ndarray:
    return center_of_mass(patterns.numpy()) - (patterns.shape[-1] - 1) / 2


def test_each_pattern_is_shifted_scaled_and_turned_by_its_own_numbers():
    placed = to_grid(
        spots([(0, 10), (0, 10), (0, 10), (0, 0)]),
        np.array([1.0, 0.5, 1.0, 1.0]),  # the second pixel is half as wide, so 10 px become 5
        grid_mrad=1.0,
        shift_px=np.array([[0, 0], [0, 0], [0, 0], [2.0, -1.0]]),
        rotation_deg=np.array([0, 0, 90.0, 0]),
    )
    np.testing.assert_allclose(from_middle(placed), [[0, 10], [0, 5], [10, 0], [-2, 1]], atol=0.01)


def test_each_pattern_is_blurred_by_its_own_width():
    blurred = blur(spots([(0, 0)] * 3), np.array([0.0, 1.5, 3.0]))
    x = np.arange(64) - 32
    variance = (blurred.sum(axis=1) * x**2).sum(axis=1) / blurred.sum(axis=(1, 2))
    np.testing.assert_allclose(variance, [4.0, 4.0 + 1.5**2, 4.0 + 3.0**2], rtol=0.03)


def test_the_same_seed_gives_the_same_patterns_and_no_two_are_alike():
    patterns = spots([(3, 4)] * 6) * 4096 / 26
    first, second, other = (
        augment(
            patterns,
            np.ones(6),
            Augmentation(),
            grid_mrad=1.0,
            intensity_scale=4096.0,
            rng=np.random.default_rng(seed),
        )
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert len(np.unique(from_middle(first).round(4), axis=0)) == 6


def test_published_changes_are_drawn_for_every_pattern():
    patterns = torch.from_numpy(spots([(0, 0)] * 8)).float()
    options = PublishedAugmentation(used=1)
    changed = [augment_as_published(patterns, options, np.random.default_rng(seed)) for seed in (1, 1)]
    assert torch.equal(*changed)
    assert len({tuple(pattern.ravel()[::97].tolist()) for pattern in changed[0].round(decimals=5)}) > 4
