"""The information map finds the place in the cell where single patterns tell something."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap.core.directions import UNDEFINED
from napari_polarmap.core.information import fold_information
from napari_polarmap.core.lattice import Lattice, lattice_from_vectors, square_vectors

SHAPE = (72, 90)


def folded(period_px: float = 8.37, angle_deg: float = 12.0, **options):
    """A scan with dark columns; single patterns are right within 0.2 cells of half a cell to the right of them."""
    lattice = lattice_from_vectors(square_vectors(period_px, angle_deg))
    phase = (lattice.phase(SHAPE) - [0.3, 0.6]) % 1  # (along the first, along the second vector)
    image = 2 - np.cos(2 * np.pi * phase).sum(axis=-1) / 2
    right = np.hypot(phase[..., 0] - 0.5, np.minimum(phase[..., 1], 1 - phase[..., 1])) < 0.2
    reference = np.full(SHAPE, 3, np.uint8)
    reference[:6] = UNDEFINED
    direction = np.where(right, 3, 5).astype(np.uint8)
    confidence = np.where(right, 0.9, 0.2)
    confidence[-3:] = np.nan
    return fold_information(lattice, image, confidence, 3 - right, direction, reference, **options)


@pytest.mark.parametrize("angle_deg", [0, 12, -33])
def test_the_columns_lie_in_the_middle_and_the_information_where_it_is(angle_deg):
    found = folded(angle_deg=angle_deg)
    bins = len(found.image)
    assert np.unravel_index(found.image.argmin(), found.image.shape) == (bins // 2, bins // 2)
    best = found.accuracy[bins // 2, 0], found.confidence[bins // 2, 0], found.entropy_bits[bins // 2, 0]
    assert best == pytest.approx((1, 0.9, 2))
    assert found.accuracy[bins // 2, bins // 2] == 0


def test_every_position_counts_once_and_places_hardly_met_are_not_told():
    found = folded(bins=60)
    assert found.counts.sum() == SHAPE[0] * SHAPE[1]
    assert np.isnan(found.accuracy[found.counts < 3]).all()
    assert (found.counts < 3).any()


def test_the_whole_is_told_in_a_sentence():
    assert "everywhere up to 100.0%), at the best place of the cell at 100.0%" in folded().overall


def test_without_a_lattice_nothing_is_folded():
    unknown = Lattice(vectors_px=np.full((2, 2), np.nan), resolved=False)
    with pytest.raises(ValueError, match="lattice of the scan is not known"):
        fold_information(unknown, *(np.zeros(SHAPE),) * 3, *(np.zeros(SHAPE, np.uint8),) * 2)


def test_a_number_of_bins_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="bins is 1"):
        folded(bins=1)
