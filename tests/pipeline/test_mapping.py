"""Maps of simulated scans with known truth, by the packaged classifier."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import napari_polarmap
from napari_polarmap.core.data import Calibration, Scan4D
from napari_polarmap.core.directions import UNDEFINED, Direction
from napari_polarmap.core.metrics import accuracy, wall_distance
from napari_polarmap.core.symmetry import OPERATIONS
from napari_polarmap.io import open_scan
from napari_polarmap.io.hdf5 import read_truth
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.models.registry import default_model, load_classifier
from napari_polarmap.pipeline.mapping import MapParams, map_polarization, map_steps

SAMPLES = Path(napari_polarmap.__file__).with_name("sample_data")
TWO_DOMAINS = SAMPLES / "two_domains.h5"


@pytest.fixture(scope="module")
def classifier():
    return load_classifier(default_model())


@pytest.fixture(scope="module")
def corner() -> Scan4D:
    """Part of the packaged scan, in memory: 28 x 40 positions around the wall."""
    with open_scan(TWO_DOMAINS) as scan:
        return Scan4D(np.ascontiguousarray(scan.read(slice(0, 28), slice(20, 60))), scan.calibration, name="corner")


@pytest.fixture(scope="module")
def result(corner, classifier) -> PolarizationMap:
    return map_polarization(corner, classifier)


def test_both_domains_of_the_packaged_scan_are_found(classifier):
    label, _ = read_truth(TWO_DOMAINS)
    with open_scan(TWO_DOMAINS) as scan:
        found = map_polarization(scan, classifier)
    clear = wall_distance(label) > 8
    assert accuracy(found.domain, label, clear) >= 0.95
    assert {Direction.RU, Direction.RD} <= set(np.unique(found.domain).tolist())


def test_every_map_keeps_its_promise(result):
    defined = result.direction != UNDEFINED
    np.testing.assert_allclose(result.probability[defined].sum(axis=-1), 1, rtol=1e-5)
    assert np.isnan(result.probability[~defined]).all()
    assert np.isnan(result.angle_deg[~defined]).all()
    np.testing.assert_allclose(result.angle_deg[defined], 45.0 * result.direction[defined])
    assert result.confidence.min() >= 0
    assert result.confidence.max() <= 1
    assert result.irregular.dtype == bool
    assert result.misclassified is None


def test_provenance_says_what_is_needed_to_repeat_the_run(corner, classifier, result):
    record = result.provenance
    assert record["model"] == {
        "name": classifier.info.name,
        "title": classifier.info.title,
        "sha256": classifier.info.sha256,
    }
    assert record["parameters"] == {
        "pool": "auto",
        "center": "plane",
        "crop_px": None,
        "fdr": 0.05,
        "lattice_px": None,
        "radius_px": None,
    }
    assert record["measured"]["lattice_source"] == "found"
    assert record["measured"]["mrad_per_px"] == pytest.approx(1.2)
    assert record["input"]["shape"] == list(corner.shape)
    assert {"python", "numpy", "torch"} <= record["versions"].keys()


def test_a_saved_result_comes_back_as_it_was(result, tmp_path):
    loaded = PolarizationMap.load(result.save(tmp_path / "r.h5"))
    assert loaded.provenance == result.provenance
    for name, array in result.arrays().items():
        np.testing.assert_array_equal(loaded.arrays()[name], array, err_msg=name)


@pytest.mark.parametrize("index", [1, 2, 4, 7])
def test_turning_the_whole_scan_turns_the_map(corner, classifier, result, index):
    operation = OPERATIONS[index]
    scan = Scan4D(np.ascontiguousarray(operation.scan(corner.data)), corner.calibration)
    turned = map_polarization(scan, classifier)
    expected = operation.classes(operation.images(result.domain, axes=(0, 1)))
    assert (turned.domain == expected).mean() > 0.97


@pytest.mark.parametrize(("rotation_deg", "flip"), [(90.0, False), (0.0, True), (180.0, True)])
def test_a_turned_or_mirrored_camera_is_undone_by_its_calibration(corner, classifier, result, rotation_deg, flip):
    """The detector's image is turned clockwise, then mirrored, so that the calibration undoes it."""
    data = np.rot90(corner.data, -round(rotation_deg / 90), axes=(2, 3))
    data = np.flip(data, axis=2) if flip else data
    calibration = replace(corner.calibration, rotation_deg=rotation_deg, flip=flip)
    found = map_polarization(Scan4D(np.ascontiguousarray(data), calibration), classifier)
    assert (found.domain == result.domain).mean() > 0.97


