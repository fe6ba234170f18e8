"""The lattice form: what was found is shown, what is given is used and told apart."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap.core.lattice import Lattice, square_vectors
from napari_polarmap.widgets.lattice_form import LatticeForm
from napari_polarmap.widgets.map_layers import MapLayers

FOUND = Lattice(vectors_px=np.reshape(square_vectors(8.0), (2, 2)))


@pytest.fixture
def form(qtbot) -> LatticeForm:
    form = LatticeForm()
    qtbot.addWidget(form)
    form.show_found(FOUND)
    return form


def test_what_was_found_is_shown_and_leaves_the_choice_to_the_run(form):
    assert [field.value() for field in form.vectors] == [0, 8, 8, 0]
    assert "8.00 positions, 0° (found)" in form.header.text()
    assert form.params() == {"lattice_px": None, "radius_px": None}


def test_an_edited_vector_is_given_to_the_run_and_told_apart(form, qtbot):
    with qtbot.waitSignal(form.changed):
        form.vectors[1].setValue(8.4)
    assert form.params()["lattice_px"] == (0, 8.4, 8, 0)
    assert form.lattice.source == "given"
    assert "(given)" in form.header.text()
    form.found_button.click()
    assert form.params()["lattice_px"] is None


def test_vectors_that_span_nothing_are_named(form):
    form.vectors[1].setValue(0)
    assert form.lattice is None
    assert "span none" in form.header.text()


def test_without_a_lattice_the_form_asks_for_one(form):
    form.show_found(Lattice(vectors_px=np.full((2, 2), np.nan), resolved=False, source="unknown"))
    assert "not found; give it here" in form.header.text()
    form.radius_px.setValue(7)
    assert form.params() == {"lattice_px": None, "radius_px": 7}


def test_the_lattice_is_drawn_over_the_image_and_taken_away_again(viewer, scan):
    layers = MapLayers(viewer)
    image = np.zeros(scan.scan_shape)
    layers.show_scan(scan, image)
    active = viewer.layers.selection.active
    layers.show_lattice(scan, FOUND, image)
    assert viewer.layers[-1].name == "film: lattice (found)"
    assert viewer.layers.selection.active is active
    layers.show_lattice(scan, None, image)
    assert len(viewer.layers) == 1
