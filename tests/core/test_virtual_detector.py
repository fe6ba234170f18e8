"""Virtual detectors."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap.core.virtual_detector import VirtualDetector, polygon_mask

SHAPE = (41, 50)


def test_a_disk_holds_the_area_of_a_circle():
    weights = VirtualDetector(center_px=(20.3, 24.1), outer_px=9.0).weights(SHAPE)
    assert weights.sum() == pytest.approx(np.pi * 81, rel=0.01)


def test_an_annulus_is_the_difference_of_two_disks():
    center = (20.3, 24.1)
    disks = [VirtualDetector(center_px=center, outer_px=radius).weights(SHAPE).sum() for radius in (6.0, 12.0)]
    annulus = VirtualDetector(kind="annulus", center_px=center, inner_px=6.0, outer_px=12.0).weights(SHAPE)
    assert annulus.sum() == pytest.approx(disks[1] - disks[0], rel=0.01)


def test_opposite_segments_cancel_in_an_even_pattern_and_add_the_shift_of_a_shifted_one():
    detector = VirtualDetector(kind="segments", center_px=(20, 25), outer_px=15.0, signs=(1, 0, -1, 0))
    y, x = np.indices(SHAPE)
    even = np.exp(-((y - 20) ** 2 + (x - 25) ** 2) / 50)
    assert abs((detector.weights(SHAPE) * even).sum()) < 1e-4
    assert (detector.weights(SHAPE) * np.roll(even, 2, axis=1)).sum() > 1  # the first segment lies to the right


@pytest.mark.parametrize(("place", "segment"), [((20, 35), 0), ((10, 25), 1), ((20, 15), 2), ((30, 25), 3)])
def test_segments_count_counter_clockwise_on_the_screen(place, segment):
    detector = VirtualDetector(kind="segments", center_px=(20, 25), inner_px=5.0, outer_px=15.0)
    assert detector.segment_at(*place) == segment
    assert detector.segment_at(20, 25) is None


def test_a_drawn_detector_counts_the_pixels_inside_its_outline():
    square = ((9.5, 9.5), (9.5, 19.5), (14.5, 19.5), (14.5, 9.5))
    weights = VirtualDetector(kind="drawn", outline_px=square).weights(SHAPE)
    assert weights.sum() == 50
    assert weights[10, 10] == weights[14, 19] == 1
    assert not VirtualDetector(kind="drawn", outline_px=square[:2]).weights(SHAPE).any()


def test_a_hollow_polygon_leaves_its_hole_out():
    concave = [(0, 0), (0, 10), (10, 10), (10, 6), (4, 6), (4, 4), (10, 4), (10, 0)]
    assert not polygon_mask(concave, (12, 12))[8, 5]
    assert polygon_mask(concave, (12, 12))[2, 5]


@pytest.mark.parametrize("radii", [(3.0, 3.0), (-1.0, 2.0), (5.0, 2.0)])
def test_radii_that_make_no_ring_are_refused(radii):
    with pytest.raises(ValueError, match="radii of"):
        VirtualDetector(kind="annulus", inner_px=radii[0], outer_px=radii[1])
