"""What a network is trained for: last layer, loss, and how log-odds follow from its outputs.

All three answer with log-odds of the eight directions and of "none" (no polarization).
Classification, regression and prototypes follow Martinc et al., Sci. Rep. 16, 27448 (2026), with
two changes that are stated at the objectives.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from napari_polarmap.core.directions import N_DIRECTIONS, VECTORS_YX

N_CLASSES: Final = N_DIRECTIONS + 1
"""Eight directions and "none"."""

EMBEDDING: Final = 128
SIGMA_CLASSES: Final = 1.25
_SHARPNESS: Final = 6.0
_COSINE_SCALE: Final = 10.0


class Objective(nn.Module):
    """The last layer of a network.

    Parameters
    ----------
    features : int
        What the layers before give.
    """

    n_outputs: int

    def __init__(self, features: int) -> None:
        super().__init__()
        self.last = nn.Linear(features, self.n_outputs)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return outputs, shape (n, `n_outputs`)."""
        out: torch.Tensor = self.last(features)
        return out

    def logits(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return log-odds of the eight directions and of "none", shape (n, 9)."""
        raise NotImplementedError

    def loss(self, outputs: torch.Tensor, label: torch.Tensor, *, smoothing: float = 0.0) -> torch.Tensor:
        """Return the mean loss; `label` is 0 to 7, 8 for "none"."""
        raise NotImplementedError


class Classification(Objective):
    """Log-odds of the nine classes, cross-entropy."""

    n_outputs = N_CLASSES

    def logits(self, outputs: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return outputs

    def loss(self, outputs: torch.Tensor, label: torch.Tensor, *, smoothing: float = 0.0) -> torch.Tensor:  # noqa: D102
        return functional.cross_entropy(outputs, label, label_smoothing=smoothing)


class Regression(Objective):
    """The unit vector ``(y, x)`` of the direction through a tanh, mean square error; zero for "none".

    In use the direction with the largest projection wins, so that all eight can. (The published code
    took the larger of the two components for a class when it scored experiments.)
    """

    n_outputs = 2
    targets: torch.Tensor

    def __init__(self, features: int) -> None:
        super().__init__(features)
        targets = np.vstack([VECTORS_YX, np.zeros(2)]).astype(np.float32)
        self.register_buffer("targets", torch.from_numpy(targets), persistent=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return torch.tanh(self.last(features))

    def logits(self, outputs: torch.Tensor) -> torch.Tensor:  # noqa: D102
        # Half-way between nothing and a full vector the two are alike.
        projection = outputs @ self.targets[:N_DIRECTIONS].T
        return _SHARPNESS * torch.cat([projection, torch.full_like(outputs[:, :1], 0.5)], dim=1)

    def loss(self, outputs: torch.Tensor, label: torch.Tensor, *, smoothing: float = 0.0) -> torch.Tensor:  # noqa: D102
        return functional.mse_loss(outputs, self.targets[label])


class Prototype(Objective):
    """A point in 128 dimensions; the class whose prototype lies nearest by angle.

    Soft circular targets: a Gaussian of 1.25 classes over the circle of directions, Kullback-Leibler
    divergence. The cosine is used in training and in use alike, and the prototypes are learnt with
    the network. (The published code trained with Euclidean distances to the class means of the batch
    and used cosines to the class means of the validation set.)
    """

    n_outputs = EMBEDDING
    soft: torch.Tensor

    def __init__(self, features: int) -> None:
        super().__init__(features)
        self.prototypes = nn.Parameter(torch.randn(N_CLASSES, EMBEDDING) / EMBEDDING**0.5)
        index = np.arange(N_DIRECTIONS)
        turn = np.abs(index[:, None] - index)
        weight = np.zeros((N_CLASSES, N_CLASSES), np.float32)
        weight[:N_DIRECTIONS, :N_DIRECTIONS] = np.exp(
            -(np.minimum(turn, N_DIRECTIONS - turn) ** 2) / (2 * SIGMA_CLASSES**2)
        )
        weight[N_DIRECTIONS, N_DIRECTIONS] = 1
        soft = torch.from_numpy(weight / weight.sum(axis=1, keepdims=True))
        self.register_buffer("soft", soft, persistent=False)

    def logits(self, outputs: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return _COSINE_SCALE * functional.normalize(outputs) @ functional.normalize(self.prototypes).T

    def loss(self, outputs: torch.Tensor, label: torch.Tensor, *, smoothing: float = 0.0) -> torch.Tensor:  # noqa: D102
        return functional.kl_div(self.logits(outputs).log_softmax(dim=1), self.soft[label], reduction="batchmean")


OBJECTIVES: Final[dict[str, type[Objective]]] = {
    "classification": Classification,
    "regression": Regression,
    "prototype": Prototype,
}
