"""The pattern at the cursor."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtGui import QColor

from napari_polarmap.widgets.pattern_view import COM_COLOR, CROP_COLOR, Overlay, PatternView, to_levels


@pytest.fixture
def view(qtbot):
    widget = PatternView()
    qtbot.addWidget(widget)
    widget.resize(320, 320)
    widget.show()
    return widget


def color(view, row, column, size=32):
    """Return the colour of the middle of a detector pixel on the screen."""
    image = view.grab().toImage()
    zoom = image.width() / size
    return image.pixelColor(int((column + 0.5) * zoom), int((row + 0.5) * zoom))


@pytest.mark.parametrize(
    "pattern",
    [np.zeros((4, 5)), np.full((4, 5), np.nan), np.full((4, 5), -3), np.full((4, 5), np.inf), np.zeros((4, 5), bool)],
)
def test_patterns_without_counts_are_dark(pattern):
    assert not to_levels(pattern, logarithmic=True).any()


def test_one_hot_pixel_does_not_darken_the_rest():
    pattern = np.full((64, 64), 10.0)
    pattern[0, 0] = 1e9
    assert to_levels(pattern, logarithmic=False)[5, 5] == 255


def test_a_single_electron_is_seen():
    pattern = np.zeros((64, 64), np.uint8)
    pattern[7, 8] = 1
    assert to_levels(pattern, logarithmic=False)[7, 8] == 255


def test_the_logarithmic_scale_lifts_weak_counts():
    pattern = np.array([[1.0, 1000.0]])
    assert to_levels(pattern, logarithmic=True)[0, 0] > 20 * to_levels(pattern, logarithmic=False)[0, 0]


def test_rows_run_down_and_columns_to_the_right(view):
    pattern = np.zeros((32, 32), np.uint16)
    pattern[3, 20] = 100
    view.set_pattern(pattern)
    assert color(view, 3, 20).lightness() > 100
    assert color(view, 20, 3).lightness() < 30


def test_a_detector_that_is_not_square_keeps_square_pixels(view):
    pattern = np.zeros((16, 32), np.uint16)
    pattern[0, 0] = 100
    view.set_pattern(pattern)
    image = view.grab().toImage()
    assert image.pixelColor(5, 85).lightness() > 100
    assert image.pixelColor(5, 75).lightness() < 30


def test_the_cross_marks_the_centre_of_mass_and_the_square_the_crop(view):
    view.set_pattern(np.zeros((32, 32)), Overlay(com_px=(10, 21), crop_px=((15.5, 15.5), 20.0)))
    cross = color(view, 10, 21)
    assert abs(cross.blue() - QColor(COM_COLOR).blue()) < 30
    assert cross.red() < 80
    edge = color(view, 15.5 - 10 + 0.0, 15.5)
    assert abs(edge.green() - QColor(CROP_COLOR).green()) < 60


def test_overlays_without_finite_centre_are_left_out(view):
    view.set_pattern(np.zeros((32, 32)), Overlay(com_px=(np.nan, np.nan)))
    assert color(view, 16, 16).lightness() < 30


def test_without_a_pattern_the_view_says_what_to_do(view):
    view.set_pattern(None)
    assert "mouse" in view.message
    view.grab()


def test_painting_takes_a_few_milliseconds(view):
    from time import perf_counter

    pattern = np.random.default_rng(0).poisson(5, (256, 256)).astype(np.uint16)
    start = perf_counter()
    for _ in range(10):
        view.set_pattern(pattern)
        view.repaint()
    assert (perf_counter() - start) / 10 * 1000 < 25
