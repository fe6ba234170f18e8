"""Networks and objectives: what enters, what comes out, what is learnt."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_polarmap.core.directions import N_DIRECTIONS, VECTORS_YX
from napari_polarmap.models.backbones import BACKBONES
from napari_polarmap.models.network import DirectionNetwork, build, short_numbers_pay, stored
from napari_polarmap.models.objectives import N_CLASSES, OBJECTIVES, Prototype, Regression

EVERY_LABEL = torch.arange(N_CLASSES)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("channels", [1, 2])
def test_every_network_takes_single_patterns_and_cell_averages(backbone, channels):
    network = DirectionNetwork(backbone, channels=channels, binning=2 if backbone == "vgg16" else 1).eval()
    with torch.inference_mode():
        outputs, beside = network(torch.rand(2, 64, 64))
    assert outputs.shape == (2, N_CLASSES)
    assert beside.shape == (2, 3)


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_step_of_training_reaches_every_layer(backbone, objective):
    network = DirectionNetwork(backbone, objective, channels=1, binning=2, nuisance=False)
    before = {name: part.detach().clone() for name, part in network.named_parameters()}
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    network.head.loss(network(torch.rand(4, 64, 64))[0], torch.tensor([0, 3, 5, 8])).backward()
    optimizer.step()
    assert all(part.isfinite().all() for part in network.parameters())
    assert [name for name, part in network.named_parameters() if torch.equal(part, before[name])] == []


def test_the_published_network_has_the_published_layers():
    """conv 16, 32, pool, 64, pool without padding; 512 hidden (Martinc et al. 2026)."""
    network = DirectionNetwork("published_cnn", channels=1, nuisance=False)
    shapes = [tuple(p.shape) for name, p in network.named_parameters() if name.endswith("weight")]
    assert shapes == [(16, 1, 3, 3), (32, 16, 3, 3), (64, 32, 3, 3), (512, 64 * 14 * 14), (9, 512)]


def test_an_unknown_network_is_named():
    with pytest.raises(ValueError, match="network is 'alexnet'; choose one of cnn"):
        DirectionNetwork("alexnet")


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_learns_all_eight_directions_and_none(name):
    """Features that name the class; the head alone must become right."""
    head = OBJECTIVES[name](N_CLASSES)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
    features = torch.eye(N_CLASSES)
    first = head.loss(head(features), EVERY_LABEL).item()
    for _ in range(200):
        loss = head.loss(head(features), EVERY_LABEL)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < first / 2
    assert head.logits(head(features)).argmax(dim=1).tolist() == EVERY_LABEL.tolist()


def test_a_regressed_vector_wins_in_its_own_direction_and_a_short_one_is_none():
    head = Regression(4)
    vectors = torch.from_numpy(VECTORS_YX.astype(np.float32))
    assert head.logits(vectors).argmax(dim=1).tolist() == list(range(N_DIRECTIONS))
    assert head.logits(0.3 * vectors).argmax(dim=1).tolist() == [N_DIRECTIONS] * N_DIRECTIONS


def test_prototypes_are_compared_by_angle_only():
    head = Prototype(4)
    outputs = torch.randn(5, 128)
    torch.testing.assert_close(head.logits(outputs), head.logits(7 * outputs))


def test_soft_targets_fall_off_around_the_circle_and_leave_none_alone():
    soft = Prototype(4).soft
    torch.testing.assert_close(soft.sum(dim=1), torch.ones(N_CLASSES))
    assert soft[0, 7] == soft[0, 1] > soft[0, 2]
    torch.testing.assert_close(soft[0, 1] / soft[0, 0], torch.tensor(np.exp(-1 / (2 * 1.25**2)), dtype=torch.float32))
    assert soft[0, 8] == 0
    assert soft[8, 8] == 1


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_stored_network_answers_as_before_and_commutes_with_turns(objective):
    architecture = {"backbone": "cnn", "objective": objective, "channels": 2}
    network = DirectionNetwork(**architecture).eval()
    predictor = build(stored(network, "pooled"), {"architecture": {"pooled": architecture}})
    patterns = np.random.default_rng(0).random((3, 64, 64), dtype=np.float32)
    logits = predictor.predict_logits(patterns, pooled=True)
    turned = predictor.predict_logits(np.ascontiguousarray(np.rot90(patterns, axes=(1, 2))), pooled=True)
    np.testing.assert_allclose(np.roll(logits[:, :8], 2, axis=1), turned[:, :8], atol=2e-3)


def test_a_predictor_without_a_network_for_single_patterns_says_nothing_of_them():
    predictor = build(stored(DirectionNetwork("cnn"), "pooled"), {})
    patterns = np.ones((2, 64, 64), np.float32)
    assert not predictor.predict_logits(patterns, pooled=False).any()
    assert predictor.embed(patterns).shape == (2, 12)


def test_short_numbers_are_not_tried_where_the_processor_has_none(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    monkeypatch.setattr("napari_polarmap.models.network._PAYS", {})
    assert short_numbers_pay(DirectionNetwork("cnn")) is False
