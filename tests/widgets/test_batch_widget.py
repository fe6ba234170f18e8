"""The dock that maps a folder of scans."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_polarmap.core.calibration import Calibration
from napari_polarmap.io.calibration_file import save_calibration
from napari_polarmap.models.weights import ModelInfo
from napari_polarmap.pipeline import batch
from napari_polarmap.pipeline.inspection import Progress
from napari_polarmap.widgets import batch_widget, classifier_panel
from napari_polarmap.widgets.batch_widget import BatchWidget

INFO = ModelInfo(name="test", title="Test", network="cnn", grid_px=32, grid_mrad=2.1, licence="CC0-1.0")


@pytest.fixture
def go(monkeypatch, make_map):
    """Runs that need no classifier, and wait for the test at the second scan."""
    gate = threading.Event()
    calls = []

    def steps(scan, classifier, params):
        calls.append((scan, params))
        yield Progress("classifying", 1, 2)
        while len(calls) > 1 and not gate.wait(0.01):
            yield Progress("classifying", 2, 2)
        return make_map(scan.scan_shape)

    monkeypatch.setattr(batch, "map_steps", steps)
    monkeypatch.setattr(batch_widget, "load_classifier", lambda name: type("Classifier", (), {"info": INFO}))
    monkeypatch.setattr(classifier_panel, "list_models", lambda: [INFO, replace(INFO, name="two")])
    gate.calls = calls
    yield gate
    gate.set()


@pytest.fixture
def folder(tmp_path, write_scan, patterns, calibration) -> Path:
    (tmp_path / "scans").mkdir()
    for name in ("scans/a.h5", "scans/c.h5"):
        write_scan(name, patterns(), **calibration)
    (tmp_path / "scans" / "b.h5").write_bytes(b"broken")
    return tmp_path / "scans"


@pytest.fixture
def dock(qtbot, viewer, go):
    widget = BatchWidget(viewer)
    qtbot.addWidget(widget)
    yield widget
    widget.detach()


def texts(dock, row):
    return [item.text() for column in range(dock.table.columnCount()) if (item := dock.table.item(row, column))]


def start(qtbot, dock, folder):
    dock.folder.setText(str(folder))
    dock.out.setText(str(folder.parent / "out"))
    qtbot.mouseClick(dock.classifier.run_button, Qt.MouseButton.LeftButton)


def test_the_dock_says_what_is_missing(dock, folder, tmp_path):
    said = dock.classifier.reason
    assert said.text() == "To run, choose a folder with scans."
    dock.folder.setText(str(tmp_path))
    assert said.text() == "No scans of a known format in this folder."
    dock.folder.setText(str(folder))
    assert dock.out.text() == str(folder / "polarmap")
    dock.out.setText("")
    assert said.text() == "To run, choose a folder for the results."
    assert [texts(dock, row)[1] for row in range(3)] == ["a.h5", "b.h5", "c.h5"]
    assert not dock.classifier.run_button.isEnabled()
    dock.out.setText(str(tmp_path / "out"))
    assert dock.classifier.run_button.isEnabled()


def test_a_folder_becomes_a_table_with_thumbnails_and_one_error(dock, qtbot, folder, go, viewer, monkeypatch):
    go.set()
    start(qtbot, dock, folder)
    qtbot.waitUntil(lambda: dock.said.text() != "")
    assert dock.said.text() == (
        f"2 of 3 scans mapped; batch.csv and batch.png are in {folder.parent / 'out'}. 1 failed: see the table."
    )
    assert texts(dock, 0)[1:] == ["a.h5\nLU\u00a056\u00a0%, RM\u00a044\u00a0%", "0 %", "1.4 %", "80 %"]
    assert texts(dock, 1)[1].startswith("b.h5\nnot a")
    assert not dock.table.item(0, 0).icon().isNull()
    assert dock.table.item(1, 0).icon().isNull()
    opened = []
    monkeypatch.setattr(type(viewer), "open", lambda self, path, plugin: opened.append(path))
    dock.table.cellDoubleClicked.emit(1, 0)
    dock.table.cellDoubleClicked.emit(2, 0)
    assert opened == [str(folder.parent / "out" / "c_map.h5")]


def test_cancel_keeps_what_is_mapped(dock, qtbot, folder, go):
    start(qtbot, dock, folder)
    qtbot.waitUntil(lambda: len(go.calls) == 2)
    assert "3 of 3, classifying" in dock.classifier.progress.format() or len(dock.items) >= 1
    qtbot.mouseClick(dock.classifier.cancel_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.said.text() == "Stopped after 2 of 3 scans.")
    assert (folder.parent / "out" / "a_map.h5").is_file()
    assert not (folder.parent / "out" / "c_map.h5").exists()
    assert dock.classifier.run_button.isEnabled()


def test_one_calibration_and_one_set_of_options_serve_all(dock, qtbot, folder, go, tmp_path):
    go.set()
    dock.calibration.setText(str(save_calibration(Calibration(rotation_deg=12.0), tmp_path / "c.json")))
    dock.classifier.pool.setCurrentIndex(dock.classifier.pool.findData("cell"))
    start(qtbot, dock, folder)
    qtbot.waitUntil(lambda: dock.said.text() != "")
    assert {scan.calibration.rotation_deg for scan, _ in go.calls} == {12.0}
    assert {params.pool for _, params in go.calls} == {"cell"}
    np.testing.assert_allclose([scan.calibration.convergence_mrad for scan, _ in go.calls], 24.0)
