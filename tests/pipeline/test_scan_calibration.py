"""The automatic calibration against the truth of a sample that another detector recorded again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_polarmap.core.calibration import Calibration
from napari_polarmap.core.data import Scan4D
from napari_polarmap.io import open_scan
from napari_polarmap.io.calibration_file import load_calibration, save_calibration
from napari_polarmap.pipeline.inspection import Inspection, conclude, inspect_scan
from napari_polarmap.pipeline.measuring import measure, measure_all, measure_reference
from napari_polarmap.pipeline.scan_calibration import PARTS, History, apply, by_hand
from napari_polarmap.plugin import sample_path
from napari_polarmap.simulation.rerecord import rerecord

TRUTH = Calibration(
    convergence_mrad=24.0,
    mrad_per_px=1.2,
    rotation_deg=115.0,
    flip=True,
    center_px=(29.3, 26.2),
    descan=(0.02, -0.01, 0.015, 0.03),
    ellipse_ratio=1.05,
    ellipse_angle_deg=30.0,
    bad_pixels=((18, 20), (20, 33), (30, 12), (40, 40)),
)


@pytest.fixture(scope="module")
def sample() -> Scan4D:
    with open_scan(sample_path("two_domains")) as scan:
        return Scan4D(scan.read(slice(0, 44), slice(0, 56)), scan.calibration)


@pytest.fixture(scope="module")
def scan(sample) -> Scan4D:
    center = inspect_scan(sample).disk.center_px
    data = rerecord(sample.data, center, TRUTH, hot=3000.0)
    return Scan4D(data, Calibration(convergence_mrad=24.0))


@pytest.fixture(scope="module")
def cleaned(scan) -> Scan4D:
    return scan.calibrated(bad_pixels=measure("bad_pixels", scan, inspect_scan(scan)).changes["bad_pixels"])


@pytest.fixture(scope="module")
def inspection(cleaned) -> Inspection:
    return inspect_scan(cleaned)


def test_every_part_is_measured_with_a_residual(cleaned, inspection):
    found, reasons = measure_all(cleaned, inspection)
    assert not reasons
    assert [measured.part for measured in found] == list(PARTS)
    for measured in found:
        assert set(measured.changes) <= set(PARTS[measured.part])
        assert measured.value
        assert any(digit in measured.residual for digit in "0123456789")
        replace(cleaned.calibration, **measured.changes)


def test_dead_and_hot_pixels_are_those_that_were_broken(scan, cleaned):
    assert cleaned.calibration.bad_pixels == TRUTH.bad_pixels
    measured = measure("bad_pixels", scan, inspect_scan(scan))
    assert measured.value.startswith("2 dead, 2 hot")


def test_disk_centre_and_descan_are_found(cleaned, inspection):
    disk = measure("disk", cleaned, inspection).changes
    np.testing.assert_allclose(disk["center_px"], TRUTH.center_px, atol=0.15)
    assert disk["radius_px"] == pytest.approx(20, abs=0.3)
    np.testing.assert_allclose(measure("descan", cleaned, inspection).changes["descan"], TRUTH.descan, atol=0.003)


@pytest.mark.parametrize("seed", range(4))
def test_a_rotation_that_drowns_in_counting_noise_is_not_stated(cleaned, inspection, seed):
    statistics = inspection.statistics
    noise = np.random.default_rng(seed).normal(0, 8.0, statistics.com_px.shape)
    drowned = replace(inspection, statistics=replace(statistics, com_px=statistics.com_px + noise))
    with pytest.raises(ValueError, match=r"drowns in the noise .*: too few electrons, .*; enter it by hand"):
        measure("rotation", cleaned, drowned)


def test_rotation_handedness_and_side_are_found(cleaned, inspection):
    measured = measure("rotation", cleaned, inspection)
    assert measured.good, measured.residual
    assert measured.changes["flip"] is True
    assert measured.changes["rotation_deg"] == pytest.approx(TRUTH.rotation_deg, abs=4)


def test_the_ellipse_is_found(cleaned, inspection):
    found = measure("ellipse", cleaned, inspection).changes
    assert found["ellipse_ratio"] == pytest.approx(1.05, abs=0.005)
    assert found["ellipse_angle_deg"] == pytest.approx(30, abs=4)


def test_sizes_follow_from_the_disk_and_the_lattice(cleaned, inspection):
    assert measure("pixel_size", cleaned, inspection).changes["mrad_per_px"] == pytest.approx(1.2, rel=0.015)
    assert measure("scan_step", cleaned, inspection).changes["scan_step_A"] == pytest.approx(0.5, rel=0.01)
    assert measure("crystal_axis", cleaned, inspection).changes["crystal_angle_deg"] == pytest.approx(0, abs=0.5)


def test_what_is_calibrated_is_used(cleaned, inspection):
    known = replace(cleaned.calibration, center_px=(20.0, 21.0), radius_px=15.0, descan=(0.0, 0.1, 0.0, 0.0))
    used = conclude(replace(cleaned, calibration=known), inspection.statistics, inspection.descan)
    assert used.disk.radius_px == 15
    assert used.mrad_per_px == pytest.approx(24 / 15)
    np.testing.assert_allclose(used.plane_px.mean(axis=(0, 1)), (20, 21))
    np.testing.assert_allclose(np.ptp(used.plane_px, axis=(0, 1)), (0.1 * 55, 0))


def test_a_reference_scan_gives_the_descan_of_a_scan_with_other_steps(sample):
    y, x = np.indices((56, 56))
    vacuum = np.where(np.hypot(y - 28, x - 27) < 20, 100.0, 0.0)
    reference = Scan4D(rerecord(np.broadcast_to(vacuum, (22, 28, 56, 56)), (28, 27), replace(TRUTH, bad_pixels=())))
    measured = measure_reference(reference, inspect_scan(reference), sample.scan_shape)
    np.testing.assert_allclose(measured.changes["descan"], np.array(TRUTH.descan) / 2, atol=0.001)
    assert measured.good


def test_every_part_goes_back_on_its_own(cleaned, inspection):
    history, before = History(), cleaned.calibration
    first = apply(before, measure("rotation", cleaned, inspection))
    history.note(before, first)
    second = by_hand(first, scan_step_A=0.4)
    history.note(first, second)
    assert second.origin["scan_step_A"] == "by hand"
    assert second.origin["rotation_deg"].startswith("automatic: ")
    back = history.undo("rotation", second)
    assert (back.rotation_deg, back.flip, back.scan_step_A) == (before.rotation_deg, before.flip, 0.4)
    assert "rotation_deg" not in back.origin
    assert not history.can_undo("rotation")
    assert history.undo("scan_step", back) == before
    assert history.undo("ellipse", back) is back


def test_a_saved_calibration_comes_back(tmp_path, cleaned, inspection):
    calibration = cleaned.calibration
    for measured in measure_all(cleaned, inspection)[0]:
        calibration = apply(calibration, measured)
    path = save_calibration(calibration, tmp_path / "cal.json")
    assert Scan4D(cleaned.data).calibrated(**load_calibration(path)).calibration == calibration


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a readable JSON file"),
        ("[1]", "no calibration"),
        ('{"format": "napari-polarmap calibration", "calibration": {"speed": 1}}', "speed is no quantity"),
        ('{"format": "napari-polarmap calibration", "calibration": 3}', "no quantity"),
        ('{"format": "napari-polarmap calibration", "calibration": {"mrad_per_px": -1}}', "positive number"),
        ('{"format": "napari-polarmap calibration", "calibration": {"descan": [1, 2]}}', "4 numbers"),
        ('{"format": "napari-polarmap calibration", "calibration": {"bad_pixels": [[1]]}}', "unpack"),
        (
            '{"format": "napari-polarmap calibration", "calibration": {"mrad_per_px": "wide"}}',
            "supported",
        ),
    ],
)
def test_files_that_are_no_calibration_are_refused(tmp_path, text, message):
    (tmp_path / "cal.json").write_text(text)
    with pytest.raises(ValueError, match=rf"cal\.json: .*({message})"):
        load_calibration(tmp_path / "cal.json")
    with pytest.raises(FileNotFoundError):
        load_calibration(tmp_path / "other.json")


def test_an_unknown_part_is_refused(cleaned, inspection):
    with pytest.raises(ValueError, match="choose of disk"):
        measure("colour", cleaned, inspection)
