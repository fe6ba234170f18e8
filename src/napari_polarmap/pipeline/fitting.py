"""One training loop for every network and objective."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
from torch.nn import functional

from napari_polarmap.core.config import ConfigError
from napari_polarmap.core.directions import N_DIRECTIONS
from napari_polarmap.models.network import DirectionNetwork, short_numbers_pay
from napari_polarmap.pipeline.checkpoint import Checkpoint, named, optimizer_tensors, restore_optimizer

NUISANCE_WEIGHT: Final = 0.3
_WARM: Final = 0.3
_START, _END = 1 / 25, 1e-4

History = dict[str, list[float]]


@dataclass(frozen=True)
class Batch:
    """Patterns (n, edge, edge), labels (n,) from 0 to 8, and tilt and thickness (n, 3) where they are known."""

    patterns: torch.Tensor
    label: torch.Tensor
    nuisance: torch.Tensor | None = None


class Source(Protocol):
    """Where batches come from."""

    @property
    def steps(self) -> int:
        """Batches of one epoch."""
        ...

    def training(self, rng: np.random.Generator) -> Iterator[Batch]:
        """Yield the batches of one epoch in a new order."""
        ...

    def validation(self) -> Iterator[Batch]:
        """Yield what the loss is watched on, the same every time."""
        ...


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """How to train.

    Attributes
    ----------
    epochs : int
    learning_rate, weight_decay : float
    optimizer : {"adamw", "adam"}
    schedule : {"one-cycle", "constant"}
        Of the learning rate: up for three tenths of the steps and down to nearly nothing, or as it is.
    patience : int
        Epochs without a lower validation loss after which to stop; 0 for never.
    smoothing : float
        Of the labels, for classification.
    precision : {"auto", "float32", "bfloat16"}
        auto: bfloat16 where a short trial says that it is faster.
    device : str
        auto: a GPU if there is one.
    seed : int
    """

    epochs: int
    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    optimizer: str = "adamw"
    schedule: str = "constant"
    patience: int = 5
    smoothing: float = 0.0
    precision: str = "auto"
    device: str = "auto"
    seed: int = 0


@dataclass(frozen=True)
class FitProgress:
    """Steps done and to do in all, with the figures of every epoch that is complete."""

    done: int
    total: int
    history: History


@dataclass
class _Run:
    """What changes while training."""

    network: DirectionNetwork
    optimizer: torch.optim.Optimizer
    short: bool
    epoch: int = 0
    history: History = field(default_factory=lambda: {"loss": [], "validation_loss": [], "validation_accuracy": []})
    best: dict[str, torch.Tensor] = field(default_factory=dict)
    best_epoch: int = 0

    def save(self, path: Path, key: str) -> None:
        facts = {"key": key, "epoch": self.epoch, "best_epoch": self.best_epoch, "short": self.short}
        tensors = named("network", self.network.state_dict()) | named("best", self.best)
        tensors |= named("optimizer", optimizer_tensors(self.optimizer))
        Checkpoint(tensors, facts | {"history": self.history}).save(path)

    def load(self, path: Path, key: str) -> None:
        saved = Checkpoint.load(path)
        if saved.facts.get("key") != key:
            raise ConfigError(f"{path}: of a run with another configuration or other data; run without --resume")
        self.network.load_state_dict(saved.part("network"))
        restore_optimizer(self.optimizer, saved.part("optimizer"))
        self.best = saved.part("best")
        for name in ("epoch", "best_epoch", "short", "history"):
            setattr(self, name, saved.facts[name])


def fit(
    network: DirectionNetwork,
    source: Source,
    options: FitOptions,
    *,
    checkpoint: Path | None = None,
    key: str = "",
    resume: bool = False,
) -> Generator[FitProgress, None, History]:
    """Train a network in place, step by step; it ends as it was in the epoch of least validation loss.

    Every epoch draws its random numbers anew from the seed and its own number, so that a run that was
    killed and goes on from its checkpoint ends with the same network as one that was not.

    Parameters
    ----------
    network : DirectionNetwork
    source : Source
    options : FitOptions
    checkpoint : Path, optional
        Where to keep the state after every epoch.
    key : str
        What the run is of; a checkpoint of another key is refused.
    resume : bool
        Go on from the checkpoint, if there is one.

    Yields
    ------
    FitProgress
        After every step.

    Returns
    -------
    dict of str to list of float
        ``loss``, ``validation_loss`` and ``validation_accuracy`` of every epoch.
    """
    device = (
        torch.device("cuda" if torch.cuda.is_available() else "cpu") if options.device == "auto" else options.device
    )
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    maker = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[options.optimizer]
    optimizer = maker(network.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay)
    going_on = resume and checkpoint is not None and checkpoint.exists()
    short = options.precision == "bfloat16"
    if options.precision == "auto" and not going_on:
        short = short_numbers_pay(network, training=True)
    run = _Run(network, optimizer, short)
    if going_on and checkpoint is not None:
        run.load(checkpoint, key)
    total = options.epochs * source.steps
    while run.epoch < options.epochs and not _stalled(run, options):
        torch.manual_seed(options.seed * 100_003 + run.epoch)
        network.train()
        losses = 0.0
        for step, batch in enumerate(source.training(np.random.default_rng([options.seed, run.epoch]))):
            done = run.epoch * source.steps + step
            for group in optimizer.param_groups:
                group["lr"] = options.learning_rate * _rate(done / total, options.schedule)
            loss = _loss(run, batch, options, smoothing=options.smoothing)[0]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses += loss.item()
            yield FitProgress(done + 1, total, run.history)
        _close_epoch(run, source, options, losses / source.steps)
        if checkpoint is not None:
            run.save(checkpoint, key)
        yield FitProgress(run.epoch * source.steps, total, run.history)
    network.load_state_dict(run.best)
    network.to("cpu").eval()
    return run.history


def _stalled(run: _Run, options: FitOptions) -> bool:
    return options.patience > 0 and run.epoch - run.best_epoch >= options.patience and run.epoch > 0


def _close_epoch(run: _Run, source: Source, options: FitOptions, loss: float) -> None:
    run.network.eval()
    right, polarised, losses, count = 0, 0, 0.0, 0
    with torch.inference_mode():
        for batch in source.validation():
            part, logits = _loss(run, batch, options, smoothing=0.0, beside=False)
            label = batch.label.to(logits.device)
            told = label < N_DIRECTIONS
            losses += part.item() * len(label)
            right += int((logits[told, :N_DIRECTIONS].argmax(dim=1) == label[told]).sum())
            polarised += int(told.sum())
            count += len(label)
    run.epoch += 1
    figures = {"loss": loss, "validation_loss": losses / count, "validation_accuracy": right / max(1, polarised)}
    for name, value in figures.items():
        run.history[name].append(round(value, 6))
    if min(run.history["validation_loss"]) == run.history["validation_loss"][-1] or not run.best:
        run.best = {name: tensor.detach().clone() for name, tensor in run.network.state_dict().items()}
        run.best_epoch = run.epoch


def _rate(share: float, schedule: str) -> float:
    """Return the learning rate relative to its peak after a share of all steps."""
    if schedule == "constant":
        return 1.0
    low, place = (_START, 1 - share / _WARM) if share < _WARM else (_END, (share - _WARM) / (1 - _WARM))
    return low + (1 - low) * (1 + math.cos(math.pi * place)) / 2


def _loss(
    run: _Run, batch: Batch, options: FitOptions, *, smoothing: float, beside: bool = True
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the loss of a batch, and its log-odds."""
    network: Any = run.network
    device = next(run.network.parameters()).device
    label = batch.label.to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=run.short):
        outputs, nuisance = network(batch.patterns.to(device))
    outputs = outputs.float()
    loss = network.head.loss(outputs, label, smoothing=smoothing)
    if beside and nuisance is not None and batch.nuisance is not None:
        loss = loss + NUISANCE_WEIGHT * functional.mse_loss(nuisance.float(), batch.nuisance.to(device))
    return loss, network.head.logits(outputs)
