"""The training loop: it learns, stops in time, and goes on after a kill as if nothing had been."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch

from napari_polarmap.core.config import ConfigError
from napari_polarmap.core.directions import VECTORS_YX
from napari_polarmap.models.network import DirectionNetwork
from napari_polarmap.models.objectives import OBJECTIVES
from napari_polarmap.pipeline.fitting import Batch, FitOptions, fit
from napari_polarmap.pipeline.published import PublishedAugmentation, augment_as_published, far_from_middle

EDGE = 16


class Leaning:
    """Patterns that lean along one of eight directions."""

    steps = 3

    def __init__(self, noise: float = 0.1) -> None:
        self.noise = noise

    def draw(self, rng: np.random.Generator) -> Batch:
        label = rng.integers(8, size=16)
        axis = np.linspace(-1, 1, EDGE)
        lean = VECTORS_YX[label]
        patterns = 2 + lean[:, :1, None] * axis[:, None] + lean[:, 1:, None] * axis
        patterns = patterns + self.noise * rng.standard_normal(patterns.shape)
        return Batch(torch.from_numpy(patterns.astype(np.float32)), torch.from_numpy(label))

    def training(self, rng: np.random.Generator):
        return (self.draw(rng) for _ in range(self.steps))

    def validation(self):
        return iter([self.draw(np.random.default_rng(1))])


def network(objective: str = "classification") -> DirectionNetwork:
    torch.manual_seed(0)
    return DirectionNetwork("cnn", objective, channels=1, grid_px=EDGE)


def run(steps) -> dict[str, list[float]]:
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value


OPTIONS = FitOptions(epochs=4, learning_rate=3e-3, schedule="one-cycle", precision="float32", device="cpu", patience=0)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_learns_in_the_same_loop(objective):
    history = run(fit(network(objective), Leaning(), FitOptions(epochs=20, learning_rate=3e-3, device="cpu")))
    assert max(history["validation_accuracy"]) > 0.8
    assert min(history["validation_loss"]) < history["validation_loss"][0]


@pytest.mark.parametrize("seen", [4, 7])
def test_a_run_that_was_killed_ends_as_if_it_had_not_been(tmp_path, seen):
    """After one or two of four epochs, in the middle of the next one."""
    whole, stopped, resumed = network(), network(), network()
    history = run(fit(whole, Leaning(), OPTIONS))
    path = tmp_path / "state"
    list(islice(fit(stopped, Leaning(), OPTIONS, checkpoint=path, key="a"), seen + 2))
    assert run(fit(resumed, Leaning(), OPTIONS, checkpoint=path, key="a", resume=True)) == history
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=0, atol=0)


def test_the_state_of_another_run_is_refused(tmp_path):
    path = tmp_path / "state"
    list(islice(fit(network(), Leaning(), OPTIONS, checkpoint=path, key="a"), 5))
    with pytest.raises(ConfigError, match="another configuration"):
        run(fit(network(), Leaning(), OPTIONS, checkpoint=path, key="b", resume=True))
    path.write_bytes(b"nothing of ours")
    with pytest.raises(ConfigError, match="cannot be read"):
        run(fit(network(), Leaning(), OPTIONS, checkpoint=path, key="a", resume=True))


def test_training_stops_when_the_validation_loss_rests_and_keeps_the_best_epoch():
    class Unlearnable(Leaning):
        def draw(self, rng):
            batch = super().draw(rng)
            return Batch(torch.rand_like(batch.patterns), batch.label)

    history = run(fit(network(), Unlearnable(), FitOptions(epochs=60, learning_rate=0.02, patience=2, device="cpu")))
    losses = history["validation_loss"]
    assert len(losses) < 60
    assert int(np.argmin(losses)) == len(losses) - 3


def test_published_changes_keep_patterns_between_0_and_1_but_for_noise():
    rng = np.random.default_rng(0)
    patterns = torch.rand(20, 64, 64) + 3
    quiet = augment_as_published(patterns, PublishedAugmentation(used=1, noise_share=_never()), rng)
    assert quiet.shape == patterns.shape
    assert quiet.min() >= 0
    assert quiet.max() <= 1
    assert len({round(part.std().item(), 5) for part in quiet.split(8)}) > 1
    again = augment_as_published(
        patterns, PublishedAugmentation(used=1, noise_share=_never()), np.random.default_rng(0)
    )
    torch.testing.assert_close(again, quiet)


def _never():
    return PublishedAugmentation().noise_share.__class__(0.0, 0.0)


def test_the_filter_keeps_patterns_whose_centre_of_mass_is_far_out():
    patterns = np.zeros((4, 9, 9))
    for pattern, column in zip(patterns, (4, 4, 5, 8), strict=True):
        pattern[4, column] = 1
    assert far_from_middle(patterns, np.array([4.0, 4.0])).tolist() == [False, False, False, True]
