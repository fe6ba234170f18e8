"""A convolutional network that tells directions, and the classifier made of trained ones."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from napari_polarmap.core.directions import N_DIRECTIONS
from napari_polarmap.core.symmetry import OPERATIONS
from napari_polarmap.models.backbones import build_backbone
from napari_polarmap.models.features import even_and_odd, least_to_most
from napari_polarmap.models.objectives import N_CLASSES, OBJECTIVES

N_NUISANCE: Final = 3
"""Tilt (row, column) [mrad] and thickness, learnt beside the direction and not used in the map."""

_ALIKE: Final = 1e-4
_PAYS: Final[dict[str, bool]] = {}

Answer = tuple[torch.Tensor, torch.Tensor | None]
"""Outputs of the head, and of tilt and thickness where they are learnt."""


class DirectionNetwork(nn.Module):
    """A backbone with the head of an objective and, beside it, outputs for tilt and thickness.

    Parameters
    ----------
    backbone : str
        Key of `BACKBONES`.
    objective : str
        Key of `OBJECTIVES`.
    channels : {1, 2}
        1: the pattern from its least to its greatest intensity, as published; 2: its even and its odd
        part, which averages over cells need.
    binning : int
        Pixels along an edge that are averaged at the entrance.
    nuisance : bool
        Learn tilt and thickness too.
    grid_px : int
        Edge of the patterns.
    **options
        Of the backbone.
    """

    def __init__(
        self,
        backbone: str = "cnn",
        objective: str = "classification",
        channels: int = 2,
        binning: int = 1,
        nuisance: bool = True,
        grid_px: int = 64,
        **options: Any,
    ) -> None:
        super().__init__()
        self.channels, self.binning, self.grid_px = channels, binning, grid_px
        self.steps, self.dense, features = build_backbone(backbone, channels, grid_px // binning, **options)
        self.head = OBJECTIVES[objective](features)
        self.beside = nn.Linear(features, N_NUISANCE) if nuisance else None

    def entrance(self, patterns: torch.Tensor) -> torch.Tensor:
        """Return what the convolutions see of patterns of shape (n, grid_px, grid_px)."""
        seen = even_and_odd(patterns) if self.channels == 2 else least_to_most(patterns)
        return functional.avg_pool2d(seen, self.binning) if self.binning > 1 else seen

    def forward(self, patterns: torch.Tensor) -> Answer:
        """Return the outputs of the head, and of tilt and thickness, for patterns (n, grid_px, grid_px)."""
        seen = self.entrance(patterns).to(next(self.steps.parameters()).dtype)
        features = self.dense(self.steps(seen.contiguous(memory_format=torch.channels_last)).float())
        return self.head(features), None if self.beside is None else self.beside(features)


def has_bfloat16() -> bool:
    """Tell whether this processor has instructions for bfloat16, without which it is several times slower with it."""
    abilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(abilities.get("avx512_bf16"))


def short_numbers_pay(network: DirectionNetwork, *, training: bool = False, patterns: int = 16) -> bool:
    """Tell whether bfloat16 is faster than float32 here, by trying both on a few patterns.

    Networks of one kind are tried once, so that all of a program answer alike.
    """
    kind = f"{next(network.parameters()).device} {training} {network.grid_px // network.binning} {network.steps}"
    if kind not in _PAYS:
        _PAYS[kind] = _pay(network, training, patterns)
    return _PAYS[kind]


def _pay(network: DirectionNetwork, training: bool, patterns: int) -> bool:
    device = next(network.parameters()).device
    if device.type == "cpu" and not has_bfloat16():
        return False
    trial = copy.deepcopy(network).train(training)
    seen = torch.rand(patterns, network.grid_px, network.grid_px, device=device) + 1

    def seconds(short: bool) -> float:
        took = []
        for _ in range(3):
            start = time.process_time() if device.type == "cpu" else time.perf_counter()
            with torch.set_grad_enabled(training), torch.autocast(device.type, torch.bfloat16, enabled=short):
                outputs = trial(seen)[0]
                if training:
                    outputs.float().square().mean().backward()
                outputs.float().sum().item()
            took.append((time.process_time() if device.type == "cpu" else time.perf_counter()) - start)
        return min(took[1:])

    return seconds(True) < 0.9 * seconds(False)


_PATTERNS: Final = 64
"""Answered at once: intermediate arrays then fit into the cache, and the C library keeps their memory."""
_DEEP: Final = 5 * 10**6
"""Weights of a deep network."""


class Answering(Protocol):
    """A network, or whatever answers in its place."""

    head: Any

    def __call__(self, patterns: torch.Tensor) -> Answer:
        """Return what `DirectionNetwork.forward` does."""
        ...


def quickened(network: DirectionNetwork) -> Answering:
    """Return the network as it answers quickest on this processor, in float32.

    By OpenVINO where that is installed and gives the same probabilities for a few patterns, else by PyTorch. Shorter
    numbers would be quicker still on some processors, but then probabilities change by a thousandth where the last
    digit of a pattern does. What is chosen depends on what is installed, never on a measured time, so that maps repeat.
    """
    network = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if not find_spec("openvino"):
        return network
    from napari_polarmap.models.openvino_network import OpenVINONetwork

    y, x = np.mgrid[: network.grid_px, : network.grid_px] - (network.grid_px - 1) / 2
    disk = (np.hypot(y, x) < network.grid_px / 3) * np.random.default_rng(0).uniform(0.95, 1.05, (8, *y.shape))
    patterns = torch.from_numpy(disk.astype(np.float32))
    other = OpenVINONetwork(network)
    with torch.inference_mode():
        one, two = (way.head.logits(way(patterns)[0]).softmax(1) for way in (network, other))
    return other if float((one - two).abs().max()) < _ALIKE else network


class NetworkPredictor:
    """Trained networks; averages their log-odds over the eight operations of the square.

    The average makes the answer commute with rotations and mirrors exactly, and is
    more often right than a single look. A predictor without a network for single patterns
    (or for averages) says nothing of these.
    """

    def __init__(self, networks: Mapping[bool, Answering], temperature: dict[bool, float]) -> None:
        self.networks = networks
        self.temperature = temperature
        numbers = sum(p.numel() for n in networks.values() if isinstance(n, nn.Module) for p in n.parameters())
        self.batch = 64 if numbers > _DEEP else 128  # with slow networks work moves on, and is shared, in smaller steps

    def predict_logits(
        self,
        patterns: NDArray[np.float32],
        *,
        pooled: bool,
        electrons: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float32]:
        """Return log-odds of the eight directions and of "none", shape (n, 9)."""
        out = np.zeros((len(patterns), N_CLASSES), np.float32)
        network = self.networks.get(pooled)
        if network is None:
            return out
        # Single patterns come by the thousand: one look each, as they are weak evidence anyway.
        operations = OPERATIONS if pooled else OPERATIONS[:1]
        with torch.inference_mode():
            for first in range(0, len(patterns), _PATTERNS):
                some = slice(first, first + _PATTERNS)
                part = patterns[some]
                for operation in operations:
                    turned = torch.from_numpy(np.ascontiguousarray(operation.images(part)))
                    logits = network.head.logits(network(turned)[0]).numpy()
                    where = operation.classes(np.arange(N_DIRECTIONS))
                    out[some, :N_DIRECTIONS] += logits[:, where] / len(operations)
                    out[some, N_DIRECTIONS] += logits[:, N_DIRECTIONS] / len(operations)
        return out / np.float32(self.temperature[pooled])

    def embed(self, patterns: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return all outputs of the network, for cell averages if there is one, shape (n, outputs)."""
        network = self.networks[True] if True in self.networks else self.networks[False]
        with torch.inference_mode():
            parts = []
            for first in range(0, max(1, len(patterns)), _PATTERNS):
                outputs = network(torch.from_numpy(patterns[first : first + _PATTERNS]))
                parts.append(np.concatenate([part.numpy() for part in outputs if part is not None], axis=1))
        return np.concatenate(parts)


