"""Patterns that several tests of the core look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

MEANS = Path(__file__).parents[1] / "data" / "mean_patterns.npz"


@pytest.fixture(scope="session")
def mean_patterns() -> dict[str, NDArray[np.float64]]:
    """Means over one cell of 16 simulated (K,Na)NbO3 specimens, 6 to 56 nm thick, tilted by up to 4 mrad.

    ``pattern`` (16, 64, 64) has the direct beam on pixel (32, 32); with ``thickness_nm``, ``tilt_mrad``
    and the true ``radius_px``.
    """
    with np.load(MEANS) as stored:
        return {name: stored[name].astype(np.float64) for name in stored.files}


@pytest.fixture(scope="session")
def mean_pattern(mean_patterns: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """One of them: 16 nm, tilted by 3.8 mrad, radius 22.18 px."""
    return mean_patterns["pattern"][1]
