"""Judging a finished map again."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from napari_polarmap.core.directions import UNDEFINED, Direction
from napari_polarmap.core.irregularity import irregularity
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.pipeline import review
from napari_polarmap.pipeline.review import with_fdr, with_reference


@pytest.fixture(scope="module")
def result() -> PolarizationMap:
    shape = (24, 20)
    rng = np.random.default_rng(1)
    probability = rng.dirichlet(np.full(8, 3.0), shape).astype(np.float32)
    probability[10:13, 8:11] = np.eye(8)[3]
    probability[0, :4] = np.nan
    uneven = irregularity(probability, None, fdr=0.05)
    direction = np.full(shape, Direction.RU, np.uint8)
    direction[:, 10:] = Direction.LD
    direction[0, :4] = UNDEFINED
    return PolarizationMap(
        direction=direction,
        probability=probability,
        angle_deg=np.zeros(shape, np.float32),
        confidence=np.zeros(shape, np.float32),
        irregularity=uneven.score,
        irregular=uneven.irregular,
        com_px=np.zeros((*shape, 2), np.float32),
        domain=direction,
        provenance={"parameters": {"pool": "auto", "fdr": 0.05}},
    )


def test_the_same_rate_marks_the_same_positions(result):
    again = with_fdr(result, 0.05)
    assert result.irregular.any()
    np.testing.assert_array_equal(again.irregular, result.irregular)


def test_a_larger_rate_keeps_what_a_smaller_one_marks(result):
    marked = [with_fdr(result, fdr).irregular for fdr in (1e-9, 0.01, 0.1, 0.5)]
    for fewer, more in pairwise(marked):
        assert (fewer <= more).all()
    assert marked[-1].sum() > marked[0].sum()


def test_regions_are_found_once_for_all_who_ask_and_again_for_other_maps_or_scales(result, monkeypatch):
    found = []
    monkeypatch.setattr(review, "find_regions", lambda *maps, **more: found.append(maps[0]) or ([], maps[0] * 0))
    again = with_fdr(result, 0.3)
    for _ in range(2):
        review.regions_of(with_reference(again, 3))
    assert len(found) == 1
    finer = {**again.provenance, "calibration": {"scan_step_A": 0.1}}
    review.regions_of(replace(again, provenance=finer))
    review.regions_of(replace(again, irregular=~again.irregular))
    assert len(found) == 3


def test_undefined_positions_are_never_marked(result):
    assert not with_fdr(result, 0.9).irregular[0, :4].any()


def test_the_rate_is_kept_in_the_provenance(result):
    assert with_fdr(result, 0.2).provenance["parameters"] == {"pool": "auto", "fdr": 0.2}


@pytest.mark.parametrize("fdr", [0, 1, -0.1, float("nan")])
def test_a_rate_lies_between_nothing_and_everything(result, fdr):
    with pytest.raises(ValueError, match="between 0 and 1"):
        with_fdr(result, fdr)


def test_a_class_or_a_map_of_classes_can_be_the_reference(result):
    by_class = with_reference(result, Direction.RU).misclassified
    assert by_class.sum() == 24 * 10
    truth = np.full(result.scan_shape, Direction.RU, np.uint8)
    truth[:, 15:] = UNDEFINED
    assert with_reference(result, truth).misclassified.sum() == 24 * 5
    assert with_reference(result, None).misclassified is None


def test_a_reference_of_another_shape_is_refused(result):
    with pytest.raises(ValueError, match=r"shape \(3, 4\)"):
        with_reference(result, np.zeros((3, 4), np.uint8))
