"""What holds for every control of every dock."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
from npe2 import PluginManifest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QScrollBar,
    QWidget,
)

import napari_polarmap
from napari_polarmap.widgets.preferences import preferences

MANIFEST = PluginManifest.from_file(Path(napari_polarmap.__file__).with_name("napari.yaml"))
NUMBERS = (QAbstractSpinBox, QAbstractSlider)
UNIT = re.compile(r"\[[^]]+\]")
"""In square brackets, ``[no unit]`` and counts included."""


def docks() -> dict[str, type[QWidget]]:
    commands = {command.id: command.python_name for command in MANIFEST.contributions.commands}
    found = {}
    for widget in MANIFEST.contributions.widgets:
        module, name = commands[widget.command].split(":")
        found[widget.display_name] = getattr(import_module(module), name)
    return found


def controls(widget: QWidget) -> list[QWidget]:
    """Everything that a person can press, type into or drag, without the parts that Qt makes of it."""
    kinds = (QAbstractButton, QComboBox, QAbstractSpinBox, QLineEdit, QAbstractSlider)
    inner = (QComboBox, QAbstractSpinBox, QAbstractItemView)
    found = [child for child in widget.findChildren(QWidget) if isinstance(child, kinds)]
    return [child for child in found if not isinstance(child, QScrollBar) and not isinstance(child.parent(), inner)]


def named(control: QWidget) -> str:
    text = control.text() if isinstance(control, QAbstractButton) else ""
    return f"{type(control.parent()).__name__} > {type(control).__name__} {text!r}: {control.toolTip()!r}"


@pytest.fixture(params=docks())
def dock(request, qtbot, viewer, scan):
    widget = docks()[request.param](viewer)
    qtbot.addWidget(widget)
    yield widget
    widget.detach()


def test_every_control_says_what_it_does(dock):
    assert [named(control) for control in controls(dock) if not control.toolTip().strip()] == []


def test_every_number_says_its_unit(dock):
    numbers = [control for control in controls(dock) if isinstance(control, NUMBERS)]
    assert [named(control) for control in numbers if not UNIT.search(control.toolTip())] == []


def test_the_preferences_are_those_of_the_manifest_and_docks_begin_with_them(qtbot, viewer, monkeypatch):
    settings = preferences()
    assert (settings.mapping.pooling, settings.mapping.measure_on_open) == ("auto", True)
    monkeypatch.setattr(settings.mapping, "pooling", "cell")
    monkeypatch.setattr(settings.mapping, "false_discovery_rate", 0.2)
    monkeypatch.setattr(settings.explorer, "scale", "gamma")
    monkeypatch.setattr(settings.explorer, "gamma", 0.3)
    mapping, explorer = (docks()[name](viewer) for name in ("Polarization mapping", "Explorer"))
    for dock in (mapping, explorer):
        qtbot.addWidget(dock)
    assert mapping.params().pool == "cell"
    assert mapping.review.fdr == 0.2
    assert explorer.view.chosen == {"logarithmic": False, "gamma": 0.3}
    for dock in (mapping, explorer):
        dock.detach()


def test_every_preference_is_described_with_its_range():
    for contribution in MANIFEST.contributions.configurations.values():
        for name, entry in contribution.properties.items():
            assert len(entry.description) > 20, name
            assert entry.default is not None, name
            if entry.type in ("number", "integer"):
                assert entry.minimum < entry.default < entry.maximum, name


def test_keys_are_bound_while_a_dock_is_open_and_are_none_of_napari(qtbot, viewer):
    from napari.utils.key_bindings import coerce_keybinding
    from napari.utils.shortcuts import default_shortcuts

    taken = {str(coerce_keybinding(key)) for keys in default_shortcuts.values() for key in keys}
    free = set(map(str, viewer.keymap))
    bound = set()
    for name in ("Polarization mapping", "Explorer"):
        dock = docks()[name](viewer)
        qtbot.addWidget(dock)
        ours = {str(coerce_keybinding(key)) for key in dock.shortcuts.keys}
        assert ours <= set(map(str, viewer.keymap))
        assert not ours & (taken | bound)
        bound |= ours
        dock.detach()
    assert set(map(str, viewer.keymap)) == free
