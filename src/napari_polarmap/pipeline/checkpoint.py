"""The state of a training run in one safetensors file, whole or not there at all."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from napari_polarmap.core.config import ConfigError
from napari_polarmap.core.whole_file import whole_file

FORMAT: Final = "napari-polarmap training run"


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, and numbers and texts beside them.

    Attributes
    ----------
    tensors : dict of str to Tensor
    facts : dict
        JSON.
    """

    tensors: dict[str, torch.Tensor]
    facts: dict[str, Any]

    def save(self, path: Path) -> None:
        """Write under a temporary name, then rename."""
        tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in self.tensors.items()}
        with whole_file(path) as partial:
            save_file(tensors, partial, metadata={"format": FORMAT, "facts": json.dumps(self.facts)})

    @staticmethod
    def load(path: Path) -> Checkpoint:
        """Read a checkpoint.

        Raises
        ------
        ConfigError
            If the file is no checkpoint.
        """
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != FORMAT:
                    raise ConfigError(f"{path}: not the state of a training run; remove it, or name another --out")
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
            return Checkpoint(tensors, json.loads(metadata["facts"]))
        except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
            raise ConfigError(f"{path}: the state of the training run cannot be read ({error})") from None

    def part(self, name: str) -> dict[str, torch.Tensor]:
        """Return the tensors below a name."""
        return {key.removeprefix(f"{name}."): t for key, t in self.tensors.items() if key.startswith(f"{name}.")}


def named(name: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Put tensors below a name."""
    return {f"{name}.{key}": tensor for key, tensor in tensors.items()}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Return what an optimizer remembers, as tensors by name."""
    memory = optimizer.state_dict()["state"]
    return {f"{index}.{key}": torch.as_tensor(value) for index, part in memory.items() for key, value in part.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    """Give an optimizer back what `optimizer_tensors` returned."""
    memory: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        memory.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": memory})
