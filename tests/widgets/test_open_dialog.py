"""The dialog that asks how a file lies."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtWidgets import QDialogButtonBox, QWidget

from napari_polarmap.core.axes import AXES
from napari_polarmap.io import open_scan
from napari_polarmap.widgets.open_dialog import OpenDialog

DATA = np.random.default_rng(0).poisson(20, (6, 8, 12, 10)).astype(np.uint16)
DATA[1, 2] *= 3
DATA[..., 4, 7] *= 5


@pytest.fixture
def ask(qtbot):
    parent = QWidget()  # which owns the dialogs, as the dock does
    qtbot.addWidget(parent)

    def opened(path, **options):
        dialog = OpenDialog(path, parent=parent, **options)
        dialogs.append(dialog)
        dialog.show()
        return dialog

    dialogs = []
    yield opened
    for dialog in dialogs:
        dialog.reject()


def ready(qtbot, dialog):
    button = dialog.buttons.button(QDialogButtonBox.StandardButton.Open)
    qtbot.waitUntil(lambda: button.isEnabled() and dialog.sample is not None, timeout=10_000)


def test_the_preview_follows_the_order_of_the_axes(ask, qtbot, tmp_path):
    np.save(tmp_path / "scan.npy", DATA.transpose(2, 3, 1, 0)[::-1])
    dialog = ask(tmp_path / "scan.npy")
    ready(qtbot, dialog)
    for place, name in enumerate(("det_y", "det_x", "scan_x", "scan_y")):
        box = dialog.stored[place]
        box.setCurrentIndex(AXES.index(name))
        box.activated.emit(AXES.index(name))
    dialog.mirrored[0].setChecked(True)
    assert "6 × 8 positions of 12 × 10 px" in dialog.said.text()
    assert np.unravel_index(dialog.image.pattern.argmax(), (6, 8)) == (1, 2)
    assert np.unravel_index(dialog.pattern.pattern.argmax(), (12, 10)) == (4, 7)
    scan = open_scan(dialog.path, **dialog.options())
    np.testing.assert_array_equal(scan.data[:, :], DATA)


def test_two_axes_never_have_one_name(ask, qtbot, tmp_path):
    np.save(tmp_path / "scan.npy", DATA)
    dialog = ask(tmp_path / "scan.npy")
    ready(qtbot, dialog)
    dialog.stored[0].activated.emit(1)
    assert [box.currentText() for box in dialog.stored][:2] == ["scan column", "scan row"]
    assert dialog.order.stored == ("scan_x", "scan_y", "det_y", "det_x")
    assert dialog.image.pattern.shape == (8, 6)


def test_a_stack_asks_for_its_shape_and_shows_it(ask, qtbot, tmp_path):
    np.save(tmp_path / "stack.npy", DATA.reshape(48, 12, 10))
    dialog = ask(tmp_path / "stack.npy")
    ready(qtbot, dialog)
    assert (dialog.rows.value(), dialog.columns.value()) == (6, 8)
    dialog.rows.setValue(4)
    assert dialog.columns.value() == 12
    qtbot.waitUntil(lambda: dialog.sample is not None and dialog.sample.shape[:2] == (4, 12), timeout=10_000)
    assert dialog.options()["scan_shape"] == (4, 12)


def test_a_headless_file_asks_for_its_layout(ask, qtbot, tmp_path):
    (tmp_path / "scan.raw").write_bytes(b"head" + DATA.tobytes())
    dialog = ask(tmp_path / "scan.raw")
    qtbot.waitUntil(dialog.raw.isChecked, timeout=10_000)
    assert not dialog.type.isHidden()
    for field, value in zip((*dialog.detector, dialog.offset), (12, 10, 4), strict=True):
        field.setValue(value)
    ready(qtbot, dialog)
    np.testing.assert_array_equal(open_scan(dialog.path, **dialog.options()).data, DATA)


def test_a_layout_that_does_not_fit_says_so(ask, qtbot, tmp_path):
    (tmp_path / "scan.raw").write_bytes(b"head" + DATA.tobytes())
    dialog = ask(tmp_path / "scan.raw")
    qtbot.waitUntil(lambda: "no whole number of patterns" in dialog.said.text(), timeout=10_000)
    assert not dialog.buttons.button(QDialogButtonBox.StandardButton.Open).isEnabled()


def test_several_data_sets_are_offered(ask, qtbot, tmp_path):
    np.savez(tmp_path / "scan.npz", first=DATA, second=DATA + 1)
    dialog = ask(tmp_path / "scan.npz")
    qtbot.waitUntil(lambda: dialog.dataset.count() == 2, timeout=10_000)
    dialog.dataset.setCurrentIndex(1)
    dialog.dataset.activated.emit(1)
    ready(qtbot, dialog)
    assert open_scan(dialog.path, **dialog.options()).pattern(0, 0)[0, 0] == DATA[0, 0, 0, 0] + 1
