"""The dock over a viewer without a window; a run is a few steps that wait for the test."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent

from napari_polarmap.core.data import Calibration, Scan4D
from napari_polarmap.core.directions import Direction
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.models.weights import ModelInfo
from napari_polarmap.pipeline.inspection import Progress
from napari_polarmap.pipeline.layers import MAP_KEY, map_layers
from napari_polarmap.plugin import read_layers, sample_path
from napari_polarmap.widgets import classifier_panel, dataset_panel, exporting, map_widget, measuring
from napari_polarmap.widgets.direction_labels import make_layer
from napari_polarmap.widgets.export_panel import folder_of
from napari_polarmap.widgets.map_widget import MapWidget
from napari_polarmap.widgets.section import State

INFO = ModelInfo(
    name="test",
    title="Test network",
    network="cnn",
    grid_px=32,
    grid_mrad=2.1,
    licence="CC0-1.0",
    convergence_mrad=(22.5, 25.5),
    thickness_nm=(8, 60),
    scores={"accuracy_pooled_1e6": 0.9, "ece": float("nan"), "opposite": 0.01},
    recommended=True,
)


class Run:
    """A run that goes on step by step when the test lets it."""

    def __init__(self, make_map) -> None:
        self.make_map = make_map
        self.go = threading.Event()
        self.calls: list[tuple] = []
        self.inspections: list = []
        self.error: Exception | None = None
        self.result: PolarizationMap | None = None

    def steps(self, scan, model, params, reference, inspection=None):
        self.calls.append((scan, model, params, reference))
        self.inspections.append(inspection)
        yield Progress("classifying", 0, 10)
        if self.error is not None:
            raise self.error
        while not self.go.is_set():
            self.go.wait(0.01)
            yield Progress("classifying", 5, 10)
        return self.result or self.make_map(scan.scan_shape)


@pytest.fixture
def run(monkeypatch, make_map):
    steps = Run(make_map)
    monkeypatch.setattr(map_widget, "run_steps", steps.steps)
    monkeypatch.setattr(classifier_panel, "list_models", lambda: [INFO, replace(INFO, name="two", title="Second")])
    yield steps
    steps.go.set()


@pytest.fixture
def told(monkeypatch):
    """Every notification, as text."""
    messages: list[str] = []
    monkeypatch.setattr(notification_manager, "dispatch", lambda notification: messages.append(notification.message))
    return messages


@pytest.fixture
def dock(qtbot, viewer, run, told):
    widget = MapWidget(viewer)
    qtbot.addWidget(widget)
    yield widget
    widget.detach()


def click(qtbot, button):
    assert button.isEnabled(), button.toolTip()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


@pytest.fixture
def loaded(dock, qtbot, scan_file):
    dock.dataset.open_path(scan_file)
    qtbot.waitUntil(lambda: dock.inspection is not None)
    return dock


@pytest.fixture
def mapped(loaded, qtbot, run):
    run.go.set()
    click(qtbot, loaded.classifier.run_button)
    qtbot.waitUntil(lambda: loaded.result is not None and not loaded._mapping.busy)
    return loaded


def test_an_empty_dock_says_what_to_do_first(dock):
    assert not dock.classifier.run_button.isEnabled()
    assert dock.classifier.reason.text() == "To run, open a scan in step 1."
    assert not dock.export.button.isEnabled()
    assert dock.review.count.text() == "No map yet."
    assert [section.state for section in dock.sections] == [State.WAITING] * 5


def test_opening_a_file_shows_its_facts_disk_and_image(loaded, viewer):
    assert loaded.dataset.facts.text() == "8 × 9 positions, 32 × 32 px, uint16, 147 kB\n200 kV"
    assert "radius 11." in loaded.disk.found.text()
    assert [layer.name for layer in viewer.layers] == ["film: bright field"]
    assert viewer.layers[0].data.shape == (8, 9)
    assert loaded.classifier.run_button.isEnabled()
    assert loaded.sections[0].state is State.DONE
    assert loaded.sections[1].state is State.DONE


def test_a_run_is_given_what_was_chosen(loaded, qtbot, run):
    loaded.disk.center.setCurrentIndex(loaded.disk.center.findData("global"))
    loaded.disk.crop_px.setValue(28)
    loaded.classifier.model.setCurrentIndex(1)
    loaded.classifier.pool.setCurrentIndex(loaded.classifier.pool.findData("cell"))
    loaded.review.reference.box.setCurrentIndex(loaded.review.reference.box.findData(Direction.LU))
    loaded.dataset.calibration.rotation_deg.setValue(12)
    click(qtbot, loaded.classifier.run_button)
    qtbot.waitUntil(lambda: bool(run.calls))
    scan, model, params, reference = run.calls[0]
    assert scan.calibration.rotation_deg == 12
    assert model == "two"
    assert (params.center, params.crop_px, params.pool, params.fdr) == ("global", 28, "cell", 0.05)
    assert reference == Direction.LU


def test_a_finished_run_shows_its_layers_and_enables_the_rest(mapped, viewer):
    assert [layer.name for layer in viewer.layers if layer.visible] == [
        "film: bright field",
        "Polarization direction",
        "Domain outlines",
        "Polarization arrows",
        "Irregular positions",
        "Irregular regions",
    ]
    assert viewer.layers.selection.active.name == "Polarization direction"
    assert viewer.title == "Polarization of film"
    assert mapped.sections[2].state is State.DONE
    assert (
        mapped.review.count.text()
        == "1 of 72 positions irregular (1.4 %)\nscore from 200.0 σ; about 0 of them by chance"
    )
    assert mapped.export.button.isEnabled()
    assert mapped.classifier.progress.isHidden()


def test_while_it_runs_only_cancel_can_be_pressed(loaded, qtbot, run):
    click(qtbot, loaded.classifier.run_button)
    qtbot.waitUntil(lambda: loaded.classifier.progress.value() == 5)
    assert loaded.classifier.progress.text() == "classifying: 50 %"
    assert not loaded.classifier.run_button.isEnabled()
    assert loaded.classifier.cancel_button.isEnabled()
    assert loaded.sections[2].state is State.BUSY


def test_a_cancelled_run_leaves_the_layers_alone(loaded, qtbot, viewer, told):
    click(qtbot, loaded.classifier.run_button)
    click(qtbot, loaded.classifier.cancel_button)
    qtbot.waitUntil(lambda: not loaded._mapping.busy)
    assert len(viewer.layers) == 1
    assert loaded.classifier.run_button.isEnabled()
    assert told == ["The run was cancelled; the layers are as they were."]


def test_a_failing_run_is_told_in_one_sentence_and_leaves_the_layers_alone(mapped, qtbot, viewer, run, told):
    before = [(layer, layer.data) for layer in viewer.layers]
    run.error = ValueError("crop of 64 px does not fit")
    click(qtbot, mapped.classifier.run_button)
    qtbot.waitUntil(lambda: not mapped._mapping.busy)
    assert told == ["crop of 64 px does not fit"]
    assert list(viewer.layers) == [layer for layer, _ in before]
    assert all(layer.data is data or list(map(len, layer.data)) == list(map(len, data)) for layer, data in before)
    assert mapped.classifier.run_button.isEnabled()


def test_changed_settings_make_the_map_stale_until_the_next_run(mapped, qtbot):
    mapped.classifier.pool.setCurrentIndex(mapped.classifier.pool.findData("none"))
    assert mapped.sections[2].state is mapped.sections[3].state is State.STALE
    assert "pooling changed: run again" in mapped.sections[2].status.text()
    click(qtbot, mapped.classifier.run_button)
    qtbot.waitUntil(lambda: not mapped._mapping.busy)
    assert mapped.sections[2].state is mapped.sections[3].state is State.DONE


def test_a_second_run_replaces_the_first(mapped, qtbot, viewer, run, make_map):
    n_layers = len(viewer.layers)
    other = make_map()
    run.result = replace(other, domain=np.full_like(other.domain, Direction.MD))
    click(qtbot, mapped.classifier.run_button)
    qtbot.waitUntil(lambda: not mapped._mapping.busy)
    assert len(viewer.layers) == n_layers
    assert (viewer.layers["Polarization direction"].data == Direction.MD + 1).all()


def test_deleting_every_layer_during_a_run_does_no_harm(loaded, qtbot, viewer, run):
    click(qtbot, loaded.classifier.run_button)
    viewer.layers.clear()
    run.go.set()
    qtbot.waitUntil(lambda: loaded.result is not None)
    assert "Polarization direction" in viewer.layers


def test_another_scan_during_a_run_stops_it(loaded, qtbot, viewer, run, write_scan, calibration, patterns):
    click(qtbot, loaded.classifier.run_button)
    qtbot.waitUntil(lambda: bool(run.calls))
    loaded.dataset.open_path(write_scan("second.h5", patterns((5, 5)), **calibration))
    qtbot.waitUntil(lambda: loaded.dataset.scan.name == "second" and loaded.inspection is not None)
    assert not loaded._mapping.busy
    assert loaded.result is None
    assert [layer.name for layer in viewer.layers] == ["film: bright field", "second: bright field"]


def test_going_back_to_a_scan_brings_its_map_back(mapped, qtbot, write_scan, calibration, patterns):
    result = mapped.result
    mapped.dataset.open_path(write_scan("second.h5", patterns((5, 5)), **calibration))
    qtbot.waitUntil(lambda: mapped.inspection is not None and mapped.dataset.scan.name == "second")
    assert mapped.result is None
    mapped.dataset.choice.setCurrentIndex(0)
    names = [mapped.dataset.choice.itemText(i) for i in range(mapped.dataset.choice.count())]
    mapped.dataset.choice.activated.emit(names.index("film"))
    assert mapped.dataset.scan.name == "film"
    assert mapped.result is result


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (np.zeros((4, 5, 32, 32), np.uint16), "no counts"),
        (np.full((4, 5, 32, 32), 7, np.uint16), "disk"),
    ],
)
def test_a_scan_without_a_disk_is_told_and_cannot_run(
    dock, qtbot, viewer, told, data, sentence, write_scan, calibration
):
    viewer.add_image(np.ones((3, 3)), name="mine")
    dock.dataset.open_path(write_scan("dark.h5", data, **calibration))
    qtbot.waitUntil(lambda: bool(told) and not dock.measuring.busy)
    assert sentence in told[0]
    assert "\n" not in told[0]
    assert sentence in dock.disk.found.text()
    assert dock.sections[1].state is State.ATTENTION
    assert not dock.classifier.run_button.isEnabled()
    assert [layer.name for layer in viewer.layers] == ["mine"]


@pytest.mark.parametrize("name", ["missing.h5", "text.h5", "picture.h5"])
def test_what_is_no_scan_is_told_and_changes_nothing(loaded, qtbot, viewer, told, tmp_path, name):
    import h5py

    (tmp_path / "text.h5").write_text("not a scan")
    with h5py.File(tmp_path / "picture.h5", "w") as file:
        file["data"] = np.zeros((4, 4))
    scan = loaded.dataset.scan
    loaded.dataset.open_path(tmp_path / name)
    qtbot.waitUntil(lambda: bool(told))
    assert name in told[0]
    assert "\n" not in told[0]
    assert loaded.dataset.scan is scan
    assert loaded.classifier.run_button.isEnabled()
    assert loaded.dataset.facts.text().startswith("8 × 9")


def test_without_convergence_the_run_waits_for_it(dock, qtbot, write_scan, patterns):
    dock.dataset.open_path(write_scan("bare.h5", patterns()))
    qtbot.waitUntil(lambda: dock.inspection is not None)
    assert dock.classifier.reason.text() == "To run, enter the convergence angle or mrad/px in step 1."
    assert dock.sections[0].state is State.ATTENTION
    assert dock.dataset.calibration.header.isChecked()
    assert "assumed" not in dock.disk.found.text()
    dock.dataset.calibration.convergence_mrad.setValue(24)
    assert dock.classifier.run_button.isEnabled()
    assert dock.dataset.calibration.mrad_per_px.text().startswith("measured: 2.0")


def test_conditions_outside_the_training_set_are_warned_of(loaded):
    loaded.dataset.calibration.convergence_mrad.setValue(30)
    assert "30.0 mrad (trained for 22.5 to 25.5 mrad)" in loaded.classifier.reason.text()
    assert loaded.classifier.reason.text().startswith("▲ Outside what this classifier was trained on")
    assert loaded.classifier.run_button.isEnabled()


def test_a_run_takes_over_what_was_measured_with_the_calibration_as_it_is_now(mapped, qtbot, run):
    before = mapped.inspection
    assert run.inspections == [before]
    mapped.dataset.calibration.scan_step_A.setValue(2)
    click(qtbot, mapped.classifier.run_button)
    qtbot.waitUntil(lambda: len(run.inspections) == 2 and not mapped._mapping.busy)
    assert run.inspections[1] is mapped.inspection
    assert mapped.inspection is not before
    assert mapped.inspection.statistics is before.statistics
    assert mapped.inspection.lattice.period_px == pytest.approx(3.98 / 2)


def test_a_corrected_lattice_goes_into_the_run_and_makes_a_map_out_of_date(mapped, qtbot, run):
    for field, value in zip(mapped.disk.lattice.vectors, (0, 4.2, 4, 0), strict=True):
        field.setValue(value)
    assert "unit cell changed" in mapped.sections[2].status.text()
    click(qtbot, mapped.classifier.run_button)
    qtbot.waitUntil(lambda: len(run.calls) == 2)
    assert run.calls[1][2].lattice_px == (0, 4.2, 4, 0)


def test_a_new_scan_step_rescales_every_layer(mapped, viewer):
    mapped.dataset.calibration.scan_step_A.setValue(5)
    assert {tuple(layer.scale) for layer in viewer.layers} == {(0.5, 0.5)}
    assert mapped.explorer.follower.place((1.0, 1.5)) == (2, 3)


def test_a_scan_that_is_dropped_into_the_window_is_chosen(dock, qtbot, viewer, scan_file):
    for data, options, kind in read_layers(str(scan_file)):
        getattr(viewer, f"add_{kind}")(data, **options)
    qtbot.waitUntil(lambda: dock.inspection is not None)
    assert dock.dataset.choice.currentText() == "film"
    assert len(viewer.layers) == 1


def test_a_result_that_is_dropped_into_the_window_can_be_judged_and_exported(dock, viewer, make_map):
    for data, options, kind in map_layers(make_map()):
        getattr(viewer, f"add_{kind}")(data, **options)
    assert dock.result is not None
    assert dock.export.button.toolTip() == "choose a folder"
    dock.review.reference.box.setCurrentIndex(dock.review.reference.box.findData(Direction.RM))
    assert "Differs from reference" in viewer.layers
    dock.explorer.look(2, 7)
    assert dock.explorer.reading.text() == "row 2, column 7   LU 135° · 80 % sure"


def test_the_threshold_marks_more_or_fewer_positions_at_once(mapped, viewer):
    def marked():
        return len(viewer.layers["Irregular positions"].data)

    mapped.review.set_fdr(0.5)
    many = marked()
    mapped.review.set_fdr(0.0001)
    few = marked()
    assert 1 <= few < many
    assert mapped.result.irregular.sum() == few
    assert mapped.review.count.text().startswith(f"{few} of 72")


def test_a_reference_marks_where_the_map_differs(mapped, viewer):
    mapped.review.reference.box.setCurrentIndex(mapped.review.reference.box.findData(Direction.RM))
    assert len(viewer.layers["Differs from reference"].data) == 8 * 5
    assert mapped.review.differ.text() == "40 of 72 positions differ (55.6 %)"
    mapped.review.reference.box.setCurrentIndex(mapped.review.reference.box.findData(Direction.LU))
    assert len(viewer.layers["Differs from reference"].data) == 8 * 4
    mapped.review.reference.box.setCurrentIndex(0)
    assert "Differs from reference" not in viewer.layers
    assert mapped.result.misclassified is None


def zoom_to(viewer, position_px):
    """Zoom until a scan position is so wide on the screen."""
    viewer.scene.camera.zoom = position_px / viewer.layers["Polarization direction"].scale[-1]


def test_arrows_keep_their_distance_on_the_screen_when_one_zooms(mapped, viewer, qtbot):
    arrows = viewer.layers["Polarization arrows"]
    zoom_to(viewer, 30)
    qtbot.waitUntil(lambda: len(arrows.data) == 3 * 72)
    zoom_to(viewer, 15)
    qtbot.waitUntil(lambda: len(arrows.data) == 3 * (4 * 4))
    assert mapped.display.distance_value.text() == "28 px, 1 in 2"


def test_density_and_length_of_arrows_follow_their_sliders_and_stay_in_a_second_run(mapped, viewer, qtbot):
    arrows = viewer.layers["Polarization arrows"]
    zoom_to(viewer, 20)
    mapped.display.distance.setValue(40)
    assert len(arrows.data) == 3 * (4 * 4)
    mapped.display.length.setValue(50)
    assert np.linalg.norm(arrows.data[0, 1]) == pytest.approx(1.0)
    click(qtbot, mapped.classifier.run_button)
    qtbot.waitUntil(lambda: not mapped._mapping.busy)
    assert len(arrows.data) == 3 * (4 * 4)
    assert np.linalg.norm(arrows.data[0, 1]) == pytest.approx(1.0)


def test_the_continuous_angle_takes_the_place_of_the_eight_colours(mapped, viewer):
    mapped.display.colors.setCurrentIndex(1)
    assert [viewer.layers[f"Polarization {name}"].visible for name in ("direction", "angle")] == [False, True]
    before = viewer.layers["Polarization angle"].data.copy()
    mapped.display.lightness.setCurrentIndex(2)
    assert (viewer.layers["Polarization angle"].data >= before).all()
    assert (viewer.layers["Polarization angle"].data != before).any()
    assert len(mapped.display.rose.petals.share) == 36
    mapped.display.colors.setCurrentIndex(0)
    assert [viewer.layers[f"Polarization {name}"].visible for name in ("direction", "angle")] == [True, False]
    np.testing.assert_allclose(mapped.display.rose.petals.share[[0, 3]], [4 / 9, 5 / 9])


def test_export_writes_the_files_that_are_ticked(mapped, qtbot, tmp_path):
    folder = tmp_path / "new" / "folder"
    mapped.export.folder.setText(str(folder))
    mapped.export.stem.setText("film")
    for key, box in mapped.export.formats.items():
        box.setChecked(key in ("h5", "csv"))
    click(qtbot, mapped.export.button)
    qtbot.waitUntil(lambda: mapped.export.button.isEnabled())
    assert sorted(path.name for path in folder.iterdir()) == ["film.csv", "film.h5", "film_domains.csv"]
    again = PolarizationMap.load(folder / "film.h5")
    np.testing.assert_array_equal(again.domain, mapped.result.domain)
    assert mapped.export.written.text() == f"Wrote 2 csv, 1 h5 to {folder}"


def test_an_exported_result_brings_its_layers_back_as_they_are_now(mapped, qtbot, tmp_path):
    mapped.viewer.layers["Confidence"].visible = True
    mapped.viewer.layers["Polarization direction"].opacity = 0.3
    mapped.viewer.layers["Polarization direction"].data[0, :2] = Direction.MD + 1
    mapped.display.colors.setCurrentIndex(1)
    mapped.display.length.setValue(50)
    before = [(layer.name, layer.visible, layer.opacity) for layer in mapped.viewer.layers]
    saved = mapped.judging.to_save().save(tmp_path / "film.h5")
    viewer = ViewerModel()
    for data, options, kind in read_layers(str(saved)):
        viewer.add_layer(make_layer(data, options, kind))
    returned = [(layer.name, layer.visible, layer.opacity) for layer in viewer.layers]
    assert returned == before[1:]  # the bright field is not in this map
    dock = MapWidget(viewer)
    qtbot.addWidget(dock)
    assert (dock.result.domain[0, :2] == Direction.MD).all()
    assert dock.display.display() == mapped.display.display()
    dock.detach()


def test_the_export_is_suggested_beside_the_scan_and_never_inside_the_package(loaded, scan_file):
    assert loaded.export.folder.text() == str(scan_file.parent)
    assert loaded.export.stem.text() == "film_polarization"
    sample = Scan4D(loaded.dataset.scan.data, path=sample_path("two_domains"))
    assert folder_of(sample) == Path.cwd()


def test_files_of_an_opened_result_are_named_after_its_scan(dock, viewer, make_map):
    for layer in map_layers(make_map(provenance={"input": {"path": "far/away/film7.h5"}})):
        viewer.add_layer(make_layer(*layer))
    assert dock.export.stem.text() == "film7_polarization"


def test_export_to_a_file_is_refused_with_one_sentence(mapped, qtbot, tmp_path, told):
    (tmp_path / "file").write_text("mine")
    mapped.export.folder.setText(str(tmp_path / "file"))
    click(qtbot, mapped.export.button)
    qtbot.waitUntil(lambda: bool(told))
    assert "name a folder" in told[0]
    assert (tmp_path / "file").read_text() == "mine"


def test_what_the_exported_result_holds_is_what_the_window_shows(mapped, qtbot):
    mapped.review.set_fdr(0.3)
    assert all(layer.metadata[MAP_KEY] is mapped.result for layer in mapped.viewer.layers if MAP_KEY in layer.metadata)
    assert mapped.result.provenance["parameters"]["fdr"] == pytest.approx(mapped.review.fdr)


def test_restore_defaults_restores_them(loaded, qtbot):
    loaded.classifier.model.setCurrentIndex(1)
    loaded.classifier.pool.setCurrentIndex(0)
    loaded.disk.center.setCurrentIndex(1)
    loaded.disk.crop_px.setValue(20)
    click(qtbot, loaded.classifier.restore_button)
    params = loaded.params()
    assert (params.pool, params.center, params.crop_px, params.fdr) == ("auto", "plane", None, 0.05)
    assert loaded.classifier.model_name == "test"


def test_a_file_that_is_no_classifier_is_told(loaded, told, tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"no")
    loaded.classifier.add_file(tmp_path / "x.safetensors")
    assert "x.safetensors" in told[0]
    assert loaded.classifier.model.count() == 2


def test_the_classifier_list_tells_network_thickness_and_scores(loaded):
    assert loaded.classifier.details.text() == (
        "recommended: CNN, classification, 8 to 60 nm\nheld out: 90 % of windows of 10⁶ electrons right"
    )
    tooltip = loaded.classifier.model.itemData(0, Qt.ItemDataRole.ToolTipRole)
    for part in ("objective: classification", "convergence: 22.5 to 25.5 mrad", "licence: CC0-1.0", "opposite: 1 %"):
        assert part in tooltip
    assert "nan" not in tooltip


def test_the_list_of_classifiers_unfolds_to_a_table(loaded):
    table = loaded.classifier.model.table
    shown = [[table.model().index(row, column).data() for column in range(8)] for row in range(2)]
    assert shown[0] == ["Test network (recommended)", "CNN", "classification", "?", "8 to 60 nm", "?", "90 %", "?"]
    assert shown[1][0] == "Second (recommended)"
    header = [table.model().headerData(column, Qt.Orientation.Horizontal) for column in range(8)]
    assert header[1:5] == ["network", "objective", "material", "thickness"]


def test_a_stack_asks_for_its_scan_shape(dock, qtbot, tmp_path, patterns):
    np.save(tmp_path / "stack.npy", patterns((6, 4)).reshape(24, 32, 32))
    dock.dataset.open_path(tmp_path / "stack.npy")
    qtbot.waitUntil(lambda: not dock.dataset.shape_button.isHidden())
    assert "stack of 24 patterns" in dock.dataset.facts.text()
    dock.dataset.rows.setValue(6)
    assert dock.dataset.columns.value() == 4
    click(qtbot, dock.dataset.shape_button)
    qtbot.waitUntil(lambda: dock.inspection is not None)
    assert dock.dataset.scan.scan_shape == (6, 4)
    assert dock.dataset.shape_button.isHidden()


def test_a_file_with_several_data_sets_asks_which(dock, qtbot, tmp_path, patterns):
    import h5py

    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["first"], file["second"] = patterns((4, 4)), patterns((5, 6))
    dock.dataset.open_path(tmp_path / "two.h5")
    qtbot.waitUntil(lambda: not dock.dataset.dataset.isHidden())
    dock.dataset.dataset.setCurrentIndex(1)
    dock.dataset.dataset.activated.emit(1)
    qtbot.waitUntil(lambda: dock.inspection is not None)
    assert dock.dataset.scan.scan_shape == (5, 6)
    assert dock.dataset.choice.currentText() == "two /second"


def test_the_pattern_under_the_cursor_is_shown_with_disk_and_crop(loaded, qtbot):
    loaded.explorer.look(3, 4)
    qtbot.waitUntil(lambda: loaded.explorer.view.pattern is not None)
    np.testing.assert_array_equal(loaded.explorer.view.pattern, loaded.dataset.scan.pattern(3, 4))
    overlay = loaded.explorer.view.overlay
    (y, x), radius = overlay.disk_px
    assert (y, x) == pytest.approx((15.3, 15.8), abs=0.3)
    assert radius == pytest.approx(11.4, abs=0.5)
    assert overlay.crop_px[1] == pytest.approx(32, abs=0.1)
    assert overlay.com_px == pytest.approx((y, x), abs=1.5)


def test_of_many_positions_the_last_is_shown(loaded, qtbot):
    for column in range(9):
        loaded.explorer.look(1, column)
    expected = loaded.dataset.scan.pattern(1, 8)
    qtbot.waitUntil(lambda: np.array_equal(loaded.explorer.view.pattern, expected))
    assert loaded.explorer.reading.text() == "row 1, column 8"


def test_a_click_on_the_wheel_shows_one_direction_alone_and_another_click_all(mapped, viewer):
    layer = viewer.layers["Polarization direction"]
    mapped.explorer.wheel.clicked.emit(Direction.LU)
    assert layer.show_selected_label
    assert layer.selected_label == Direction.LU + 1
    mapped.explorer.wheel.clicked.emit(Direction.RM)
    assert layer.show_selected_label
    mapped.explorer.wheel.clicked.emit(Direction.RM)
    assert not layer.show_selected_label


def test_the_wheel_follows_the_cursor(mapped, qtbot):
    mapped.explorer.look(2, 7)
    qtbot.waitUntil(lambda: mapped.explorer.wheel.active == Direction.LU)
    mapped.explorer.look(2, 0)
    qtbot.waitUntil(lambda: mapped.explorer.wheel.active == Direction.RM)


def test_a_scan_in_memory_works_too(dock, qtbot, viewer, calibration, patterns):
    data = patterns((6, 6))
    dock.dataset.choose(Scan4D(data, Calibration(**calibration), "memory"))
    qtbot.waitUntil(lambda: dock.inspection is not None)
    assert [layer.name for layer in viewer.layers] == ["memory: bright field"]


def test_every_control_has_a_tooltip(dock):
    from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QSlider

    for kind in (QAbstractButton, QAbstractSpinBox, QComboBox, QSlider):
        for control in dock.findChildren(kind):
            if not control.objectName().startswith("qt_") and control.metaObject().className() != "QToolButton":
                assert control.toolTip(), f"{control} {getattr(control, 'text', str)()}"
    for field in (dock.export.folder, dock.export.stem):
        assert isinstance(field, QLineEdit)
        assert field.toolTip()


def test_a_closed_dock_lets_go_of_the_viewer(qtbot, viewer, run, told):
    widget = MapWidget(viewer)
    qtbot.addWidget(widget)
    widget.detach()
    assert not viewer.mouse_move_callbacks
    viewer.add_image(np.ones((3, 3)))
    widget.detach()


def test_repaired_pixels_make_the_map_stale_and_keep_it(mapped, qtbot, viewer):
    result = mapped.result
    mapped._layers.update_scan(mapped.dataset.scan.calibrated(bad_pixels=((3, 4),)))
    assert mapped.sections[1].state is State.BUSY
    qtbot.waitUntil(lambda: not mapped.measuring.busy)
    assert mapped.result is result
    assert "calibration changed" in mapped.sections[2].status.text()
    assert "Polarization direction" in viewer.layers


def test_files_are_stale_when_the_map_is_another_one(mapped, qtbot, tmp_path):
    assert mapped.sections[4].state is State.WAITING
    mapped.export.folder.setText(str(tmp_path))
    click(qtbot, mapped.export.button)
    qtbot.waitUntil(lambda: mapped.sections[4].state is State.DONE)
    mapped.review.set_fdr(0.001)
    assert mapped.sections[4].state is State.STALE
    assert "older than the map" in mapped.sections[4].status.text()


def test_every_step_keeps_its_state_while_another_scan_is_looked_at(mapped, qtbot, write_scan, calibration, patterns):
    mapped.classifier.pool.setCurrentIndex(mapped.classifier.pool.findData("none"))
    mapped.dataset.open_path(write_scan("second.h5", patterns((5, 5)), **calibration))
    qtbot.waitUntil(lambda: mapped.inspection is not None and mapped.dataset.scan.name == "second")
    assert mapped.sections[2].state is State.WAITING
    names = [mapped.dataset.choice.itemText(i) for i in range(mapped.dataset.choice.count())]
    mapped.dataset.choice.activated.emit(names.index("film"))
    assert not mapped.measuring.busy
    assert mapped.sections[1].state is State.DONE
    assert mapped.sections[2].state is State.STALE


def test_the_last_step_of_the_calibration_is_taken_back(mapped):
    form = mapped.dataset.calibration
    assert not form.undo.isEnabled()
    form.rotation_deg.setValue(12)
    form.scan_step_A.setValue(2)
    form.undo.click()
    assert (mapped.dataset.scan.calibration.scan_step_A, form.scan_step_A.value()) == (0.995, 0.995)
    assert "calibration changed" in mapped.sections[2].status.text()
    form.undo.click()
    assert mapped.dataset.scan.calibration.rotation_deg == form.rotation_deg.value() == 0
    assert mapped.sections[2].state is State.DONE
    assert not form.undo.isEnabled()


def slow_steps(scan, *_):
    for done in range(1000):
        yield Progress("measuring", done, 1000)
        threading.Event().wait(0.01)


def test_the_measurement_shows_how_far_it_is_and_can_be_cancelled_and_done_again(mapped, qtbot, monkeypatch):
    before, disk = mapped.inspection, mapped.disk
    monkeypatch.setattr(measuring, "inspection_steps", slow_steps)
    disk.measure_button.click()
    qtbot.waitUntil(lambda: not disk.progress.isHidden())
    assert disk.progress.bar.maximum() == 1000
    disk.progress.cancel.click()
    qtbot.waitUntil(lambda: not mapped.measuring.busy)
    assert disk.progress.isHidden()
    assert mapped.inspection is before
    assert mapped.sections[1].state is mapped.sections[2].state is State.DONE
    monkeypatch.undo()
    disk.measure_button.click()
    qtbot.waitUntil(lambda: mapped.inspection is not before)


def test_opening_can_be_cancelled(loaded, qtbot, monkeypatch):
    go = threading.Event()
    monkeypatch.setattr(dataset_panel, "open_scan", lambda *_: go.wait(20))
    before = loaded.dataset.facts.text()
    loaded.dataset.open_path("large.h5")
    qtbot.waitUntil(lambda: not loaded.dataset.progress.isHidden())
    loaded.dataset.progress.cancel.click()
    go.set()
    assert loaded.dataset.progress.isHidden()
    assert loaded.dataset.facts.text() == before


def test_a_file_that_is_dropped_on_the_dock_is_opened(dock, qtbot, scan_file):
    files = QMimeData()
    files.setUrls([QUrl.fromLocalFile(str(scan_file))])
    where, buttons = QPointF(5, 5), (Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    dock.dragEnterEvent(entered := QDragEnterEvent(where.toPoint(), Qt.DropAction.CopyAction, files, *buttons))
    assert entered.isAccepted()
    dock.dropEvent(QDropEvent(where, Qt.DropAction.CopyAction, files, *buttons))
    qtbot.waitUntil(lambda: dock.inspection is not None)
    assert dock.dataset.scan.path == scan_file


def test_the_export_shows_how_far_it_is_and_can_be_cancelled(mapped, qtbot, monkeypatch, tmp_path):
    monkeypatch.setattr(exporting, "export", slow_steps)
    mapped.export.folder.setText(str(tmp_path))
    click(qtbot, mapped.export.button)
    qtbot.waitUntil(lambda: not mapped.export.progress.isHidden())
    mapped.cancel()
    qtbot.waitUntil(lambda: not mapped.exporting.busy)
    assert mapped.export.progress.isHidden()
    assert "cancelled" in mapped.export.written.text()
    assert mapped.sections[4].state is State.WAITING
