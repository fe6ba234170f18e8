"""The networks before their last layers: patterns as channels in, features out.

`published` is the network of Martinc et al., Sci. Rep. 16, 27448 (2026), as its code has it; ResNet
(He et al., CVPR 2016) and VGG (Simonyan and Zisserman, ICLR 2015) come from torchvision.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final

from torch import nn

from napari_polarmap.models.torchvision_import import import_torchvision

Parts = tuple[nn.Sequential, nn.Sequential, int]
"""Convolutions, dense layers, and how many features these give."""

PROJECTION: Final = 256
"""Width that the features of ResNet and VGG are brought to, as published."""

DENSE: Final = 512
"""Width of the last layer before the head, as published."""


def small(channels: int, edge_px: int, *, width: int = 32, hidden: int = 256, dropout: float = 0.2) -> Parts:
    """Three convolution steps that keep the place in the disk, then one dense layer.

    Four neighbouring pixels become channels: the interference fringes are several pixels
    wide, and the network is four times faster.
    """
    steps: list[nn.Module] = [nn.PixelUnshuffle(2)]
    sizes = (4 * channels, width, 2 * width, 3 * width)
    for index, (before, after) in enumerate(pairwise(sizes)):
        steps += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        if index < 2:
            steps += [nn.MaxPool2d(2)]
    dense = nn.Sequential(
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(sizes[-1] * (edge_px // 8) ** 2, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
    )
    return nn.Sequential(*steps), dense, hidden


def published(channels: int, edge_px: int) -> Parts:
    """The published network: convolutions of 16, 32, pool, 64, pool without padding, 512 hidden."""
    steps = nn.Sequential(
        nn.Conv2d(channels, 16, 3),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )
    left = ((edge_px - 4) // 2 - 2) // 2
    return steps, nn.Sequential(nn.Flatten(), nn.Linear(64 * left**2, DENSE), nn.ReLU()), DENSE


def residual(channels: int, _edge_px: int, *, depth: int, keep_px: int = 1, dropout: float = 0.0) -> Parts:
    """ResNet of torchvision, its entrance widened or narrowed to `channels`."""
    models = import_torchvision().models
    whole = {18: models.resnet18, 50: models.resnet50}[depth](weights=None)
    whole.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
    steps = nn.Sequential(*list(whole.children())[:-2])
    return steps, _projection(whole.fc.in_features, keep_px, dropout), DENSE


def plain(
    channels: int, _edge_px: int, *, depth: int, batch_norm: bool = True, keep_px: int = 1, dropout: float = 0.0
) -> Parts:
    """VGG of torchvision, its entrance changed to `channels`; without its three dense layers, as published."""
    models = import_torchvision().models
    makers = {
        (11, False): models.vgg11,
        (11, True): models.vgg11_bn,
        (16, False): models.vgg16,
        (16, True): models.vgg16_bn,
    }
    # Its dense layers, 120 million numbers, are thrown away; an empty model is made without filling them.
    whole = makers[depth, batch_norm](weights=None, init_weights=False)
    steps = whole.features
    for layer in steps.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    steps[0] = nn.Conv2d(channels, 64, 3, padding=1)
    return steps, _projection(512, keep_px, dropout), DENSE


def _projection(features: int, keep_px: int, dropout: float) -> nn.Sequential:
    """Mean over the picture, or over `keep_px` x `keep_px` parts of it, then two dense layers."""
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(keep_px),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(features * keep_px**2, PROJECTION),
        nn.BatchNorm1d(PROJECTION),
        nn.ReLU(),
        nn.Linear(PROJECTION, DENSE),
        nn.ReLU(),
    )


BACKBONES: Final[dict[str, tuple[Callable[..., Parts], dict[str, Any]]]] = {
    "cnn": (small, {}),
    "published_cnn": (published, {}),
    "resnet18": (residual, {"depth": 18}),
    "resnet50": (residual, {"depth": 50}),
    "vgg11": (plain, {"depth": 11}),
    "vgg16": (plain, {"depth": 16}),
}
"""How to build each network: ``builder(channels, edge_px, **options)``."""


def build_backbone(name: str, channels: int, edge_px: int, **options: Any) -> Parts:
    """Return convolutions, dense layers and the number of features of a network.

    Raises
    ------
    ValueError
        If there is no network of this name.
    """
    if name not in BACKBONES:
        raise ValueError(f"network is {name!r}; choose one of {', '.join(BACKBONES)}")
    builder, fixed = BACKBONES[name]
    return builder(channels, edge_px, **fixed, **options)
