"""Loops that replace a library's must give what it gives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_polarmap.core.kernels import spline_values


@pytest.mark.parametrize(("mode", "wrap"), [("nearest", False), ("grid-wrap", True)])
@pytest.mark.parametrize("shape", [(9, 14), (4, 5), (2, 3), (1, 6)])
def test_a_spline_is_evaluated_as_scipy_does(shape, mode, wrap):
    random = np.random.default_rng(0)
    coefficients = ndimage.spline_filter(random.random(shape), mode=mode)
    size = np.array(shape)[:, None]
    points = random.uniform(-1.5, 2.5, (2, 300)) * size if wrap else random.random((2, 300)) * (size - 1)
    points[:, :40] = np.rint(points[:, :40])
    found = np.empty(300)
    spline_values(coefficients, points, wrap, found)
    expected = ndimage.map_coordinates(coefficients, points, mode=mode, prefilter=False)
    np.testing.assert_allclose(found, expected, atol=1e-12)
