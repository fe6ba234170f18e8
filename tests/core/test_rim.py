"""The radius of a disk whose rim is blurred."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_polarmap.core.disk import find_disk
from napari_polarmap.core.rim import rim_radius


@pytest.mark.parametrize("blur_px", [0, 1, 1.5])
def test_the_radius_does_not_grow_with_the_blur(mean_patterns, blur_px):
    errors = []
    for pattern, radius_px in zip(mean_patterns["pattern"], mean_patterns["radius_px"], strict=True):
        blurred = ndimage.gaussian_filter(pattern, blur_px) if blur_px else pattern
        errors.append(rim_radius(blurred, find_disk(blurred))[0] / radius_px - 1)
    assert abs(np.median(errors)) < 0.015


def test_the_blur_is_told():
    y, x = np.indices((64, 64))
    disk = np.where(np.hypot(y - 31.2, x - 32.1) < 20, 100.0, 1.0)
    blurred = ndimage.gaussian_filter(disk, 2.0)
    radius_px, width_px = rim_radius(blurred, find_disk(blurred))
    assert radius_px == pytest.approx(20, abs=0.2)
    assert width_px == pytest.approx(2, abs=0.3)
