"""Regions in a table, a painted reference, and plots that follow."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_polarmap.core.directions import UNDEFINED, Direction
from napari_polarmap.core.kinds import Kind
from napari_polarmap.pipeline.layers import map_layers
from napari_polarmap.pipeline.review import regions_of
from napari_polarmap.widgets.display_panel import DisplayPanel
from napari_polarmap.widgets.displaying import Displaying
from napari_polarmap.widgets.error_widget import ErrorWidget
from napari_polarmap.widgets.judging import Judging
from napari_polarmap.widgets.map_layers import MapLayers
from napari_polarmap.widgets.reference import classes_of, paint_layer
from napari_polarmap.widgets.review_panel import ReviewPanel


@pytest.fixture
def judged(qtbot, viewer, make_map):
    """A panel with a map of 40 x 48 positions: RM and LU, and irregular places in RM."""
    result = make_map((40, 48))
    panel = ReviewPanel(viewer)
    qtbot.addWidget(panel)
    layers, display = MapLayers(viewer), DisplayPanel(panel)
    judging = Judging(layers, panel, Displaying(layers, display, panel), panel)
    judging.show(result, result)
    return judging, panel, result


def test_the_table_lists_every_region_with_kind_and_place(judged):
    _, panel, result = judged
    assert result.irregular.any()
    rows = [panel.regions.item(row, 0).text() for row in range(panel.regions.rowCount())]
    assert Kind.DEFECT in rows
    assert Kind.WALL in rows
    assert panel.regions.regions[0].peak_score == pytest.approx(float(np.nanmax(result.irregularity)), rel=1e-3)


def test_a_click_on_a_row_brings_the_region_into_the_middle_of_the_view(judged, viewer):
    _, panel, _ = judged
    viewer.reset_view()
    before = viewer.scene.camera.zoom
    row = next(i for i, region in enumerate(panel.regions.regions) if region.kind is Kind.DEFECT)
    panel.regions.cellClicked.emit(row, 0)
    top, left, bottom, right = panel.regions.regions[row].box_px
    scale = viewer.layers["Polarization direction"].scale
    np.testing.assert_allclose(
        viewer.scene.camera.center[-2:], [(top + bottom) / 2 * scale[0], (left + right) / 2 * scale[1]]
    )
    assert viewer.scene.camera.zoom > 2 * before


def test_outlines_and_table_follow_the_threshold(judged, viewer):
    judging, panel, _ = judged
    panel.set_fdr(0.05)
    few = regions_of(judging.result)[0]
    assert str(panel.regions.regions) == str(few)
    assert sorted(set(viewer.layers["Irregular regions"].features["number"])) == [region.number for region in few]
    panel.set_fdr(0.2)
    more = regions_of(judging.result)[0]
    assert len(more) > len(few)
    assert panel.regions.rowCount() == len(more)
    assert sorted(set(viewer.layers["Irregular regions"].features["number"])) == [region.number for region in more]


def test_captions_of_walls_are_read_on_a_light_canvas_too(judged, viewer):
    _, panel, _ = judged
    regions = viewer.layers["Irregular regions"]

    def colors():
        walls = regions.features["kind"] == Kind.WALL
        return set(regions.features["color"][walls]), set(regions.features["color"][~walls])

    dark = colors()
    viewer.theme = "light"
    assert colors()[0].isdisjoint(dark[0])
    assert colors()[1] == dark[1]
    panel.set_fdr(0.2)
    assert colors()[0].isdisjoint(dark[0]), "outlines that are drawn anew follow the theme"
    viewer.theme = "dark"
    assert colors()[0] == dark[0]


def test_on_a_large_map_the_marks_follow_at_once_and_the_table_soon(judged, viewer, qtbot, monkeypatch):
    judging, panel, result = judged
    monkeypatch.setattr("napari_polarmap.widgets.judging.AT_ONCE", 0)
    rows = panel.regions.rowCount()
    panel.set_fdr(0.2)
    assert len(viewer.layers["Irregular positions"].data) > result.irregular.sum()
    assert panel.regions.rowCount() == rows
    panel.set_fdr(0.25)
    qtbot.waitUntil(lambda: panel.regions.rowCount() > rows and not judging._later.busy)
    assert judging.result.provenance["parameters"]["fdr"] == panel.fdr
    assert len(viewer.layers["Irregular positions"].data) == judging.result.irregular.sum()
    assert panel.regions.rowCount() == len(regions_of(judging.result)[0])


def test_labels_one_to_eight_are_the_directions_and_others_undefined(result):
    layer = paint_layer(result)
    layer.data = np.array([[0, 1, 8, 9]], np.uint8)
    assert classes_of(layer).tolist() == [[UNDEFINED, Direction.RM, Direction.RD, UNDEFINED]]


def test_painting_a_reference_marks_what_differs_as_one_paints(judged, viewer, qtbot):
    judging, panel, _ = judged
    panel.reference.paint.click()
    layer = viewer.layers["Reference (paint)"]
    assert viewer.layers.selection.active is layer
    assert judging.result.misclassified.sum() == 0
    with qtbot.waitSignal(panel.reference.changed):
        layer.data_setitem(np.nonzero(np.ones((40, 48), bool)), 1 + Direction.RM)
    assert judging.result.misclassified.sum() == 40 * 24
    viewer.layers.remove(layer)
    assert judging.result.misclassified is None


def test_a_saved_result_is_a_reference_and_one_that_does_not_fit_is_told(judged, tmp_path, monkeypatch, make_map):
    judging, panel, result = judged
    told = []
    monkeypatch.setattr("napari_polarmap.widgets.reference.tell_error", told.append)
    panel.reference.open_file(result.save(tmp_path / "saved.h5"))
    assert judging.result.misclassified.sum() == 0
    panel.reference.open_file(make_map((8, 9)).save(tmp_path / "small.h5"))
    assert "is a map of (8, 9) positions" in str(told[0])


@pytest.fixture
def dock(qtbot, viewer: ViewerModel) -> ErrorWidget:
    """The error analysis over an empty viewer."""
    dock = ErrorWidget(viewer)
    qtbot.addWidget(dock)
    yield dock
    dock.detach()


def shown(viewer: ViewerModel, result) -> None:
    from napari.layers import Layer

    for data, options, kind in map_layers(result):
        viewer.add_layer(Layer.create(data, options, kind))


def test_without_map_or_reference_the_analysis_says_what_is_missing(dock, viewer, make_map):
    assert "No map yet" in dock.said.text()
    shown(viewer, make_map((40, 48)))
    assert "reference" in dock.said.text()


def test_a_chosen_direction_is_compared_and_drawn(dock, viewer, make_map, qtbot):
    shown(viewer, make_map((40, 48)))
    dock.reference.box.setCurrentIndex(dock.reference.box.findData(Direction.RM))
    qtbot.waitUntil(lambda: dock.analysis is not None)
    assert dock.analysis.confusion[Direction.RM, Direction.LU] == 40 * 24
    assert "50.0% of 1920" in dock.said.text()
    assert len(dock.figure.axes) >= 4


def test_the_plots_follow_painting(dock, viewer, make_map, qtbot):
    shown(viewer, make_map((40, 48)))
    dock.reference.paint.click()
    layer = viewer.layers["Reference (paint)"]
    layer.data_setitem(np.nonzero(np.ones((40, 48), bool)), 1 + Direction.LU)
    qtbot.waitUntil(lambda: dock.analysis is not None)
    assert dock.analysis.scores[0].accuracy == pytest.approx(0.5)
    left = np.zeros((40, 48), bool)
    left[:, :24] = True
    before = dock.analysis
    layer.data_setitem(np.nonzero(left), 1 + Direction.RM)
    qtbot.waitUntil(lambda: dock.analysis is not None and dock.analysis is not before)
    assert dock.analysis.scores[0].accuracy == 1
