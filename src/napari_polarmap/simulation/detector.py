"""From exact patterns to what a camera records: source size, sampling, blur and counting noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_polarmap.simulation.config import SimulationConfig


@dataclass(frozen=True, kw_only=True)
class Camera:
    """One drawn camera; see `DetectorTable` for the meaning of each value."""

    size_px: int
    mrad_per_px: float
    dose_electrons: float
    source_A: float
    blur_px: float
    offset_px: tuple[float, float]
    rotation_deg: float
    gain_noise: float
    dead_fraction: float = 0.0
    hot_fraction: float = 0.0


def draw_camera(config: SimulationConfig, rng: np.random.Generator) -> Camera:
    """Draw a camera from the ranges of the configuration."""
    table = config.detector
    return Camera(
        size_px=table.size_px,
        mrad_per_px=table.mrad_per_px.draw(rng),
        dose_electrons=table.dose_electrons.draw(rng),
        source_A=table.source_A.draw(rng),
        blur_px=table.blur_px.draw(rng),
        offset_px=(table.offset_row_px.draw(rng), table.offset_column_px.draw(rng)),
        rotation_deg=table.rotation_deg.draw(rng),
        gain_noise=table.gain_noise.draw(rng),
        # Nothing is drawn for a camera without such pixels: it records what it always did.
        dead_fraction=table.dead_fraction.draw(rng) if table.dead_fraction.high else 0.0,
        hot_fraction=table.hot_fraction.draw(rng) if table.hot_fraction.high else 0.0,
    )


def record(
    patterns: NDArray[np.floating],
    camera: Camera,
    *,
    mrad_per_px: float,
    step_A: float,
    rng: np.random.Generator,
) -> NDArray[np.number]:
    """Return what the camera records of a scan.

    Parameters
    ----------
    patterns : ndarray, shape (scan_y, scan_x, qy, qx)
        Fractions of the incident electrons; the direct beam lies at ``n / 2``.
    camera : Camera
        `rotation_deg` is the angle by which detector vectors must be turned
        counter-clockwise to reach the frame of the patterns.
    mrad_per_px : float
        Sampling of `patterns`.
    step_A : float
        Distance of neighbouring scan positions.
    rng : numpy Generator
        Counting and gain noise.

    Returns
    -------
    ndarray, shape (scan_y, scan_x, size_px, size_px)
        uint16 counts, or float32 fractions where the dose is zero.
    """
    blurred = patterns.astype(np.float32)
    if camera.source_A > 0:
        blurred = ndimage.gaussian_filter(blurred, (camera.source_A / step_A,) * 2 + (0, 0), mode="nearest")
    ratio = camera.mrad_per_px / mrad_per_px
    c, s = np.cos(np.deg2rad(camera.rotation_deg)), np.sin(np.deg2rad(camera.rotation_deg))
    matrix = ratio * np.array([[c, -s], [s, c]])
    centre = (camera.size_px - 1) / 2 + np.asarray(camera.offset_px)
    origin = np.asarray(patterns.shape[2:]) / 2 - matrix @ centre
    gain = 1 + camera.gain_noise * rng.standard_normal((camera.size_px, camera.size_px))
    out = np.empty((*patterns.shape[:2], camera.size_px, camera.size_px), np.float32)
    for index in np.ndindex(*patterns.shape[:2]):
        # Area-average before sampling coarser than the simulation.
        image = ndimage.uniform_filter(blurred[index], ratio) if ratio >= 2 else blurred[index]
        image = ndimage.affine_transform(image, matrix, origin, out[index].shape, order=1) * ratio**2
        out[index] = ndimage.gaussian_filter(image, camera.blur_px) if camera.blur_px > 0 else image
    if camera.dose_electrons == 0:
        return _with_bad_pixels(out * gain.astype(np.float32), camera, rng)
    counts = rng.poisson(np.maximum(out, 0) * camera.dose_electrons) * gain
    return np.clip(np.round(_with_bad_pixels(counts, camera, rng)), 0, 65535).astype(np.uint16)


def _with_bad_pixels(images: NDArray[Any], camera: Camera, rng: np.random.Generator) -> NDArray[Any]:
    """Set the same pixels dead or hot in every pattern; their number is exact, their places random."""
    numbers = [round(share * camera.size_px**2) for share in (camera.dead_fraction, camera.hot_fraction)]
    if any(numbers):
        hot_value = 10 * images.mean(axis=(0, 1)).max()
        places = rng.permutation(camera.size_px**2)
        flat = images.reshape(*images.shape[:2], -1)
        flat[..., places[: numbers[0]]] = 0
        flat[..., places[numbers[0] : sum(numbers)]] = hot_value
    return images
