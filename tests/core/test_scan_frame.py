"""Detector vectors in the frame of the scan."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap.core.calibration import Calibration
from napari_polarmap.core.lattice import lattice_from_step
from napari_polarmap.core.resampling import resample_patterns
from napari_polarmap.core.scan_frame import com_shift, detector_to_scan, diffraction_lattice_px
from napari_polarmap.core.survey import center_of_mass

KNOWN = Calibration(voltage_kV=200.0, scan_step_A=0.5)


@pytest.mark.parametrize(
    "calibration",
    [
        Calibration(),
        Calibration(rotation_deg=30),
        Calibration(rotation_deg=-75, flip=True),
        Calibration(rotation_deg=20, ellipse_ratio=1.1, ellipse_angle_deg=40),
    ],
)
def test_a_deflection_lies_where_the_resampled_pattern_shows_it(calibration):
    y, x = np.indices((61, 61))
    spot = np.exp(-((y - 27.0) ** 2 + (x - 36.0) ** 2) / 8)
    options = {"rotation_deg": calibration.rotation_deg, "flip": calibration.flip}
    seen = resample_patterns(
        spot[None], (30, 30), mrad_per_px=1.0, size_px=61, grid_mrad=1.0, distortion=calibration.distortion, **options
    )
    expected = center_of_mass(seen[0]) - 30
    shift = com_shift(np.array([[[27.0, 36.0]]]), np.array([[[30.0, 30.0]]]), calibration, 1.0)
    np.testing.assert_allclose(shift[0, 0], expected, atol=0.05)


def test_the_disks_of_a_crystal_lie_a_wavelength_over_the_cell_apart():
    disks = diffraction_lattice_px(lattice_from_step(0.5, 3.98), KNOWN, 1.2, reach=1)
    nearest = np.sort(np.linalg.norm(disks, axis=1))[1:5]
    np.testing.assert_allclose(nearest, 25.08 / 3.98 / 1.2, rtol=1e-3)


def test_the_disks_turn_with_the_detector():
    straight, turned = (
        diffraction_lattice_px(lattice_from_step(0.5), Calibration(voltage_kV=200, scan_step_A=0.5, **turn), 1.0)
        for turn in ({}, {"rotation_deg": 25.0, "flip": True})
    )
    back = turned @ detector_to_scan(Calibration(rotation_deg=25.0, flip=True)).T
    np.testing.assert_allclose(back, straight, atol=1e-9)


def test_without_voltage_or_step_no_disks_are_told():
    with pytest.raises(ValueError, match="without its voltage and scan step"):
        diffraction_lattice_px(lattice_from_step(0.5), Calibration(), 1.0)
