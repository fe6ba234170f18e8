"""Trained networks answered by OpenVINO, where it is installed: the same answers, sooner."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

import torch
from torch import nn

from napari_polarmap.models.network import Answer, DirectionNetwork


class OpenVINONetwork:
    """The layers of a network behind its entrance, compiled for this processor.

    Parameters
    ----------
    network : DirectionNetwork

    Raises
    ------
    ImportError
        If OpenVINO is not installed.
    """

    def __init__(self, network: DirectionNetwork) -> None:
        # Its converter tells its makers of every import and conversion, unless this package of its own is missing.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        import openvino

        self.head, self.entrance = network.head, network.entrance
        example = network.entrance(torch.ones(2, network.grid_px, network.grid_px))
        graph = openvino.convert_model(_Layers(network).eval(), example_input=example)
        # One thread for each request; those who call from several threads get a request each.
        options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}
        self._compile: Callable[[], openvino.CompiledModel] = lambda: openvino.Core().compile_model(
            graph, "CPU", options
        )
        self._mine = threading.local()

    def __call__(self, patterns: torch.Tensor) -> Answer:
        """Return what `DirectionNetwork.forward` does."""
        if not hasattr(self._mine, "request"):
            self._mine.request = self._compile().create_infer_request()
        found = self._mine.request.infer([self.entrance(patterns).contiguous().numpy()])
        outputs = [torch.from_numpy(found[index].copy()) for index in range(len(found))]
        return outputs[0], outputs[1] if len(outputs) > 1 else None


class _Layers(nn.Module):
    """Everything behind the entrance, as OpenVINO takes it: no output is None."""

    def __init__(self, network: DirectionNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, seen: torch.Tensor) -> tuple[torch.Tensor, ...]:
        features = self.network.dense(self.network.steps(seen))
        head = self.network.head(features)
        return (head,) if self.network.beside is None else (head, self.network.beside(features))
