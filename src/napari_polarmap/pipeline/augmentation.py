"""What a microscope does to exact patterns, applied while training; never used on measured data.

Blur, shift, rotation and scale go through `torchvision.transforms.v2`, pattern by pattern, as its
transforms draw once per call and every pattern has numbers of its own here; shift, rotation, scale and
the step to the classifier's grid are one interpolation, as each more would blur. The dose (Poisson
counts) is none of its transforms. Nor are the operations of the square taken from there: they change
the class with the pattern and must be exact, so they are those of `core.symmetry`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from napari_polarmap.core.config import Uniform, number
from napari_polarmap.models.torchvision_import import import_torchvision


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Ranges drawn from for every pattern of every batch.

    Attributes
    ----------
    log10_dose : Uniform
        Electrons counted in the pattern or pooled window, as a power of ten.
    exact_fraction : Uniform
        Share of patterns left without counting noise.
    shift_px, scale, rotation_deg : Uniform
        Errors left by the disk finder, the calibration and the crystal angle.
    blur_px : Uniform
        Detector blur before counting (Gaussian sigma).
    symmetry : Uniform
        Share of patterns put through a random operation of the square.
    """

    log10_dose: Uniform = number((5.0, 7.5), 1.0, 12.0)
    exact_fraction: Uniform = number(0.2, 0.0, 1.0)
    shift_px: Uniform = number((-0.5, 0.5), -10.0, 10.0)
    scale: Uniform = number((0.985, 1.015), 0.5, 2.0)
    rotation_deg: Uniform = number((-2.0, 2.0), -45.0, 45.0)
    blur_px: Uniform = number((0.0, 0.8), 0.0, 10.0)
    symmetry: Uniform = number(1.0, 0.0, 1.0)


def _draw(span: Uniform, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.uniform(span.low, span.high, n)


def to_grid(
    patterns: NDArray[np.floating],
    mrad_per_px: NDArray[np.float64],
    *,
    grid_mrad: float,
    shift_px: NDArray[np.float64] | None = None,
    rotation_deg: NDArray[np.float64] | None = None,
) -> torch.Tensor:
    """Bring simulated patterns, direct beam at ``n / 2``, to the classifier's grid, beam in the middle.

    Parameters
    ----------
    patterns : ndarray, shape (n, edge, edge)
    mrad_per_px : ndarray, shape (n,)
        Sampling of each.
    grid_mrad : float
        Sampling wanted.
    shift_px : ndarray, shape (n, 2), optional
        Error of the centre ``(y, x)``.
    rotation_deg : ndarray, shape (n,), optional

    Returns
    -------
    Tensor, shape (n, edge, edge)
    """
    import_torchvision()
    from torchvision.transforms.v2 import InterpolationMode, functional

    n = len(patterns)
    scale = grid_mrad / mrad_per_px
    angle_deg = np.zeros(n) if rotation_deg is None else rotation_deg
    # torchvision moves the picture, we say where each pixel is read: the other way, and in its scale.
    x, y = (0.5 + (np.zeros((n, 2)) if shift_px is None else shift_px))[:, ::-1].T / scale
    cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    moved_px = -np.column_stack([cos * x - sin * y, sin * x + cos * y])
    images = torch.from_numpy(np.ascontiguousarray(patterns, np.float32))[:, None]
    numbers = zip(angle_deg.tolist(), moved_px.tolist(), (1 / scale).tolist(), strict=True)
    placed = [
        functional.affine(image, angle, move, size, shear=[0.0, 0.0], interpolation=InterpolationMode.BILINEAR)
        for image, (angle, move, size) in zip(images, numbers, strict=True)
    ]
    return torch.cat(placed) if placed else images[:, 0]


def draw_electrons(options: Augmentation, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the incident electrons of `n` patterns, infinite for those left without counting noise."""
    dose = 10 ** _draw(options.log10_dose, n, rng)
    return np.where(rng.random(n) < options.exact_fraction.low, np.inf, dose)


def augment(
    patterns: NDArray[np.floating],
    mrad_per_px: NDArray[np.float64],
    options: Augmentation,
    *,
    grid_mrad: float,
    intensity_scale: float,
    rng: np.random.Generator,
    electrons: NDArray[np.float64] | None = None,
) -> torch.Tensor:
    """Blur, count, and bring to the grid with small errors; see `to_grid`.

    `intensity_scale` is what the patterns were multiplied by after being fractions of
    the incident electrons. `electrons` are those incident for each pattern, infinite for
    exact intensities; drawn from the options without.
    """
    n = len(patterns)
    fraction = torch.from_numpy(patterns.astype(np.float32) / intensity_scale)
    fraction = _blur(fraction, _draw(options.blur_px, n, rng))
    drawn = draw_electrons(options, n, rng) if electrons is None else electrons
    exact = torch.from_numpy(np.isinf(drawn))[:, None, None]
    dose = torch.from_numpy(np.where(np.isinf(drawn), 1.0, drawn)).float()[:, None, None]
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    counted = torch.poisson(fraction.clamp_min(0) * dose, generator=generator) / dose
    return to_grid(
        torch.where(exact, fraction, counted).numpy(),
        mrad_per_px * _draw(options.scale, n, rng),
        grid_mrad=grid_mrad,
        shift_px=rng.uniform(options.shift_px.low, options.shift_px.high, (n, 2)),
        rotation_deg=_draw(options.rotation_deg, n, rng),
    )


def blur(images: NDArray[np.floating], sigma_px: NDArray[np.float64]) -> NDArray[np.float32]:
    """Blur each image by a Gaussian with a width of its own [px]."""
    return np.asarray(_blur(torch.from_numpy(np.ascontiguousarray(images, np.float32)), sigma_px).numpy())


def _blur(images: torch.Tensor, sigma_px: NDArray[np.float64]) -> torch.Tensor:
    """Gaussian blur with a width of its own for each image; one axis after the other is many times faster."""
    import_torchvision()
    from torchvision.transforms.v2.functional import gaussian_blur

    out = []
    for exact, sigma in zip(images[:, None], np.maximum(sigma_px, 1e-3).tolist(), strict=True):
        edge = 2 * max(1, math.ceil(3 * sigma)) + 1
        image = exact
        for size in ([edge, 1], [1, edge]):
            image = gaussian_blur(image, size, [sigma, sigma])
        out.append(image)
    return torch.cat(out) if out else images
