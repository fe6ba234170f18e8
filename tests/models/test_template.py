"""The physical estimator finds what was planted, and its errors are what repeated counting shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_polarmap.core import template_fit
from napari_polarmap.core.directions import ANGLES_DEG, angle_between_deg
from napari_polarmap.core.metrics import wall_distance
from napari_polarmap.core.odd_part import CONVERGENCE_MRAD, TILT_SCALE_MRAD, odd_terms, polarization_axes
from napari_polarmap.core.pooling import pooling_matrix
from napari_polarmap.core.symmetry import OPERATIONS
from napari_polarmap.core.template_fit import PhysicalModel, noise_variance
from napari_polarmap.io import open_scan
from napari_polarmap.io.hdf5 import read_truth
from napari_polarmap.models.registry import load_classifier
from napari_polarmap.models.template import load_estimator
from napari_polarmap.pipeline.frame import Frame
from napari_polarmap.pipeline.inspection import inspect_scan
from napari_polarmap.pipeline.looking import Windows, tell
from napari_polarmap.pipeline.parameters import MapParams
from napari_polarmap.pipeline.windows import plan_windows
from napari_polarmap.pipeline.workplace import Setting
from napari_polarmap.plugin import sample_path

TILT = np.array([1.2, -0.7])


@pytest.fixture(scope="module")
def estimator():
    return load_estimator()


def unfolded(odd_y: np.ndarray, odd_x: np.ndarray, even: np.ndarray) -> np.ndarray:
    """Return the whole pattern whose parts on the lower right quadrant are these."""
    right = np.concatenate([np.flip(odd_x + even, 0), odd_x + even])
    left = np.concatenate([np.flip(even - odd_x, 0), even - odd_x])
    y = np.concatenate([-np.flip(odd_y.T, 0), odd_y.T])
    return np.concatenate([left[:, ::-1] + y[:, ::-1], right + y], axis=1)


def planted(model: PhysicalModel, angle_deg: float, amplitude: float = 1.0, node: int = 20) -> np.ndarray:
    """Return the exact pattern that the model itself expects, at 24 mrad and one thickness of its grid."""
    assert CONVERGENCE_MRAD == 24
    parameters = np.concatenate([TILT / TILT_SCALE_MRAD, [0.05, -0.1], amplitude * polarization_axes(angle_deg)])
    z = odd_terms(parameters, np.zeros(())) @ model.odd_terms[node]
    r = float((TILT**2).sum() / TILT_SCALE_MRAD**2)
    z_even = np.array([1, 0, 0, r, 0, r**2]) @ model.even_terms[node]
    odd = (z @ model.odd_modes) / (2 * model.weight)
    even = model.mean + z_even @ model.even_modes / (2 * model.weight)
    pattern = unfolded(*(part.reshape(32, 32) for part in (*odd, even)))
    return np.maximum(pattern, 0)


def counted(pattern: np.ndarray, electrons: float, draws: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(pattern / pattern.sum() * electrons, size=(draws, *pattern.shape))


def test_directions_and_parameters_of_the_same_windows_take_one_fit(monkeypatch):
    fits, fit = [], template_fit._fit_thicknesses
    monkeypatch.setattr(template_fit, "_fit_thicknesses", lambda *asked: fits.append(asked) or fit(*asked))
    with open_scan(sample_path("two_domains")) as scan:
        frame = Frame(scan, load_classifier("template-niobate"), inspect_scan(scan), MapParams())
        patterns = frame.patterns(slice(0, 8), slice(0, 80)).reshape(10, 64, 64, 64).mean(axis=1)
        setting, places = Setting(frame, None), (np.arange(10), np.zeros(10, int))
        told = tell(setting, Windows(0, places, patterns, np.full(10, 64.0)))
        assert len(fits) == 1
        other = tell(setting, Windows(0, places, patterns[::-1].copy(), np.full(10, 64.0)))
    assert len(fits) == 2
    np.testing.assert_allclose(other.log_probability, told.log_probability[::-1], atol=1e-4)
    np.testing.assert_allclose(other.estimated["thickness_nm"], told.estimated["thickness_nm"][::-1], rtol=1e-4)


@pytest.mark.parametrize("angle_deg", [0.0, 45.0, 100.0, 260.0])
def test_planted_polarization_tilt_and_thickness_are_found(estimator, angle_deg):
    found = estimator.estimate(planted(estimator.model, angle_deg)[None], electrons=1e9)
    # Off the easy directions it leans towards them, within what the scatter of specimens leaves open.
    assert angle_between_deg(found.angle_deg[0], angle_deg) < (3 if angle_deg % 45 == 0 else found.angle_spread_deg[0])
    assert abs(found.amplitude[0] - 1) < max(0.1, 1.2 * found.amplitude_spread[0])
    np.testing.assert_allclose(found.tilt_mrad[0], TILT, atol=0.1)
    # A pattern without any scatter favours the thicknesses where specimens scatter less.
    assert found.thickness_nm[0] == pytest.approx(estimator.model.thickness_nm[20], abs=1)
    angle = np.deg2rad(found.angle_deg[0])
    np.testing.assert_allclose(
        found.vector[0], found.amplitude[0] * np.array([-np.sin(angle), np.cos(angle)]), atol=1e-9
    )


@pytest.mark.parametrize("electrons", [1e6, 1e7])
def test_stated_errors_are_the_scatter_of_repeated_counting(estimator, electrons):
    patterns = counted(planted(estimator.model, 45.0), electrons, draws=150)
    found = estimator.estimate(patterns, electrons=electrons)
    for name in ("vector", "tilt_mrad", "amplitude", "angle_deg"):
        stated = {"vector": "vector_error", "tilt_mrad": "tilt_error_mrad"}.get(name) or {
            "amplitude": "amplitude_error",
            "angle_deg": "angle_error_deg",
        }[name]
        scatter = getattr(found, name).std(axis=0)
        ratio = np.sqrt((getattr(found, stated) ** 2).mean(axis=0)) / scatter
        assert (ratio > 1 / 1.5).all(), name
        assert (ratio < 1.5).all(), name


def test_an_unpolarised_specimen_has_an_amplitude_compatible_with_none(estimator):
    patterns = counted(planted(estimator.model, 0.0, amplitude=0.0), 1e6, draws=50)
    found = estimator.estimate(patterns, electrons=1e6)
    assert np.median(found.amplitude / np.hypot(*found.vector_error.T)) < 1.5
    logits = estimator.predict_logits(patterns.astype(np.float32), pooled=True)
    assert (logits.argmax(axis=1) == 8).mean() > 0.5


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_estimate_turns_with_the_pattern(estimator, operation):
    patterns = counted(planted(estimator.model, 20.0), 1e7, draws=3)
    straight, turned = (estimator.estimate(p, electrons=1e7) for p in (patterns, operation.images(patterns)))
    np.testing.assert_allclose(turned.vector, operation.vectors(straight.vector), atol=0.02)
    np.testing.assert_allclose(turned.tilt_mrad, operation.vectors(straight.tilt_mrad), atol=1e-4)
    np.testing.assert_allclose(turned.thickness_nm, straight.thickness_nm, atol=1e-4)
    classes = [
        estimator.predict_logits(p.astype(np.float32), pooled=True) for p in (patterns, operation.images(patterns))
    ]
    np.testing.assert_allclose(
        classes[1][:, :8], operation.probabilities(np.ascontiguousarray(classes[0][:, :8])), atol=1e-3
    )


def test_the_noise_of_a_pattern_tells_its_electrons_within_a_factor_of_two(estimator):
    patterns = counted(planted(estimator.model, 0.0), 1e5, draws=20)
    told = 1 / noise_variance(estimator.model, patterns)
    assert (told > 0.5e5).all()
    assert (told < 2e5).all()


def test_a_dark_pattern_has_no_estimate(estimator):
    found = estimator.estimate(np.zeros((2, 64, 64)), electrons=1e6)
    assert np.isnan(found.vector).all()
    assert np.isnan(found.thickness_nm).all()


def test_no_patterns_give_an_empty_estimate(estimator):
    found = estimator.estimate(np.zeros((0, 64, 64)))
    assert found.vector.shape == (0, 2)
    assert found.angle_deg.shape == (0,)


def test_electrons_must_be_positive(estimator):
    with pytest.raises(ValueError, match="must be positive"):
        estimator.estimate(np.ones((1, 64, 64)), electrons=0)


def test_eight_directions_lie_45_degrees_apart_in_the_estimate(estimator):
    patterns = np.stack([planted(estimator.model, angle) for angle in ANGLES_DEG])
    logits = estimator.predict_logits(patterns.astype(np.float32), pooled=True)
    assert logits[:, :8].argmax(axis=1).tolist() == list(range(8))


@pytest.fixture(scope="module")
def pooled():
    """Pooled patterns: six held-out specimens, exact, and the whole of three pseudo-experimental scans."""
    with np.load(Path(__file__).parents[1] / "data" / "pooled.npz") as file:
        return {name: file[name] for name in file.files}


def test_on_held_out_specimens_the_angle_is_right_within_20_degrees_in_the_median(estimator, pooled):
    found = estimator.estimate(pooled["patterns"], electrons=5e6)
    off = angle_between_deg(found.angle_deg, 45.0 * pooled["label"])
    assert np.median(off) < 20
    assert off.max() < 90
    np.testing.assert_allclose(found.thickness_nm, pooled["thickness_nm"], atol=2.5)


def test_on_held_out_specimens_and_scans_the_stated_error_is_the_scatter_of_redrawn_counts(estimator, pooled):
    ratios = []
    for seed, pattern in enumerate(pooled["patterns"].astype(float)):
        found = estimator.estimate(counted(pattern, 2e6, draws=60, seed=seed), electrons=2e6)
        turn = np.exp(1j * np.deg2rad(found.angle_deg))
        off = np.rad2deg(np.angle(turn / turn.mean()))
        ratios.append(np.sqrt((found.angle_error_deg**2).mean() / (off**2).mean()))
    assert 1 / 1.5 < np.median(ratios) < 1.5
    assert ((np.array(ratios) > 1 / 1.5) & (np.array(ratios) < 1.5)).mean() >= 0.75


def test_the_vector_points_right_on_both_domains_of_the_packaged_scan(estimator):
    path = sample_path("two_domains")
    label, _ = read_truth(path)
    classifier, params = load_classifier("template-niobate"), MapParams()
    with open_scan(path) as scan:
        inspection = inspect_scan(scan)
        frame = Frame(scan, classifier, inspection, params)
        plan, _ = plan_windows(scan, inspection, params)
        matrix = pooling_matrix(label.shape, *plan.grid.axes, plan.base.weights)
        patterns = frame.patterns(*(slice(0, n) for n in label.shape))
        windows = matrix @ patterns.reshape(len(patterns), -1)
    at = np.ix_(*plan.grid.axes)
    clear = (wall_distance(label)[at] > plan.width_px).ravel()
    for direction in np.unique(label):
        inside = clear & (label[at].ravel() == direction)
        found = estimator.estimate(windows[inside].mean(axis=0).reshape(1, 64, 64))
        assert angle_between_deg(found.angle_deg[0], 45.0 * direction) < 15
        assert found.thickness_nm[0] == pytest.approx(18, abs=1.5)