def test_the_crystal_angle_turns_reported_directions(corner, classifier, result):
    """Patterns and angle both turned by 90 degrees against the scan: the same P, 90 degrees on."""
    calibration = replace(corner.calibration, rotation_deg=90.0, crystal_angle_deg=90.0)
    found = map_polarization(Scan4D(corner.data, calibration), classifier)
    both = (found.domain != UNDEFINED) & (result.domain != UNDEFINED)
    assert (found.domain[both] == (result.domain[both] + 2) % 8).mean() > 0.97


def test_the_reference_marks_what_differs(corner, classifier, result):
    found = map_polarization(corner, classifier, reference=int(Direction.RU))
    np.testing.assert_array_equal(
        found.misclassified, (result.direction != Direction.RU) & (result.direction != UNDEFINED)
    )


@pytest.mark.parametrize("pool", ["none", "cell"])
def test_other_poolings_give_whole_maps(corner, classifier, pool):
    found = map_polarization(corner, classifier, MapParams(pool=pool))
    assert found.direction.shape == (28, 40)
    assert found.provenance["parameters"]["pool"] == pool


def test_positions_without_counts_are_undefined(corner, classifier):
    data = corner.data.copy()
    data[:6] = 0
    found = map_polarization(Scan4D(data, corner.calibration), classifier)
    assert (found.direction[:6] == UNDEFINED).all()
    assert (found.domain[:6] == UNDEFINED).all()
    assert not found.irregular[:6].any()
    assert (found.domain[14:] != UNDEFINED).mean() > 0.9


def test_a_run_can_be_stopped_between_steps(corner, classifier):
    steps = map_steps(corner, classifier)
    seen = [next(steps) for _ in range(4)]
    steps.close()
    assert all(step.total > 0 and 0 <= step.done <= step.total for step in seen)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda scan: (scan, MapParams(crop_px=500)), r"crop of 500 px does not fit a detector of 56 x 56 px"),
        (lambda scan: (Scan4D(np.zeros_like(scan.data), name="dark"), None), "dark"),
        (lambda scan: (Scan4D(np.ones_like(scan.data), name="flat"), None), "flat"),
    ],
)
def test_what_cannot_be_mapped_is_refused_in_one_sentence(corner, classifier, change, message):
    scan, params = change(corner)
    with pytest.raises(ValueError, match=message):
        map_polarization(scan, classifier, params)


def test_a_reference_of_another_shape_is_refused(corner, classifier):
    with pytest.raises(ValueError, match=r"the reference has shape \(3, 3\); the scan has \(28, 40\)"):
        map_polarization(corner, classifier, reference=np.zeros((3, 3), np.uint8))


@pytest.mark.parametrize(
    "options",
    [
        {"pool": "all"},
        {"center": "x"},
        {"fdr": 2},
        {"crop_px": 1},
        {"lattice_px": (0, 8, 0, 4)},
        {"lattice_px": (0, 8, 8)},
        {"lattice_px": (0, 1, 1, 0)},
        {"lattice_px": (0, np.nan, 8, 0)},
        {"radius_px": 0.5},
        {"radius_px": np.inf},
    ],
)
def test_wrong_options_are_refused_when_they_are_made(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        MapParams(**options)


def test_an_unknown_convergence_angle_is_assumed_aloud(corner, classifier):
    found = map_polarization(Scan4D(corner.data, Calibration(scan_step_A=0.5)), classifier)
    assert any("24 mrad was assumed" in note for note in found.provenance["notes"])


def test_a_scan_smaller_than_a_unit_cell_is_classified_by_single_patterns_and_says_so(corner, classifier):
    found = map_polarization(Scan4D(corner.data[:5, :6], corner.calibration), classifier)
    assert found.direction.shape == (5, 6)
    assert any("smaller than one unit cell" in note for note in found.provenance["notes"])
    assert (found.domain == UNDEFINED).all(), "single patterns do not tell the direction"
