"""How predictions differ from a reference, place by place."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap.core.directions import UNDEFINED, Direction
from napari_polarmap.core.lattice import lattice_from_step
from napari_polarmap.core.misclassification import analyse_errors

SHAPE = (40, 48)
LATTICE = lattice_from_step(0.5, 4.0)


@pytest.fixture
def reference() -> np.ndarray:
    reference = np.full(SHAPE, Direction.RM, np.uint8)
    reference[:, 24:] = Direction.MD
    reference[0] = UNDEFINED
    return reference


def test_errors_are_counted_by_class_and_by_domain(reference):
    predicted = np.where(reference == Direction.MD, Direction.MU, reference).astype(np.uint8)
    predicted[5, 5] = UNDEFINED
    found = analyse_errors(predicted, reference, lattice=LATTICE)
    scores = {score.region: score for score in found.scores}
    assert scores["all"].positions == 39 * 48
    assert scores["MD"].accuracy == 0
    assert scores["MD"].opposite == 1
    assert scores["RM"].accuracy == pytest.approx(1 - 1 / (39 * 24))
    assert found.confusion[Direction.MD, Direction.MU] == 39 * 24
    assert found.confusion[Direction.RM, 8] == 1
    assert np.isnan(found.error[0]).all()
    assert found.error[5, 5] == 1


def test_errors_along_a_wall_are_told_from_those_away_from_it(reference):
    predicted = reference.copy()
    predicted[:, 24:28] = Direction.RM
    scores = {score.region: score.accuracy for score in analyse_errors(predicted, reference, lattice=LATTICE).scores}
    assert scores["within a cell of a wall"] == pytest.approx(0.75)
    assert scores["away from walls"] == 1


def test_errors_in_irregular_places_are_told_from_the_others(reference):
    irregular = np.zeros(SHAPE, bool)
    irregular[10:20, 5:15] = True
    predicted = np.where(irregular, Direction.LU, reference).astype(np.uint8)
    scores = {
        score.region: score.accuracy for score in analyse_errors(predicted, reference, irregular=irregular).scores
    }
    assert scores["irregular"] == 0
    assert scores["regular"] == 1


def test_errors_at_one_place_of_the_cell_are_periodic_and_seen_there(reference):
    y, x = np.indices(SHAPE)
    wrong = ((y % 8) < 3) & ((x % 8) < 3)
    predicted = np.where(wrong, Direction.LU, reference).astype(np.uint8)
    found = analyse_errors(predicted, reference, lattice=LATTICE)
    assert found.cell[:3, :3].min() == 1
    assert found.cell[3:, 3:].max() == 0
    assert found.spectrum.periodic > 0.9
    assert found.spectrum.periodic > found.spectrum.by_chance + 10 * found.spectrum.by_chance_std


def test_an_empty_reference_is_refused(reference):
    with pytest.raises(ValueError, match="undefined everywhere"):
        analyse_errors(reference, np.full(SHAPE, UNDEFINED, np.uint8))
