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


class Recorder:
    """A drawn camera at work: takes a scan band by band, so that a large one need not fit into memory.

    Parameters
    ----------
    camera : Camera
        `rotation_deg` is the angle by which detector vectors must be turned
        counter-clockwise to reach the frame of the patterns.
    mrad_per_px : float
        Sampling of the patterns.
    step_A : float
        Distance of neighbouring scan positions.
    rng : numpy Generator
        Gain, counting noise and bad pixels; bands must come from top to bottom.
    """

    def __init__(self, camera: Camera, *, mrad_per_px: float, step_A: float, rng: np.random.Generator) -> None:
        self.camera, self._rng = camera, rng
        self._source_px = camera.source_A / step_A
        self._ratio = camera.mrad_per_px / mrad_per_px
        edge = camera.size_px
        self._gain = 1 + camera.gain_noise * rng.standard_normal((edge, edge))
        self._bad: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
        self._hot_value = 0.0

    @property
    def halo(self) -> int:
        """Rows beyond a band that the size of the source mixes into it."""
        return int(4 * self._source_px + 0.5)

    def record(self, patterns: NDArray[np.floating], rows: slice = slice(None)) -> NDArray[np.number]:
        """Return what the camera records of some rows of a scan.

        Parameters
        ----------
        patterns : ndarray, shape (scan_y, scan_x, qy, qx)
            Fractions of the incident electrons, the direct beam at ``n / 2``; `halo`
            rows more on each side than wanted, where the scan has them.
        rows : slice
            Rows of `patterns` that are wanted.

        Returns
        -------
        ndarray, shape (rows, scan_x, size_px, size_px)
            uint16 counts, or float32 fractions where the dose is zero.
        """
        camera, ratio = self.camera, self._ratio
        blurred = patterns.astype(np.float32)
        if camera.source_A > 0:
            blurred = ndimage.gaussian_filter(blurred, (self._source_px,) * 2 + (0, 0), mode="nearest")
        blurred = blurred[rows]
        c, s = np.cos(np.deg2rad(camera.rotation_deg)), np.sin(np.deg2rad(camera.rotation_deg))
        matrix = ratio * np.array([[c, -s], [s, c]])
        centre = (camera.size_px - 1) / 2 + np.asarray(camera.offset_px)
        origin = np.asarray(patterns.shape[2:]) / 2 - matrix @ centre
        out = np.empty((*blurred.shape[:2], camera.size_px, camera.size_px), np.float32)
        for index in np.ndindex(*blurred.shape[:2]):
            # Area-average before sampling coarser than the simulation.
            image = ndimage.uniform_filter(blurred[index], ratio) if ratio >= 2 else blurred[index]
            image = ndimage.affine_transform(image, matrix, origin, out[index].shape, order=1) * ratio**2
            out[index] = ndimage.gaussian_filter(image, camera.blur_px) if camera.blur_px > 0 else image
        if camera.dose_electrons == 0:
            return self._with_bad_pixels(out * self._gain.astype(np.float32))
        counts = self._rng.poisson(np.maximum(out, 0) * camera.dose_electrons) * self._gain
        return np.clip(np.round(self._with_bad_pixels(counts)), 0, 65535).astype(np.uint16)

    def _with_bad_pixels(self, images: NDArray[Any]) -> NDArray[Any]:
        """Set the same pixels dead or hot in every pattern; their number is exact, their places random."""
        if self._bad is None:
            dead, hot = (
                round(share * self.camera.size_px**2) for share in (self.camera.dead_fraction, self.camera.hot_fraction)
            )
            places = self._rng.permutation(self.camera.size_px**2) if dead + hot else np.zeros(0, np.int64)
            self._bad = places[:dead], places[dead : dead + hot]
            self._hot_value = 10 * float(images.mean(axis=(0, 1)).max())
        flat = images.reshape(*images.shape[:2], -1)
        flat[..., self._bad[0]] = 0
        flat[..., self._bad[1]] = self._hot_value
        return images
