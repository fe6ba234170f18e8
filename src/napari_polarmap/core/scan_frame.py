"""Vectors of the detector in the frame of the scan, and the scan's lattice as the detector sees it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_polarmap.core.calibration import Calibration
from napari_polarmap.core.lattice import Lattice


def detector_to_scan(calibration: Calibration) -> NDArray[np.float64]:
    """Return the matrix that takes a detector vector ``(y, x)`` to the frame of the scan image.

    Distortion is taken away, then rows are mirrored (if `flip`), then all is turned counter-clockwise.

    Examples
    --------
    >>> (detector_to_scan(Calibration(rotation_deg=90)) @ [0, 1]).round(6).tolist()
    [-1.0, 0.0]
    """
    angle = np.deg2rad(calibration.rotation_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    mirror = np.diag([-1.0 if calibration.flip else 1.0, 1.0])
    return np.asarray(turn @ mirror @ np.linalg.inv(calibration.distortion), dtype=np.float64)


def com_shift(
    com_px: NDArray[np.floating], centers_px: NDArray[np.floating], calibration: Calibration, mrad_per_px: float
) -> NDArray[np.float64]:
    """Return how far the beam is deflected at every position, in mrad and in the frame of the scan.

    Parameters
    ----------
    com_px, centers_px : ndarray, shape (scan_y, scan_x, 2)
        Centre of mass and centre of the disk without specimen, ``(y, x)`` in detector pixels.
    calibration : Calibration
    mrad_per_px : float

    Returns
    -------
    shift_mrad : ndarray of float64, shape (scan_y, scan_x, 2)
        NaN where there are no counts.
    """
    return np.asarray(mrad_per_px * (com_px - centers_px) @ detector_to_scan(calibration).T, dtype=np.float64)


def smoothed(vectors: NDArray[np.floating], width: float) -> NDArray[np.float64]:
    """Return the Gaussian mean of vectors, shape (scan_y, scan_x, 2), over about `width` positions; NaN do not count.

    A width of one unit cell takes away what repeats with the cell to 3 in a thousand.
    """
    values = np.asarray(vectors, dtype=np.float64)
    if width <= 0:
        return values
    sigma = (0.55 * width, 0.55 * width, 0)
    known = np.isfinite(values)
    weight = ndimage.gaussian_filter(known.astype(np.float64), sigma)
    total = ndimage.gaussian_filter(np.where(known, values, 0), sigma)
    return np.asarray(np.where(weight > 1e-6, total / np.maximum(weight, 1e-6), np.nan), dtype=np.float64)


def wavelength_A(voltage_kV: float) -> float:
    """Return the relativistic wavelength of electrons in angstrom.

    Examples
    --------
    >>> round(wavelength_A(200), 5)
    0.02508
    """
    volts = 1e3 * voltage_kV
    return 12.2642596 / math.sqrt(volts * (1 + 0.978475598e-6 * volts))


def diffraction_lattice_px(
    lattice: Lattice, calibration: Calibration, mrad_per_px: float, *, reach: int = 3
) -> NDArray[np.float64]:
    """Return where the disks of a crystal lie on the detector, from the direct beam [px].

    Parameters
    ----------
    lattice : Lattice
        Of the scan.
    calibration : Calibration
        With `voltage_kV` and `scan_step_A`.
    mrad_per_px : float
    reach : int
        Orders up to this one along both vectors.

    Returns
    -------
    disks_px : ndarray of float64, shape ((2 reach + 1)^2, 2)
        ``(y, x)``.

    Raises
    ------
    ValueError
        With one sentence, if lattice, voltage or scan step is not known.
    """
    missing = [
        what
        for what, known in (
            ("unit cell", lattice.known),
            ("voltage", calibration.voltage_kV),
            ("scan step", calibration.scan_step_A),
        )
        if not known
    ]
    if missing or calibration.voltage_kV is None or calibration.scan_step_A is None:
        raise ValueError(f"the disks of the crystal are not known without its {' and '.join(missing)}")
    cell_A = lattice.vectors_px * calibration.scan_step_A
    reciprocal = np.linalg.inv(cell_A).T * (1e3 * wavelength_A(calibration.voltage_kV))
    orders = np.stack(np.meshgrid(*2 * [np.arange(-reach, reach + 1)], indexing="ij"), axis=-1).reshape(-1, 2)
    back = np.linalg.inv(detector_to_scan(calibration))
    return np.asarray(orders @ reciprocal @ back.T / mrad_per_px, dtype=np.float64)
