"""A scan outside the conditions of a classifier's training set is told."""

from __future__ import annotations

import pytest

from napari_polarmap.core.calibration import Calibration
from napari_polarmap.models.weights import ModelInfo
from napari_polarmap.pipeline.model_range import out_of_range

INFO = ModelInfo(
    name="n",
    title="t",
    network="cnn",
    licence="CC0-1.0",
    material="(K,Na)NbO3",
    zone_axis="[001]pc",
    convergence_mrad=(22.5, 25.5),
    thickness_nm=(5.0, 60.0),
)


@pytest.mark.parametrize(
    "calibration",
    [
        Calibration(),
        Calibration(convergence_mrad=24, voltage_kV=200, thickness_nm=30, material="(K,Na)NbO3", zone_axis="[001]"),
        Calibration(material="(K, Na)NbO₃", zone_axis="[0 0 1]"),
        Calibration(convergence_mrad=25.6, voltage_kV=205, thickness_nm=61),
    ],
)
def test_inside_or_unknown_is_not_warned_of(calibration):
    assert out_of_range(INFO, calibration) == ""


@pytest.mark.parametrize(
    ("calibration", "told"),
    [
        (Calibration(convergence_mrad=30), "30.0 mrad (trained for 22.5 to 25.5 mrad)"),
        (Calibration(voltage_kV=300), "300 kV (trained for 200 kV)"),
        (Calibration(thickness_nm=3), "3 nm thick (trained for 5 to 60 nm)"),
        (Calibration(thickness_nm=90), "90 nm thick (trained for 5 to 60 nm)"),
        (Calibration(material="PbTiO3"), "material PbTiO3 (trained for (K,Na)NbO3)"),
        (Calibration(zone_axis="[110]"), "zone axis [110] (trained for [001]pc)"),
    ],
)
def test_every_condition_outside_is_named(calibration, told):
    assert told in out_of_range(INFO, calibration)


def test_a_measured_convergence_counts_where_none_is_stated():
    assert "30.0 mrad" in out_of_range(INFO, Calibration(), convergence_mrad=30.0)
    assert out_of_range(INFO, Calibration(convergence_mrad=24.0), convergence_mrad=30.0) == ""
