"""A scan knows its shape, is read in blocks and refuses what is no scan."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap.core.data import Calibration, Scan4D


def test_blocks_cover_every_position_once_and_keep_to_the_memory_given():
    scan = Scan4D(np.zeros((7, 9, 4, 5), np.uint16))
    for max_bytes in (1, 100, 40 * 9, 40 * 9 * 3, 10**9):
        seen = np.zeros((7, 9), int)
        for rows, columns in scan.blocks(max_bytes):
            seen[rows, columns] += 1
            assert scan.read(rows, columns).nbytes <= max(max_bytes, 40)
        assert (seen == 1).all()


@pytest.mark.parametrize("shape", [(4, 4, 4), (2, 2, 2, 2, 2), (4, 0, 8, 8)])
def test_what_is_not_four_dimensional_is_no_scan(shape):
    with pytest.raises(ValueError, match=r"sample has shape \(.*\); (a 4D scan|every axis)"):
        Scan4D(np.zeros(shape), name="sample")


def test_complex_numbers_are_no_counts():
    with pytest.raises(ValueError, match="holds complex128; patterns must be real"):
        Scan4D(np.zeros((2, 2, 2, 2), complex))


def test_one_pattern_is_the_same_as_its_part_of_a_block():
    data = np.random.default_rng(0).random((3, 4, 5, 6))
    scan = Scan4D(data)
    np.testing.assert_array_equal(scan.pattern(2, 1), scan.read(slice(2, 3), slice(1, 2))[0, 0])
    assert (scan.scan_shape, scan.detector_shape, scan.nbytes) == ((3, 4), (5, 6), data.nbytes)


@pytest.mark.parametrize(("name", "value"), [("mrad_per_px", 0.0), ("scan_step_A", -1.0), ("voltage_kV", float("nan"))])
def test_a_calibration_of_nothing_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} is .*; it must be a positive number"):
        Calibration(**{name: value})


def test_calibrating_changes_only_what_is_given():
    scan = Scan4D(np.zeros((1, 1, 2, 2)), Calibration(voltage_kV=200, mrad_per_px=1.0))
    changed = scan.calibrated(mrad_per_px=0.5, scan_step_A=None).calibration
    assert (changed.voltage_kV, changed.mrad_per_px, changed.scan_step_A) == (200, 0.5, None)
    assert "scan_step_A" in changed.missing
    assert "voltage_kV" not in changed.missing


def test_leaving_a_scan_releases_its_file():
    closed = []
    with Scan4D(np.zeros((1, 1, 2, 2)), closer=lambda: closed.append(True)):
        pass
    assert closed == [True]
