"""The pattern at the cursor and the status bar, without a window but where one is named."""

from __future__ import annotations

from dataclasses import replace
from threading import Event

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from napari_polarmap.core.data import Scan4D
from napari_polarmap.pipeline.layers import scan_layer
from napari_polarmap.widgets.follower import Follower
from napari_polarmap.widgets.reading_line import ReadingLine


@pytest.fixture
def follower(viewer, scan):
    data, options, _ = scan_layer(scan, scan.data.sum(axis=(2, 3)))
    viewer.add_image(data, **options)
    following = Follower(viewer)
    following.scan = scan
    yield following
    following.detach()


def move(viewer, row, column):
    """Move the mouse to a scan position."""
    viewer.cursor.position = viewer.layers[0].data_to_world((row, column))
    for callback in viewer.mouse_move_callbacks:
        callback(viewer, None)


class Slow:
    """Patterns of a disk that answers when it is let to."""

    def __init__(self, data):
        self._data, self.answers = data, Event()
        self.shape, self.dtype = data.shape, data.dtype

    def __getitem__(self, key):
        assert self.answers.wait(20)
        return self._data[key]


def test_pattern_and_status_are_shown_at_once(follower, viewer, scan, qtbot):
    seen = []
    follower.looked.connect(lambda pattern: seen.append(viewer.status))
    move(viewer, 2, 3)
    follower._reading[1].result(timeout=20)
    qtbot.wait(1)
    assert not seen
    viewer.status = "of row 2"
    assert seen == ["of row 2"]
    assert follower.position == (2, 3)
    np.testing.assert_array_equal(follower.pattern, scan.pattern(2, 3))


def test_without_word_of_the_status_bar_the_pattern_comes_nevertheless(follower, viewer, qtbot):
    move(viewer, 2, 3)
    qtbot.waitUntil(lambda: follower.position == (2, 3))


def test_patterns_are_shown_while_the_mouse_moves_though_no_status_bar_speaks(follower, viewer, qtbot):
    for column in [1, 2, 3, 4] * 4:
        move(viewer, 2, column)
        qtbot.wait(10)
    assert follower.position is not None


def test_a_slow_disk_holds_nothing_up_and_the_last_position_is_shown(follower, viewer, scan, qtbot):
    slow = Slow(scan.data)
    follower.scan = replace(scan, data=slow)
    for column in (3, 4, 5):
        move(viewer, 2, column)
        viewer.status = f"of column {column}"
    assert follower.position is None
    slow.answers.set()
    qtbot.waitUntil(lambda: follower.position == (2, 5))


def test_a_disk_that_never_answers_does_not_keep_the_next_scan_from_being_read(follower, viewer, scan, qtbot):
    dead = Slow(scan.data)
    follower.scan = Scan4D(dead, scan.calibration)
    follower.look(1, 1)
    follower.forget()
    follower.scan = scan
    follower.look(2, 3)
    qtbot.waitUntil(lambda: follower.position == (2, 3))
    dead.answers.set()


def test_nothing_is_read_for_a_dock_behind_another_tab(viewer, scan, qtbot):
    data, options, _ = scan_layer(scan, scan.data.sum(axis=(2, 3)))
    viewer.add_image(data, **options)
    tabs, front, back = QTabWidget(), QWidget(), QWidget()
    tabs.addTab(front, "in front")
    tabs.addTab(back, "behind")
    following = Follower(viewer, back)
    following.scan = scan
    qtbot.addWidget(tabs)
    tabs.show()
    qtbot.waitExposed(tabs)
    move(viewer, 2, 3)
    assert following._reading is None
    tabs.setCurrentWidget(back)
    move(viewer, 2, 4)
    qtbot.waitUntil(lambda: following.position == (2, 4))
    following.detach()


class Counts(QObject):
    """Counts requests to lay a widget out anew."""

    def __init__(self):
        super().__init__()
        self.requests = 0

    def eventFilter(self, watched, event):
        self.requests += event.type() == QEvent.Type.LayoutRequest
        return False


def test_a_new_reading_does_not_lay_the_dock_out_anew_until_it_is_longer(qtbot):
    dock = QWidget()
    line = ReadingLine("row 1, column 1")
    QVBoxLayout(dock).addWidget(line)
    qtbot.addWidget(dock)
    dock.resize(200, 100)
    dock.show()
    qtbot.waitExposed(dock)
    qtbot.wait(50)
    counts = Counts()
    dock.installEventFilter(counts)
    before = line.height()
    for column in range(5):
        line.setText(f"row 1, column {column}")
        qtbot.wait(1)
    assert counts.requests == 0
    line.setText("row 1, column 1   " + "right 0° · 80 % sure, thickness 20 nm, " * 4)
    qtbot.waitUntil(lambda: line.height() > before)
    assert line._label.heightForWidth(line.width()) <= line.height()
