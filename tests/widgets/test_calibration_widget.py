"""The dock that calibrates a scan."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_polarmap.pipeline.inspection import Progress
from napari_polarmap.pipeline.layers import SCAN_KEY
from napari_polarmap.pipeline.scan_calibration import PARTS, History
from napari_polarmap.plugin import read_scan, sample_path
from napari_polarmap.widgets.calibration_widget import CalibrationWidget
from napari_polarmap.widgets.dataset_panel import DatasetPanel
from napari_polarmap.widgets.scan_notes import notes_of
from napari_polarmap.widgets.section import State


@pytest.fixture(scope="module")
def layer_data():
    return read_scan(sample_path("defect"))


@pytest.fixture
def viewer(layer_data):
    model = ViewerModel()
    ((data, options, _),) = layer_data
    options = {**options, "metadata": dict(options["metadata"])}
    model.add_image(data, **options)
    notes_of(options["metadata"][SCAN_KEY]).history = History()
    return model


@pytest.fixture
def dock(qtbot, viewer):
    widget = CalibrationWidget(viewer)
    qtbot.addWidget(widget)
    qtbot.waitUntil(lambda: widget.inspection is not None and widget.all_button.isEnabled(), timeout=60_000)
    yield widget
    widget.detach()


def stored(viewer):
    return viewer.layers[0].metadata[SCAN_KEY].calibration


def test_without_a_scan_it_says_what_to_do(qtbot):
    widget = CalibrationWidget(ViewerModel())
    qtbot.addWidget(widget)
    assert "open one in" in widget.said.text()
    assert not widget.all_button.isEnabled()
    widget.detach()


def test_one_click_measures_every_part_and_the_layer_keeps_it(dock, qtbot, viewer):
    dock.all_button.click()
    qtbot.waitUntil(lambda: all("measuring" not in row.residual.text() for row in dock.rows.values()), timeout=60_000)
    assert stored(viewer) == dock.scan.calibration
    assert stored(viewer).radius_px == pytest.approx(20, abs=0.3)
    assert set(stored(viewer).origin) >= {"center_px", "rotation_deg", "ellipse_ratio"}
    for part in PARTS:
        assert dock.rows[part].residual.text()
    assert "curl" in dock.rows["rotation"].residual.text()


def test_a_value_by_hand_is_used_and_taken_back(dock, viewer):
    row = dock.rows["rotation"]
    before = stored(viewer).rotation_deg
    (box,) = row.boxes.values()
    box.setValue(30.0)
    assert stored(viewer).rotation_deg == 30
    assert stored(viewer).origin["rotation_deg"] == "by hand"
    row.half_turn.click()
    assert stored(viewer).rotation_deg == -150
    row.flip.setChecked(True)
    assert stored(viewer).flip is True
    for expected in (-150, 30, before):
        row.undo.click()
        assert stored(viewer).rotation_deg == expected
    assert stored(viewer).flip is False
    assert not row.undo.isEnabled()


def test_an_entered_disk_moves_the_circle(dock):
    row, column, radius = dock.rows["disk"].boxes.values()
    row.setValue(20.0)
    assert dock.scan.calibration.center_px == (20.0, pytest.approx(column.value()))
    radius.setValue(11.0)
    assert dock.view.overlay.disk_px == (dock.scan.calibration.center_px, 11.0)


def test_entered_bad_pixels_are_filled(dock, qtbot):
    line = dock.rows["bad_pixels"].pixels
    line.setText("3,4; x")
    line.editingFinished.emit()
    assert "row,column" in dock.rows["bad_pixels"].residual.text()
    before = dock.inspection
    line.setText("30,30; 3,4")
    line.editingFinished.emit()
    qtbot.waitUntil(lambda: dock.all_button.isEnabled() and dock.inspection is not before, timeout=60_000)
    assert dock.scan.calibration.bad_pixels == ((30, 30), (3, 4))


def test_a_part_that_cannot_be_measured_says_why(dock, qtbot):
    dock.edit({"mrad_per_px": None, "convergence_mrad": None})
    dock.rows["pixel_size"].auto.click()
    qtbot.waitUntil(lambda: "enter one of them" in dock.rows["pixel_size"].residual.text(), timeout=60_000)
    assert State.ATTENTION.value[0] in dock.rows["pixel_size"].mark.text()


def test_a_calibration_is_saved_and_loaded(dock, tmp_path, viewer):
    dock.edit({"rotation_deg": 12.0})
    dock.save(tmp_path / "cal.json")
    dock.edit({"rotation_deg": 0.0})
    dock.load(tmp_path / "cal.json")
    assert stored(viewer).rotation_deg == 12


def test_the_map_dock_takes_over_what_was_calibrated(dock, qtbot, viewer):
    panel = DatasetPanel(viewer)
    qtbot.addWidget(panel)
    with qtbot.waitSignal(panel.calibration_changed):
        dock.edit({"rotation_deg": 12.0})
    assert panel.scan.calibration.rotation_deg == 12
    assert panel.calibration.rotation_deg.value() == 12
    panel.detach()


def test_a_reference_scan_gives_the_descan(dock, qtbot, tmp_path):
    y, x = np.indices((56, 56))
    pattern = np.where(np.hypot(y - 28, x - 27) < 20, 100, 0).astype(np.uint16)
    np.save(tmp_path / "vacuum.npy", np.broadcast_to(pattern, (24, 24, 56, 56)))
    dock.use_reference(tmp_path / "vacuum.npy")
    qtbot.waitUntil(lambda: dock.scan.calibration.descan is not None, timeout=60_000)
    assert "reference vacuum" in dock.scan.calibration.origin["descan"]


def test_reading_a_reference_scan_shows_how_far_it_is_and_can_be_cancelled(dock, qtbot, viewer, tmp_path, monkeypatch):
    def endless(scan):
        while True:
            time.sleep(0.01)
            yield Progress("measuring centres of mass", 3, 9)

    monkeypatch.setattr("napari_polarmap.widgets.calibration_widget.inspection_steps", endless)
    np.save(tmp_path / "vacuum.npy", np.ones((3, 3, 16, 16), np.uint8))
    before = stored(viewer)
    dock.use_reference(tmp_path / "vacuum.npy")
    qtbot.waitUntil(lambda: not dock.progress.isHidden() and dock.progress.bar.value() == 3)
    dock.progress.cancel.click()
    assert dock.progress.isHidden()
    assert stored(viewer) == before
    assert "measuring" not in dock.rows["descan"].residual.text()


def test_another_scan_forgets_the_way_back(dock, viewer):
    dock.edit({"rotation_deg": 12.0})
    dock.choose(replace(dock.scan, data=dock.scan.read(slice(None), slice(None)), name="other"))
    assert not dock.history.can_undo("rotation")


def test_the_last_step_is_taken_back_as_a_whole(dock, qtbot, viewer):
    before = stored(viewer)
    dock.all_button.click()
    qtbot.waitUntil(lambda: stored(viewer) != before, timeout=60_000)
    dock.undo_button.click()
    assert stored(viewer) == before
    assert not dock.undo_button.isEnabled()


def test_cancel_stops_a_measurement_and_leaves_the_calibration(dock, qtbot, viewer):
    before = stored(viewer)
    dock.all_button.click()
    dock._cancel()
    qtbot.wait(50)
    assert stored(viewer) == before
    assert all("measuring" not in row.residual.text() for row in dock.rows.values())


def test_a_second_dock_takes_over_what_the_first_has_measured(dock, qtbot, viewer):
    second = CalibrationWidget(viewer)
    qtbot.addWidget(second)
    assert second.inspection is dock.inspection
    assert not second._inspecting.busy
    second.detach()
