"""The colour wheel."""

from __future__ import annotations

import math

import numpy as np
import pytest
from qtpy.QtCore import QPointF, Qt

from napari_polarmap.core.directions import Direction
from napari_polarmap.widgets.wheel import DirectionWheel


@pytest.fixture
def wheel(qtbot):
    widget = DirectionWheel()
    qtbot.addWidget(widget)
    widget.resize(200, 200)
    widget.show()
    return widget


def point(direction: Direction, radius=52.0) -> QPointF:
    angle = math.radians(direction.angle_deg)
    return QPointF(100 + radius * math.cos(angle), 100 - radius * math.sin(angle))


@pytest.mark.parametrize("direction", Direction)
def test_each_wedge_lies_where_its_direction_points_and_has_its_colour(wheel, direction):
    assert wheel.direction_at(point(direction)) == direction
    image = wheel.grab().toImage()
    ratio = image.devicePixelRatio()
    place = point(direction) * ratio
    assert image.pixelColor(round(place.x()), round(place.y())).name() == direction.color


def test_middle_and_corners_belong_to_no_direction(wheel):
    assert wheel.direction_at(QPointF(100, 100)) is None
    assert wheel.direction_at(QPointF(2, 2)) is None


def test_the_wedge_under_the_cursor_of_the_map_stands_out(wheel):
    before = wheel.grab().toImage()
    wheel.set_active(Direction.LU)
    assert wheel.active == Direction.LU
    assert wheel.grab().toImage() != before
    wheel.set_active(None)
    assert wheel.grab().toImage() == before


def test_the_mouse_over_a_wedge_comes_first_and_leaves_again(wheel, qtbot):
    wheel.set_active(Direction.RM)
    qtbot.mouseMove(wheel, point(Direction.MD).toPoint())
    qtbot.waitUntil(lambda: wheel.active == Direction.MD)
    wheel.leaveEvent(None)
    assert wheel.active == Direction.RM


def test_a_click_tells_the_direction(wheel, qtbot):
    with qtbot.waitSignal(wheel.clicked) as signal:
        qtbot.mouseClick(wheel, Qt.MouseButton.LeftButton, pos=point(Direction.LD).toPoint())
    assert signal.args == [Direction.LD]


def test_a_wedge_is_described_with_angle_and_share(wheel):
    assert wheel.describe(3) == "LU: 135°"
    wheel.set_shares(np.full(8, 0.125))
    assert wheel.describe(3) == "LU: 135°, 12.5 % of the map"
