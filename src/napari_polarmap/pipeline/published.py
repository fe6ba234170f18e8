"""What Martinc et al., Sci. Rep. 16, 27448 (2026), did to their training patterns.

Blur, brightness, contrast and noise follow the published ranges, through `torchvision.transforms.v2`.
They are applied to patterns scaled from 0 to 1. The published code leaves the strength of the noise
to its library's default; here it is torchvision's, 0.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from napari_polarmap.core.config import Uniform, number, whole
from napari_polarmap.core.survey import center_of_mass
from napari_polarmap.models.features import least_to_most
from napari_polarmap.models.torchvision_import import import_torchvision


@dataclass(frozen=True, kw_only=True)
class PublishedAugmentation:
    """Ranges and probabilities, as published; `used` switches them on.

    Attributes
    ----------
    used : {0, 1}
    blur_px : Uniform
        Gaussian sigma.
    brightness, contrast : Uniform
        Greatest relative change.
    noise : Uniform
        Standard deviation.
    blur_share, jitter_share, noise_share : Uniform
        Share of patterns that are blurred, changed in brightness and contrast, made noisy.
    """

    used: int = whole(0, 0, 1)
    blur_px: Uniform = number((2.0, 5.0), 0.01, 20.0)
    brightness: Uniform = number(0.15, 0.0, 1.0)
    contrast: Uniform = number(0.15, 0.0, 1.0)
    noise: Uniform = number(0.1, 0.0, 1.0)
    blur_share: Uniform = number(0.5, 0.0, 1.0)
    jitter_share: Uniform = number(0.3, 0.0, 1.0)
    noise_share: Uniform = number(0.2, 0.0, 1.0)


def augment_as_published(
    patterns: torch.Tensor, options: PublishedAugmentation, rng: np.random.Generator
) -> torch.Tensor:
    """Return patterns, shape (n, edge, edge), scaled from 0 to 1 and changed at random, each by itself."""
    import_torchvision()
    from torchvision.transforms import v2

    kernel = 2 * int(np.ceil(3 * options.blur_px.high)) + 1

    def blur(images: torch.Tensor) -> torch.Tensor:
        # One axis after the other: the same blur, many times faster than in both at once.
        sigma = float(torch.empty(()).uniform_(options.blur_px.low, options.blur_px.high))
        for size in ([kernel, 1], [1, kernel]):
            images = v2.functional.gaussian_blur(images, size, [sigma, sigma])
        return images

    change = v2.Compose(
        [
            v2.RandomApply([v2.Lambda(blur)], options.blur_share.low),
            v2.RandomApply([v2.ColorJitter(options.brightness.low, options.contrast.low)], options.jitter_share.low),
            v2.RandomApply([v2.GaussianNoise(sigma=options.noise.low)], options.noise_share.low),
        ]
    )
    scaled = least_to_most(patterns)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**62)))
        # torchvision draws once per call.
        parts = [change(part) for part in scaled.split(1)]
    return torch.cat(parts)[:, 0]


def far_from_middle(
    patterns: NDArray[np.floating], middle_px: NDArray[np.float64], *, chunk: int = 4096
) -> NDArray[np.bool_]:
    """Tell which patterns have a centre of mass farther from the middle than the mean distance.

    Parameters
    ----------
    patterns : ndarray, shape (n, edge, edge)
    middle_px : ndarray, shape (2,) or (n, 2)
        ``(y, x)`` of the mean centre of mass of the scan, or of the scan of each pattern.
    chunk : int
        Patterns treated at once.
    """
    parts = [
        center_of_mass(np.maximum(patterns[first : first + chunk].astype(np.float32), 0))
        for first in range(0, len(patterns), chunk)
    ]
    distance_px = np.hypot(*(np.concatenate(parts) - middle_px).T)
    return np.asarray(distance_px > np.nanmean(distance_px))
