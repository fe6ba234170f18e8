"""Work in the background."""

from __future__ import annotations

import time

import pytest
from qtpy.QtCore import QThread
from qtpy.QtWidgets import QApplication

from napari_polarmap.widgets.workers import Jobs, tell_error


@pytest.fixture
def jobs(qapp):
    return Jobs()


def test_the_answer_comes_in_the_window_thread(jobs, qtbot):
    heard = []
    jobs.start(lambda a: a + 1, 1, returned=lambda value: heard.append((value, QThread.currentThread())))
    qtbot.waitUntil(lambda: not jobs.busy)
    assert heard == [(2, QApplication.instance().thread())]


def test_an_error_is_told_and_the_work_is_over(jobs, qtbot):
    heard = []
    jobs.start(lambda: 1 / 0, errored=heard.append)
    qtbot.waitUntil(lambda: not jobs.busy)
    assert isinstance(heard[0], ZeroDivisionError)


def steps(n):
    for i in range(n):
        time.sleep(0.005)
        yield i
    return "end"


def test_a_generator_tells_its_steps_and_its_end(jobs, qtbot):
    heard = []
    jobs.start(steps, 3, yielded=heard.append, returned=heard.append)
    qtbot.waitUntil(lambda: not jobs.busy)
    assert heard == [0, 1, 2, "end"]


def test_cancelled_work_says_so_and_does_not_return(jobs, qtbot):
    heard = []
    jobs.start(
        steps,
        1000,
        yielded=lambda _: jobs.cancel(),
        aborted=lambda: heard.append("aborted"),
        returned=heard.append,
        finished=lambda: heard.append("finished"),
    )
    qtbot.waitUntil(lambda: "finished" in heard)
    assert heard == ["aborted", "finished"]


def test_new_work_silences_the_old(jobs, qtbot):
    heard = []
    jobs.start(steps, 1000, yielded=lambda _: heard.append("old"), aborted=lambda: heard.append("old"))
    jobs.start(lambda: "new", returned=heard.append)
    qtbot.waitUntil(lambda: not jobs.busy)
    assert heard == ["new"]


def test_stopped_work_is_silent(jobs, qtbot):
    heard = []
    jobs.start(steps, 1000, yielded=heard.append, aborted=lambda: heard.append("aborted"))
    jobs.stop()
    assert not jobs.busy
    qtbot.wait(50)
    assert heard == []


def test_unforeseen_errors_are_raised_with_their_trace():
    with pytest.raises(ZeroDivisionError):
        tell_error(ZeroDivisionError("x"))
