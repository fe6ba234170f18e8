"""Click through the real window at random, and see that nothing breaks and memory does not grow.

Run by ``make soak`` on a virtual screen. Every dock is open; buttons, lists, numbers, keys and the mouse
over the image are used in random order, from a seed. From time to time everything is put back to where it
began, and there the memory in use is written down. It ends with code 1 if anything was raised, or if memory
at the end is more than 5 % above that after the first tenth of the time. What is loaded once and kept (the
classifiers' libraries, compiled loops) is loaded before the clock starts.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

os.environ.setdefault("NAPARI_CONFIG", "")

import napari
import numpy as np
import torch
from napari._qt.dialogs.qt_notification import NapariQtNotification
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QEventLoop, QObject, QPoint, Qt, QTimer, QtMsgType, qInstallMessageHandler
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QFileDialog,
    QLineEdit,
    QScrollBar,
    QWidget,
)
from superqt.utils import WorkerBase

from napari_polarmap import load_classifier, map_polarization, open_scan
from napari_polarmap.models.registry import list_models
from napari_polarmap.plugin import sample_path
from napari_polarmap.widgets.wheel import DirectionWheel

DOCKS = (
    "Polarization mapping",
    "Explorer",
    "Calibration",
    "Error analysis",
    "Compare maps",
    "Batch",
    "Train a classifier",
)
PLUGIN = "napari-polarmap"
MOST_LAYERS = 40
GROWTH = 0.05


class Soak:
    """One window with every dock, and what is done to it.

    Parameters
    ----------
    seed : int
    folder : Path
        Where files are written.
    """

    def __init__(self, seed: int, folder: Path) -> None:
        self.random = random.Random(seed)  # noqa: S311 -- for clicks, not for secrets
        self.folder = folder
        self.errors: list[str] = []
        self.done: Counter[str] = Counter()
        self.told: Counter[str] = Counter()
        self.memory: list[tuple[float, float]] = []
        self.last = ""
        sys.excepthook = self._on_error
        notification_manager.notification_ready.connect(self._on_notification)
        qInstallMessageHandler(self._on_qt)
        self._answer_dialogs()
        self.viewer = napari.Viewer(show=True)
        self.viewer.window._qt_window.resize(1280, 800)
        self.docks = [self._open(name) for name in DOCKS]
        self.begin = time.monotonic()
        self.restart()

    def _open(self, name: str) -> QWidget:
        return self.viewer.window.add_plugin_dock_widget(PLUGIN, name, tabify=True)[1]

    def _answer_dialogs(self) -> None:
        """Choose a file, or none, wherever a file is asked for."""
        sample = str(sample_path("defect"))
        QFileDialog.getOpenFileName = staticmethod(lambda *_, **__: (self.random.choice([sample, ""]), ""))
        QFileDialog.getOpenFileNames = staticmethod(lambda *_, **__: ([], ""))
        QFileDialog.getExistingDirectory = staticmethod(lambda *_, **__: self.random.choice([str(self.folder), ""]))
        QFileDialog.getSaveFileName = staticmethod(lambda *_, **__: (str(self.folder / "saved"), ""))

    # what goes wrong

    def _on_error(self, kind: type[BaseException], value: BaseException, trace: Any) -> None:
        self.errors.append(f"after {self.last}:\n" + "".join(traceback.format_exception(kind, value, trace)))
        print(self.errors[-1], flush=True)

    def _on_notification(self, notification: Any) -> None:
        self.told[notification.message.splitlines()[0][:100]] += 1
        if getattr(notification, "exception", None) is not None and not isinstance(
            notification.exception, (ValueError, OSError)
        ):
            error = notification.exception
            self._on_error(type(error), error, error.__traceback__)

    def _on_qt(self, kind: QtMsgType, context: Any, message: str) -> None:
        self.told[f"Qt: {message[:100]}"] += 1

    # what is done

    def step(self) -> None:
        """Do one thing."""
        actions = [self.press, self.press, self.press, self.set_number, self.choose, self.over_image, self.over_image]
        actions += [self.key, self.change_tab, self.drag, self.delete_layer, self.theme, self.undraw]
        weights = [4, 4, 4, 4, 3, 3, 3, 2, 4, 2, 0.3, 0.1, 0.5]
        action = self.random.choices(actions, weights)[0]
        self.done[action.__name__] += 1
        try:
            action()
            self.live(0.02)
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is what is looked for
            self._on_error(type(error), error, error.__traceback__)
        for window in QApplication.topLevelWidgets():
            if isinstance(window, QDialog) and window.isVisible():
                window.reject()

    def live(self, seconds: float) -> None:
        """Let the window work; only a loop of its own deletes what is to be deleted."""
        loop = QEventLoop()
        QTimer.singleShot(round(1000 * seconds), loop.quit)
        loop.exec()

    def control(self, *kinds: type[QWidget]) -> Any:
        """Return a control of these kinds that can be used now, or None."""
        dock = self.random.choice([dock for dock in self.docks if dock.isVisible()] or self.docks)
        found = [
            child
            for child in dock.findChildren(QWidget)
            if isinstance(child, kinds)
            and not isinstance(child, QScrollBar)
            and child.isVisible()
            and child.isEnabled()
            and not isinstance(child.parent(), (QComboBox, QAbstractSpinBox))
        ]
        return self.random.choice(found) if found else None

    def press(self) -> None:
        """Press a button, or a wedge of the wheel."""
        control = self.control(QAbstractButton, DirectionWheel)
        if control is None or getattr(control, "menu", lambda: None)() is not None:
            return
        self.last = f"a click on {type(control.parent()).__name__} > {getattr(control, 'text', str)()!r}"
        size = control.size()
        QTest.mouseClick(control, Qt.MouseButton.LeftButton, pos=QPoint(size.width() // 3, size.height() // 2))

    def set_number(self) -> None:
        """Set a number, a slider or a text."""
        control = self.control(QAbstractSpinBox, QAbstractSlider, QLineEdit)
        if control is None:
            return
        self.last = f"a change of {type(control.parent()).__name__} > {control.toolTip()[:40]!r}"
        if isinstance(control, QLineEdit):
            if not control.isReadOnly():
                control.setText(str(self.folder / self.random.choice(["a", "b"])))
            return
        value, low, high = control.value(), control.minimum(), control.maximum()
        wanted = self.random.choice([value + control.singleStep(), value - control.singleStep(), low, value])
        control.setValue(type(value)(min(max(wanted, low), high)))

    def choose(self) -> None:
        """Choose in a list."""
        box = self.control(QComboBox)
        if box is not None and box.count():
            self.last = f"a choice in {type(box.parent()).__name__} > {box.toolTip()[:40]!r}"
            index = self.random.randrange(box.count())
            box.setCurrentIndex(index)
            box.activated.emit(index)

    def over_image(self) -> None:
        """Move the mouse over the image."""
        self.last = "a move over the image"
        canvas = self.viewer.window._qt_viewer.canvas.native
        for _ in range(5):
            place = QPoint(self.random.randrange(canvas.width()), self.random.randrange(canvas.height()))
            QTest.mouseMove(canvas, place)
            self.live(0.01)
        if self.random.random() < 0.2:
            QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=place)

    def key(self) -> None:
        """Press a key of a dock over the image."""
        bound = [str(key) for dock in self.docks for key in getattr(getattr(dock, "shortcuts", None), "keys", ())]
        key = self.random.choice(bound)
        self.last = f"key {key}"
        shift = Qt.KeyboardModifier.ShiftModifier if key.startswith("Shift") else Qt.KeyboardModifier.NoModifier
        QTest.keyClick(self.viewer.window._qt_viewer.canvas.native, key[-1], shift)

    def change_tab(self) -> None:
        """Bring another dock to the front."""
        dock = self.random.choice(self.docks)
        self.last = "a change of dock"
        dock.parentWidget().show()
        dock.parentWidget().raise_()

    def drag(self) -> None:
        """Drag over the pattern of the Explorer."""
        view = self.docks[1].view.pattern
        if view.isVisible():
            self.last = "a drag over the pattern"
            places = [QPoint(self.random.randrange(view.width()), self.random.randrange(view.height())) for _ in "abc"]
            QTest.mousePress(view, Qt.MouseButton.LeftButton, pos=places[0])
            for place in places:
                QTest.mouseMove(view, place)
            QTest.mouseRelease(view, Qt.MouseButton.LeftButton, pos=places[-1])

    def delete_layer(self) -> None:
        """Delete a layer."""
        layers = self.viewer.layers
        if len(layers) > 1:
            self.last = "the deletion of a layer"
            layers.remove(self.random.choice(list(layers)))
        while len(layers) > MOST_LAYERS:
            layers.pop()

    def theme(self) -> None:
        """Change the theme."""
        self.last = "a change of theme"
        self.viewer.theme = "light" if self.viewer.theme == "dark" else "dark"

    def undraw(self) -> None:
        """Leave off drawing."""
        active = self.viewer.layers.selection.active
        if active is not None:
            self.last = "the end of drawing"
            with suppress(ValueError):
                active.mode = "pan_zoom"

    # what is measured

    def restart(self) -> None:
        """Go back to the beginning: one scan, nothing else; write down the memory in use."""
        self.last = "a restart"
        mapping = self.docks[0]
        for dock in self.docks:
            for name in ("measuring", "_mapping", "exporting", "_inspecting", "_measuring", "_jobs"):
                jobs = getattr(dock, name, None)
                if jobs is not None:
                    jobs.stop()
        self.viewer.layers.clear()
        for notification in self.viewer.window._qt_window.findChildren(NapariQtNotification):
            notification.close()
            notification.deleteLater()
        self.live(0.5)
        try:  # what was cancelled still holds its memory until it notices
            WorkerBase.await_workers(60_000)
        except RuntimeError:
            self.told["cancelled work went on for a minute"] += 1
        self.live(0.5)
        mapping.dataset.open_path(sample_path("two_domains"))
        self._wait(lambda: mapping.inspection is not None and mapping.dataset.scan.name == "two_domains")
        for name in [scan.name for scan in mapping.dataset._scans[:-1]]:
            self.told[f"still listed: {name}"] += 1
        self.viewer.reset_view()
        self.live(1.0)
        for _ in range(3):
            gc.collect()
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        self.memory.append((time.monotonic() - self.begin, used_mb()))
        minutes, megabytes = self.memory[-1]
        print(
            f"{minutes / 60:5.1f} min  {megabytes:7.0f} MB  {sum(self.done.values()):6d} actions  "
            f"{len(self.errors)} errors  {len(QApplication.allWidgets())} widgets  {n_objects()} objects",
            flush=True,
        )

    def _wait(self, condition: Callable[[], bool], seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while not condition() and time.monotonic() < end:
            self.live(0.02)
        if not condition():
            self.errors.append(f"no answer for {seconds:g} s after a restart")

    def growth(self) -> float:
        """Return by how much memory grew: mean of the last fifth of the records over that after the first tenth."""
        total = self.memory[-1][0]
        early = [used for at, used in self.memory if 0.1 * total <= at <= 0.3 * total] or [self.memory[0][1]]
        late = [used for at, used in self.memory if at >= 0.8 * total]
        return (sum(late) / len(late)) / (sum(early) / len(early)) - 1


def warm_up() -> None:
    """Load what is loaded once and kept: every classifier, and what training needs."""
    for info in list_models():
        classifier = load_classifier(info.name)
        patterns = np.ones((2, info.grid_px, info.grid_px), np.float32)
        classifier.predict(patterns, pooled=True, electrons=np.full(2, 1e6))
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)]).zero_grad()
    with open_scan(sample_path("defect")) as scan:
        map_polarization(scan, load_classifier(list_models()[0].name))


def used_mb() -> float:
    """Return the memory of this process that is in use [MB]."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1000
    return 0.0


def n_objects() -> int:
    """Return how many Qt objects Python holds."""
    return sum(issubclass(type(entry), QObject) for entry in gc.get_objects())


def main(arguments: list[str] | None = None) -> int:
    """Click for some minutes and say what happened."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--restart-s", type=float, default=60.0, help="seconds between two looks at the memory")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-memory", action="store_true", help="do not judge the growth; short runs only warm up")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["XDG_DATA_HOME"] = folder
        os.chdir(folder)
        if not options.no_memory:
            warm_up()
        soak = Soak(options.seed, Path(folder))
        end = soak.begin + 60 * options.minutes
        while time.monotonic() < end:
            pause = min(time.monotonic() + options.restart_s, end)
            while time.monotonic() < pause:
                soak.step()
            soak.restart()
        soak.viewer.close()
        soak.live(0.5)
        WorkerBase.await_workers()
    growth = soak.growth()
    print("actions:", dict(soak.done))
    print("told:", *(f"{count} x {text}" for text, count in soak.told.most_common(20)), sep="\n  ")
    print(f"{len(soak.errors)} errors; memory grew by {100 * growth:.1f} %")
    return int(bool(soak.errors) or (growth > GROWTH and not options.no_memory))


if __name__ == "__main__":
    sys.exit(main())
