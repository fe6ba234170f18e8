"""How maps are shown, compared and made in batches, in a real window."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.gui

PLUGIN = "napari-polarmap"


@pytest.fixture
def window(make_napari_viewer, make_map, tmp_path):
    """A window with the layers of a result file; widgets that are left over at the end are an error."""
    viewer = make_napari_viewer(strict_qt="raise", show=True)
    viewer.open(str(make_map((40, 48)).save(tmp_path / "map.h5")), plugin=PLUGIN)
    return viewer


def test_arrows_follow_the_zoom_hidden_or_not(window, qtbot):
    _, dock = window.window.add_plugin_dock_widget(PLUGIN, "Polarization mapping")
    arrows = window.layers["Polarization arrows"]
    window.reset_view()
    far = window.scene.camera.zoom
    counts = []
    for visible, zoom in ((True, far), (True, 4 * far), (False, far), (False, 4 * far)):
        arrows.visible = visible
        window.scene.camera.zoom = zoom
        spacing = dock.displaying.display_of(dock.result, dock.judging._source).arrow_spacing_px
        qtbot.waitUntil(lambda wanted=spacing: dock.displaying._shown.arrow_spacing_px == wanted)
        counts.append(len(arrows.data))
    arrows.visible = True
    assert counts[1] > 4 * counts[0]
    assert counts[2:] == counts[:2]


def test_colours_and_wheel_change_together(window, qtbot):
    _, dock = window.window.add_plugin_dock_widget(PLUGIN, "Polarization mapping")
    eight = dock.explorer.wheel.grab().toImage()
    dock.display.colors.setCurrentIndex(1)
    assert window.layers["Polarization angle"].visible
    assert dock.explorer.wheel.grab().toImage() != eight
    dock.display.rose_header.setChecked(True)
    assert not dock.display.rose.isHidden()


def test_maps_are_compared_side_by_side_and_the_dock_leaves_nothing_behind(window, make_map, tmp_path, qtbot):
    _, dock = window.window.add_plugin_dock_widget(PLUGIN, "Compare maps")
    before = [(layer.name, layer.visible) for layer in window.layers]
    other = make_map((40, 48), {"calibration": {"scan_step_A": 0.995}, "model": {"name": "other"}})
    dock.add_file(other.save(tmp_path / "other.h5"))
    for view in ("beside", "first", "difference"):
        dock.show_view(view)
        qtbot.wait(20)
    window.window.remove_dock_widget(dock)
    assert [(layer.name, layer.visible) for layer in window.layers] == before


def test_the_batch_dock_opens_and_closes(window):
    _, dock = window.window.add_plugin_dock_widget(PLUGIN, "Batch")
    assert not dock.classifier.run_button.isEnabled()
    window.window.remove_dock_widget(dock)
