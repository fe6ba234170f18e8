"""The calibration fields."""

from __future__ import annotations

import pytest

from napari_polarmap.core.data import Calibration
from napari_polarmap.widgets.calibration_form import NOT_KNOWN, CalibrationForm, summarize

FULL = Calibration(
    voltage_kV=200,
    convergence_mrad=24,
    mrad_per_px=1.05,
    scan_step_A=0.5,
    thickness_nm=20,
    material="niobate",
    rotation_deg=-12.5,
    flip=True,
    crystal_angle_deg=3,
)


@pytest.fixture
def form(qtbot):
    widget = CalibrationForm()
    qtbot.addWidget(widget)
    return widget


@pytest.mark.parametrize("calibration", [Calibration(), FULL])
def test_what_is_shown_is_what_was_set(form, calibration):
    form.set_calibration(calibration)
    assert form.calibration == calibration


def test_setting_a_calibration_tells_no_one(form, qtbot):
    with qtbot.assertNotEmitted(form.changed):
        form.set_calibration(FULL)


def test_an_edited_field_changes_only_its_quantity(form, qtbot):
    form.set_calibration(Calibration(voltage_kV=300))
    with qtbot.waitSignal(form.changed) as signal:
        form.convergence_mrad.setValue(21.4)
    assert signal.args == [Calibration(voltage_kV=300, convergence_mrad=21.4, origin={"convergence_mrad": "by hand"})]


def test_an_emptied_field_is_not_known_again(form):
    form.set_calibration(FULL)
    form.mrad_per_px.setValue(0)
    assert form.calibration.mrad_per_px is None


def test_an_angle_of_zero_is_a_value(form):
    form.set_calibration(FULL)
    form.rotation_deg.setValue(0)
    assert form.calibration.rotation_deg == 0


def test_a_measured_value_is_shown_where_none_was_entered(form):
    form.set_calibration(Calibration())
    assert form.mrad_per_px.text() == NOT_KNOWN
    form.suggest("mrad_per_px", 1.0512)
    assert form.mrad_per_px.text() == "measured: 1.051 mrad/px"
    assert form.calibration.mrad_per_px is None


def test_folded_fields_say_everything_in_one_line(form):
    form.header.setChecked(False)
    form.set_calibration(FULL)
    assert form.header.text() == "▸ 24 mrad, 1.05 mrad/px, step 0.5 Å, turned -12.5°, flipped, crystal 3°"
    assert summarize(Calibration()) == "no scan step"


def test_every_field_explains_itself_with_its_unit(form):
    for name in ("convergence_mrad", "mrad_per_px", "scan_step_A", "rotation_deg", "crystal_angle_deg"):
        field = getattr(form, name)
        assert field.suffix().strip() in field.toolTip() or field.suffix().strip().split("/")[0] in field.toolTip()
