"""Domains: sharp walls, small windows where they are enough, silence where nothing is known."""

from __future__ import annotations

import numpy as np

from napari_polarmap.core.directions import UNDEFINED
from napari_polarmap.core.domains import domains, log_softmax, smallest_sure


def evidence_for(classes: np.ndarray, strength: float, noise: float = 0.0) -> np.ndarray:
    logits = np.random.default_rng(0).normal(scale=max(noise, 1e-9), size=(*classes.shape, 9))
    np.put_along_axis(logits, classes[..., None], np.take_along_axis(logits, classes[..., None], -1) + strength, -1)
    return log_softmax(logits)


def two_domains(shape: tuple[int, int] = (32, 40)) -> np.ndarray:
    classes = np.full(shape, 1)
    classes[:, shape[1] // 2 :] = 7
    return classes


def test_noisy_evidence_settles_into_the_true_domains_with_a_sharp_wall():
    truth = two_domains()
    noisy = evidence_for(truth, 3.0, noise=1.5)
    assert (noisy.argmax(-1) == truth).mean() < 0.85
    domain, belief = domains(noisy, 4)
    assert (domain == truth).mean() > 0.95
    np.testing.assert_allclose(belief.sum(-1), 1, rtol=1e-5)


def test_without_evidence_everything_is_undefined():
    domain, _ = domains(evidence_for(np.zeros((12, 12), int), 0.0), 4)
    assert (domain == UNDEFINED).all()


def test_evidence_for_no_polarization_is_undefined_not_a_direction():
    domain, _ = domains(evidence_for(np.full((12, 12), 8), 5.0), 4)
    assert (domain == UNDEFINED).all()


def test_a_small_window_is_kept_where_it_is_sure_enough_and_grows_where_it_is_not():
    truth = two_domains((40, 80))
    small, large = evidence_for(truth, 8.0), evidence_for(truth, 12.0)
    small[:, 48:] = log_softmax(np.zeros(9))
    chosen, size = smallest_sure([small, large], 4)
    assert (size[:, :38] == 0).all()
    assert (size[:, 58:] == 1).all()
    np.testing.assert_allclose(chosen[:, 58:], large[:, 58:])


def test_windows_do_not_grow_at_a_wall_where_the_larger_ones_are_sure_of_a_mixture():
    truth = two_domains((40, 80))
    mixed = truth.copy()
    mixed[:, 34:46] = 0
    small, large = evidence_for(truth, 8.0), evidence_for(mixed, 12.0)
    small[:, 37:43] = log_softmax(np.zeros(9))
    chosen, size = smallest_sure([small, large], 8)
    assert (size == 0).all()
    domain, _ = domains(chosen, 8)
    assert (domain == truth).mean() > 0.98


def test_a_stripe_of_mixed_windows_along_a_wall_gives_way():
    """Windows across a wall between RU and RD see RM, their mean, and are sure of it."""
    truth = two_domains()
    seen = truth.copy()
    seen[:, 17:23] = 0
    domain, _ = domains(evidence_for(seen, 4.0), 8)
    assert (domain == truth).mean() > 0.95


def test_a_domain_of_four_cells_across_stays_and_a_spot_of_half_a_cell_goes():
    truth = np.full((64, 64), 1)
    truth[16:48, 16:48] = 3
    seen = truth.copy()
    seen[4:8, 4:8] = 6
    domain, _ = domains(evidence_for(seen, 6.0), 8)
    assert (domain == truth).mean() > 0.93
    assert not (domain == 6).any()