def _state(arrays: dict[str, NDArray[Any]], prefix: str) -> dict[str, torch.Tensor]:
    """Return the numbers of one network; older files hold head and nuisances in one layer."""
    state = {
        key.removeprefix(prefix): torch.from_numpy(array.astype(np.float32) if array.dtype.kind == "f" else array)
        for key, array in arrays.items()
        if key.startswith(prefix)
    }
    if "head.weight" in state:
        for kind in ("weight", "bias"):
            joined = state.pop(f"head.{kind}")
            state |= {f"head.last.{kind}": joined[:N_CLASSES], f"beside.{kind}": joined[N_CLASSES:]}
    return state


def build(arrays: dict[str, NDArray[Any]], options: dict[str, Any]) -> NetworkPredictor:
    """Build the predictor from arrays named ``single.*`` and ``pooled.*``; one of the two may be missing."""
    networks, temperature = {}, {}
    for pooled, name in ((False, "single"), (True, "pooled")):
        state = _state(arrays, f"{name}.")
        if not state:
            continue
        architecture = options.get("architecture", {})
        network = DirectionNetwork(**architecture.get(name, architecture))
        network.load_state_dict(state)
        networks[pooled] = quickened(network)
        temperature[pooled] = float(options.get("temperature", {}).get(name, 1))
    if not networks:
        raise ValueError("there are neither arrays single.* nor pooled.*")
    return NetworkPredictor(networks, temperature)


def stored(network: nn.Module, name: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of a network under a name, weights in half precision."""
    arrays: dict[str, NDArray[Any]] = {}
    for key, value in network.state_dict().items():
        array = value.detach().cpu().numpy()
        halved = array.dtype == np.float32 and array.ndim > 1
        arrays[f"{name}.{key}"] = array.astype(np.float16) if halved else array
    return arrays
