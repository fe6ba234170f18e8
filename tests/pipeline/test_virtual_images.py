"""Images of virtual detectors and means over regions."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.virtual_detector import VirtualDetector
from napari_polarmap.pipeline.virtual_images import binned_steps, mean_pattern_steps, virtual_image_steps

DATA = np.random.default_rng(0).poisson(3, (12, 9, 21, 18)).astype(np.uint16)
SCAN = Scan4D(DATA)


def finish(steps):
    seen = []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as finished:
            return finished.value, seen


def test_a_virtual_image_is_the_weighted_sum_of_each_pattern():
    weights = VirtualDetector(center_px=(10, 9), outer_px=6.0).weights((21, 18))
    expected = (DATA * weights).sum(axis=(2, 3))
    image, seen = finish(virtual_image_steps(SCAN, weights))
    np.testing.assert_allclose(image, expected, rtol=1e-5)
    assert seen[0].done == 0
    np.testing.assert_allclose(finish(binned_steps(SCAN))[0].image(weights), expected, rtol=1e-5)


def test_a_scan_that_is_too_large_is_binned_and_its_images_are_near():
    binned, _ = finish(binned_steps(SCAN, max_bytes=12 * 9 * 4 * 60))
    assert binned.bin_px == 3
    assert not binned.exact
    weights = np.zeros((21, 18), np.float32)
    weights[6:12, 3:9] = 1
    np.testing.assert_allclose(binned.image(weights), DATA[..., 6:12, 3:9].sum(axis=(2, 3)), rtol=1e-5)


def test_the_mean_over_a_region_is_the_mean_of_its_patterns():
    mask = np.zeros((12, 9), bool)
    mask[3:7, 2:5] = mask[9, 8] = True
    pattern, seen = finish(mean_pattern_steps(SCAN, mask))
    np.testing.assert_allclose(pattern, DATA[mask].mean(axis=0))
    assert seen[-1].total == 13


@pytest.mark.parametrize(
    ("mask", "words"), [(np.zeros((12, 9), bool), "no scan position"), (np.ones((2, 2), bool), "shape")]
)
def test_a_region_off_the_scan_is_refused(mask, words):
    with pytest.raises(ValueError, match=words):
        finish(mean_pattern_steps(SCAN, mask))
