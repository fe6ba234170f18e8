"""Eight directions, counter-clockwise on a screen whose rows grow downwards."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap.core.directions import (
    ANGLES_DEG,
    COLORS,
    LABELS,
    UNDEFINED,
    VECTORS_YX,
    Direction,
    angle_between_deg,
    nearest_direction,
    parse_direction,
)


def test_the_order_is_counter_clockwise_from_the_right():
    assert LABELS == ("RM", "RU", "MU", "LU", "LM", "LD", "MD", "RD")
    np.testing.assert_array_equal(ANGLES_DEG, np.arange(8) * 45)


@pytest.mark.parametrize(
    ("direction", "row", "column"),
    [(Direction.RM, 0, 1), (Direction.MU, -1, 0), (Direction.LM, 0, -1), (Direction.MD, 1, 0), (Direction.RU, -1, 1)],
)
def test_up_is_towards_smaller_rows_and_right_towards_larger_columns(direction, row, column):
    np.testing.assert_allclose(VECTORS_YX[direction], np.array([row, column]) / np.hypot(row, column), atol=1e-15)


def test_the_angle_of_a_vector_is_the_angle_of_its_class():
    angle = np.rad2deg(np.arctan2(-VECTORS_YX[:, 0], VECTORS_YX[:, 1])) % 360
    np.testing.assert_allclose(angle, ANGLES_DEG, atol=1e-9)


def test_opposite_classes_are_four_apart():
    np.testing.assert_allclose(VECTORS_YX, -np.roll(VECTORS_YX, 4, axis=0), atol=1e-15)


def test_an_angle_belongs_to_the_nearest_class_for_any_number_of_turns():
    angle = np.arange(-720, 721, 5.0)
    expected = [int(np.argmin(angle_between_deg(a, ANGLES_DEG))) for a in angle if a % 45 != 22.5]
    np.testing.assert_array_equal(nearest_direction(angle), expected)


def test_no_angle_has_no_class():
    assert nearest_direction([np.nan, np.inf]).tolist() == [UNDEFINED, UNDEFINED]


def test_a_label_is_read_in_any_case_and_an_unknown_one_names_the_eight():
    assert parse_direction(" ru ") is Direction.RU
    with pytest.raises(ValueError, match="'up' is not a direction; choose one of RM, RU, MU"):
        parse_direction("up")


def test_colours_tell_the_eight_apart():
    assert len(set(COLORS)) == 8
    assert Direction.LD.color == COLORS[5]
