"""The small convolutional network, for single patterns and for averages over unit cells."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_polarmap.core.directions import N_DIRECTIONS
from napari_polarmap.core.symmetry import OPERATIONS
from napari_polarmap.models.features import even_and_odd

N_OUTPUTS: Final = N_DIRECTIONS + 1
"""Eight directions and "none"."""

N_NUISANCE: Final = 3
"""Tilt (row, column) [mrad] and thickness, learnt beside the direction and not used in the map."""

_ALIKE: Final = 0.01


class PolarizationCNN(nn.Module):
    """Three convolution steps that keep the place in the disk, then two dense layers.

    Parameters
    ----------
    width : int
        Channels of the first step.
    hidden : int
        Width of the dense layer.
    grid_px : int
        Edge of the patterns.
    dropout : float
        Share of values left out while training.
    """

    def __init__(self, width: int = 32, hidden: int = 256, grid_px: int = 64, dropout: float = 0.2) -> None:
        super().__init__()
        self.grid_px = grid_px
        # Four neighbouring pixels become channels: the interference fringes are
        # several pixels wide, and the network is four times faster.
        steps: list[nn.Module] = [nn.PixelUnshuffle(2)]
        channels = (8, width, 2 * width, 3 * width)
        for index, (before, after) in enumerate(pairwise(channels)):
            steps += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
            if index < 2:
                steps += [nn.MaxPool2d(2)]
        self.steps = nn.Sequential(*steps)
        self.dense = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(channels[-1] * (grid_px // 8) ** 2, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.head = nn.Linear(hidden, N_OUTPUTS + N_NUISANCE)

    def forward(self, patterns: torch.Tensor) -> torch.Tensor:
        """Return 9 log-odds and 3 nuisance values for patterns of shape (n, grid_px, grid_px)."""
        seen = even_and_odd(patterns).to(next(self.steps.parameters()).dtype)
        out: torch.Tensor = self.head(self.dense(self.steps(seen).float()))
        return out


def quickened(network: PolarizationCNN) -> PolarizationCNN:
    """Return the network as it answers quickest on this processor.

    Its convolutions run in bfloat16 on processors with instructions for it, two to three times as
    fast, where the probabilities of a few patterns stay within 0.01.
    """
    network = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    abilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    if not abilities.get("avx512_bf16"):
        return network
    short = copy.deepcopy(network)
    short.steps.bfloat16()
    y, x = np.mgrid[: network.grid_px, : network.grid_px] - (network.grid_px - 1) / 2
    disk = (np.hypot(y, x) < network.grid_px / 3) * np.random.default_rng(0).uniform(0.95, 1.05, (8, *y.shape))
    patterns = torch.from_numpy(disk.astype(np.float32))
    with torch.inference_mode():
        exact, other = (candidate(patterns)[:, :N_OUTPUTS].softmax(1) for candidate in (network, short))
    return short if float((exact - other).abs().max()) < _ALIKE else network


class CNNPredictor:
    """The trained network; averages its log-odds over the eight operations of the square.

    The average makes the answer commute with rotations and mirrors exactly, and is
    more often right than a single look.
    """

    def __init__(self, networks: dict[bool, PolarizationCNN], temperature: dict[bool, float]) -> None:
        self.networks = networks
        self.temperature = temperature

    def predict_logits(self, patterns: NDArray[np.float32], *, pooled: bool, batch: int = 256) -> NDArray[np.float32]:
        """Return calibrated log-odds of the eight directions and of "none", shape (n, 9)."""
        network = self.networks[pooled]
        # Single patterns come by the thousand: one look each, as they are weak evidence anyway.
        operations = OPERATIONS if pooled else OPERATIONS[:1]
        out = np.zeros((len(patterns), N_OUTPUTS), np.float32)
        with torch.inference_mode():
            for first in range(0, len(patterns), batch):
                part = patterns[first : first + batch]
                for operation in operations:
                    turned = torch.from_numpy(np.ascontiguousarray(operation.images(part)))
                    logits = network(turned)[:, :N_OUTPUTS].numpy()
                    where = operation.classes(np.arange(N_DIRECTIONS))
                    out[first : first + batch, :N_DIRECTIONS] += logits[:, where] / len(operations)
                    out[first : first + batch, N_DIRECTIONS] += logits[:, N_DIRECTIONS] / len(operations)
        return out / np.float32(self.temperature[pooled])

    def embed(self, patterns: NDArray[np.float32], *, batch: int = 512) -> NDArray[np.float32]:
        """Return the outputs of the network for cell averages, direction, tilt and thickness, shape (n, 12)."""
        network = self.networks[True]
        with torch.inference_mode():
            parts = [network(torch.from_numpy(patterns[i : i + batch])).numpy() for i in range(0, len(patterns), batch)]
        return np.concatenate(parts) if parts else np.zeros((0, N_OUTPUTS + N_NUISANCE), np.float32)


def build(arrays: dict[str, NDArray[Any]], options: dict[str, Any]) -> CNNPredictor:
    """Build the predictor from arrays named ``single.*`` and ``pooled.*``."""
    networks = {}
    for pooled, prefix in ((False, "single."), (True, "pooled.")):
        network = PolarizationCNN(**options.get("architecture", {}))
        state = {
            key.removeprefix(prefix): torch.from_numpy(array.astype(np.float32) if array.dtype.kind == "f" else array)
            for key, array in arrays.items()
            if key.startswith(prefix)
        }
        network.load_state_dict(state)
        networks[pooled] = quickened(network)
    temperature = options.get("temperature", {})
    return CNNPredictor(
        networks, {False: float(temperature.get("single", 1)), True: float(temperature.get("pooled", 1))}
    )
