"""Convergent-beam patterns by multislice, a whole thickness series in one run.

Probe, scattering factors and interaction constant are abTEM's. The slices are exact
structure-factor sums (every atom at its true place across the beam), where abTEM's
fast projection splits atoms over pixels at a cost of several per cent of the pattern
at 20 nm; the loop over the slices runs in torch, on whatever device it has. A test
holds the result against abTEM's own multislice.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.simulation.structure import Structure


@dataclass(frozen=True, kw_only=True)
class Microscope:
    """Illumination: energy, aperture, aberrations and the tilt of the specimen.

    Attributes
    ----------
    voltage_kV : float
    convergence_mrad : float
        Semi-angle of the probe.
    defocus_A : float
        As in abTEM: positive moves the focus into the specimen.
    spherical_A : float
        C3 [A].
    astigmatism_A, astigmatism_deg : float
        Two-fold astigmatism: amplitude [A] and angle.
    tilt_mrad : (float, float)
        Specimen tilt ``(row, column)``; the disk stays in place.
    """

    voltage_kV: float = 200.0
    convergence_mrad: float = 24.0
    defocus_A: float = 0.0
    spherical_A: float = 0.0
    astigmatism_A: float = 0.0
    astigmatism_deg: float = 0.0
    tilt_mrad: tuple[float, float] = (0.0, 0.0)

    @property
    def wavelength_A(self) -> float:
        """De Broglie wavelength of the electrons [A]."""
        ev = 1e3 * self.voltage_kV
        return 12.2642592 / float(np.sqrt(ev * (1 + 0.97847539e-6 * ev)))


@cache
def _projected_scattering_factor(number: int, gpts: int, size_A: float) -> NDArray[np.float32]:
    from abtem.parametrizations import LobatoParametrization
    from ase.data import chemical_symbols

    k = np.fft.fftfreq(gpts, size_A / gpts)
    k2 = (k[:, None] ** 2 + k[None] ** 2).ravel()
    parametrization: Any = LobatoParametrization()
    factor = parametrization.projected_scattering_factor(chemical_symbols[number])(k2)
    return np.asarray(factor, dtype=np.float32).reshape(gpts, gpts)


def projected_potential(
    structure: Structure, *, gpts: int, rng: np.random.Generator | None = None
) -> NDArray[np.float32]:
    """Return the projected potential of every layer by exact structure-factor sums.

    Parameters
    ----------
    structure : Structure
        Atoms in a square box.
    gpts : int
        Grid points along an edge.
    rng : numpy Generator, optional
        Draws one frozen-phonon configuration; without it the atoms rest.

    Returns
    -------
    potential : ndarray of float32, shape (layers, gpts, gpts)
        In V A.
    """
    size = structure.size_A[0]
    if not np.isclose(size, structure.size_A[1]):
        raise ValueError(f"the box is {structure.size_A[:2]} A; the multislice needs a square one")
    position = structure.position_A[:, :2].copy()
    if rng is not None:
        position += structure.rms_A[:, None] * rng.standard_normal(position.shape)
    out = np.empty((structure.n_layers, gpts, gpts), np.float32)
    order = np.argsort(structure.layer, kind="stable")
    bounds = np.searchsorted(structure.layer[order], np.arange(structure.n_layers + 1))
    for index in range(structure.n_layers):
        atoms = order[bounds[index] : bounds[index + 1]]
        total = np.zeros((gpts, gpts // 2 + 1), np.complex64)
        for number in np.unique(structure.number[atoms]):
            chosen = position[atoms[structure.number[atoms] == number]] / size
            columns = _phase_factors(chosen[:, 1], gpts // 2 + 1)
            half = _phase_factors(chosen[:, 0], gpts // 2 + 1)
            rows = np.concatenate([half[:, : (gpts + 1) // 2], half[:, gpts // 2 : 0 : -1].conj()], axis=1)
            total += _projected_scattering_factor(int(number), gpts, size)[:, : gpts // 2 + 1] * (rows.T @ columns)
        out[index] = np.fft.irfft2(total, s=(gpts, gpts)) * (gpts / size) ** 2
    return out


def _phase_factors(fraction: NDArray[np.float64], n: int) -> NDArray[np.complex64]:
    """Return ``exp(-2 pi i k x)`` for k = 0 to n - 1 as products of a coarse and a fine factor."""
    step = 16
    fine = np.exp(-2j * np.pi * fraction[:, None] * np.arange(step)).astype(np.complex64)
    coarse = np.exp(-2j * np.pi * fraction[:, None] * np.arange(0, n, step)).astype(np.complex64)
    return np.asarray((coarse[:, :, None] * fine[:, None, :]).reshape(len(fraction), -1)[:, :n], dtype=np.complex64)


def simulate_patterns(
    structure: Structure,
    positions_A: NDArray[np.float64],
    thicknesses_nm: Sequence[float],
    microscope: Microscope,
    *,
    gpts: int = 192,
    crop_px: int = 64,
    rng: np.random.Generator | None = None,
    tilts_mrad: NDArray[np.float64] | None = None,
    max_batch: int = 16,
    device: str = "cpu",
    engine: str = "torch",
) -> NDArray[np.float32]:
    """Return the diffraction patterns at each thickness and probe position.

    Parameters
    ----------
    structure : Structure
        Square periodic box; its size sets the pattern's sampling, `sampling_mrad`.
    positions_A : ndarray, shape (n, 2)
        Probe positions ``(row, column)``.
    thicknesses_nm : sequence of float
        Increasing; each is rounded to the nearest layer.
    microscope : Microscope
    gpts : int
        Grid points along an edge of the box.
    crop_px : int
        Edge of the returned pattern; the direct beam lies at ``crop_px / 2``.
    rng : numpy Generator, optional
        Draws frozen phonons, a new configuration for each batch of probes; without
        it the atoms rest.
    tilts_mrad : ndarray, shape (n, 2), optional
        Specimen tilt at each position, where the specimen is bent; else the microscope's.
    max_batch : int
        Probes propagated together.
    device : str
        Where torch runs the loop over layers.
    engine : str
        ``torch``, or ``abtem`` for abTEM's own loop over the same slices.

    Returns
    -------
    patterns : ndarray of float32, shape (thicknesses, n, crop_px, crop_px)
        Fraction of the incident electrons in each pixel.
    """
    planes = exit_layers(structure, thicknesses_nm)
    start = gpts // 2 - crop_px // 2
    window = slice(start, start + crop_px)
    propagate = _ENGINES[engine](structure, planes, microscope, gpts=gpts, window=window, device=device)
    out = np.empty((len(planes), len(positions_A), crop_px, crop_px), np.float32)
    potential = None
    for first in range(0, len(positions_A), max_batch):
        if potential is None or rng is not None:
            potential = projected_potential(structure, gpts=gpts, rng=rng)[: planes[-1] + 1]
        batch = slice(first, first + max_batch)
        tilts = None if tilts_mrad is None else tilts_mrad[batch]
        out[:, batch] = propagate(potential, positions_A[batch], tilts)
    return out


def _torch_engine(
    structure: Structure, planes: list[int], microscope: Microscope, *, gpts: int, window: slice, device: str
) -> _Propagate:
    import torch

    size = structure.size_A[0]
    sigma = _interaction_parameter(microscope)
    common = _propagator(size, gpts, structure.layer_A, microscope)
    bandlimit = torch.from_numpy(_bandlimit(size, gpts)).to(device)

    @torch.inference_mode()
    def propagate(
        potential: NDArray[np.float32], positions_A: NDArray[np.float64], tilts_mrad: NDArray[np.float64] | None
    ) -> NDArray[np.float32]:
        exits = []
        each = [] if tilts_mrad is None else [_tilted(microscope, tilt) for tilt in tilts_mrad]
        steps = np.stack([_propagator(size, gpts, structure.layer_A, tilted) for tilted in each]) if each else common
        step = torch.from_numpy(steps).to(device)
        layers = torch.from_numpy(sigma * potential).to(device)
        waves = torch.from_numpy(_probe_waves(positions_A, size, gpts, microscope)).to(device)
        for index, layer in enumerate(layers):
            transmission = torch.fft.ifft2(torch.fft.fft2(torch.polar(torch.ones_like(layer), layer)) * bandlimit)
            spectrum = torch.fft.fft2(waves * transmission) * step
            if index in planes:
                cropped = torch.fft.fftshift(spectrum, dim=(-2, -1))[:, window, window]
                exits.append(cropped.abs().square().cpu().numpy())
            waves = torch.fft.ifft2(spectrum)
        return np.stack(exits)

    return propagate


def _abtem_engine(
    structure: Structure, planes: list[int], microscope: Microscope, *, gpts: int, window: slice, device: str
) -> _Propagate:
    import abtem

    extent = structure.size_A[:2]

    def propagate(
        potential: NDArray[np.float32], positions_A: NDArray[np.float64], tilts_mrad: NDArray[np.float64] | None
    ) -> NDArray[np.float32]:
        if tilts_mrad is not None:
            pairs = zip(positions_A, tilts_mrad, strict=True)
            return np.concatenate([run(potential, place[None], _tilted(microscope, tilt)) for place, tilt in pairs], 1)
        return run(potential, positions_A, microscope)

    def run(
        potential: NDArray[np.float32], positions_A: NDArray[np.float64], microscope: Microscope
    ) -> NDArray[np.float32]:
        slices = abtem.PotentialArray(
            potential, slice_thickness=structure.layer_A, extent=extent, exit_planes=tuple(planes)
        )
        with abtem.config.set({"local_diagnostics.progress_bar": False}), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            probe = _abtem_probe(extent, gpts, microscope, tilt=microscope.tilt_mrad)
            waves = probe.multislice(slices, scan=abtem.CustomScan(positions_A), lazy=False)
            images = waves.diffraction_patterns(max_angle=None, fftshift=True).array
        images = np.asarray(images, dtype=np.float32).reshape(len(planes), len(positions_A), gpts, gpts)
        return images[..., window, window]

    return propagate


_Propagate = Callable[[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64] | None], NDArray[np.float32]]
_ENGINES: Final = {"torch": _torch_engine, "abtem": _abtem_engine}


def _tilted(microscope: Microscope, tilt_mrad: NDArray[np.float64]) -> Microscope:
    return replace(microscope, tilt_mrad=(float(tilt_mrad[0]), float(tilt_mrad[1])))


def _interaction_parameter(microscope: Microscope) -> np.float32:
    from abtem.core.energy import energy2sigma

    return np.float32(energy2sigma(1e3 * microscope.voltage_kV))


def _frequencies(size_A: float, gpts: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    k = np.asarray(np.fft.fftfreq(gpts, size_A / gpts), dtype=np.float64)
    return k[:, None], k[None, :]


def _bandlimit(size_A: float, gpts: int) -> NDArray[np.float32]:
    """Two thirds of the grid's largest frequency: products of two such functions do not wrap around."""
    row, column = _frequencies(size_A, gpts)
    return (np.hypot(row, column) < gpts / size_A / 3).astype(np.float32)


def _propagator(size_A: float, gpts: int, step_A: float, microscope: Microscope) -> NDArray[np.complex64]:
    """Fresnel propagation by one layer; specimen tilt shifts each layer against the last."""
    row, column = _frequencies(size_A, gpts)
    tilt_row, tilt_column = (np.tan(1e-3 * tilt) for tilt in microscope.tilt_mrad)
    phase = microscope.wavelength_A * (row**2 + column**2) / 2 + row * tilt_row + column * tilt_column
    return np.asarray(np.exp(-2j * np.pi * step_A * phase) * _bandlimit(size_A, gpts), dtype=np.complex64)


def _probe_waves(
    positions_A: NDArray[np.float64], size_A: float, gpts: int, microscope: Microscope
) -> NDArray[np.complex64]:
    """Return abTEM's probe at each position; its unnormalised spectrum holds one electron."""
    import abtem

    with abtem.config.set({"local_diagnostics.progress_bar": False}), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # abTEM's first axis is our row axis, its second our column axis.
        waves = _abtem_probe((size_A, size_A), gpts, microscope).build(scan=abtem.CustomScan(positions_A), lazy=False)
    return np.ascontiguousarray(waves.array, dtype=np.complex64)


def _abtem_probe(
    extent: tuple[float, float], gpts: int, microscope: Microscope, *, tilt: tuple[float, float] = (0.0, 0.0)
) -> Any:
    import abtem

    return abtem.Probe(
        energy=1e3 * microscope.voltage_kV,
        semiangle_cutoff=microscope.convergence_mrad,
        extent=extent,
        gpts=(gpts, gpts),
        tilt=tilt,
        aberrations={
            "defocus": microscope.defocus_A,
            "Cs": microscope.spherical_A,
            "astigmatism": microscope.astigmatism_A,
            "astigmatism_angle": np.deg2rad(microscope.astigmatism_deg),
        },
    )


def exit_layers(structure: Structure, thicknesses_nm: Sequence[float]) -> list[int]:
    """Return the index of the last layer of each thickness.

    Raises
    ------
    ValueError
        If the thicknesses do not increase or leave the structure.
    """
    layers = [round(10 * thickness / structure.layer_A) - 1 for thickness in thicknesses_nm]
    if min(layers) < 0 or any(b <= a for a, b in pairwise(layers)):
        raise ValueError(
            f"thicknesses {list(thicknesses_nm)} nm must increase by at least one layer of {structure.layer_A:.2f} A"
        )
    if layers[-1] >= structure.n_layers:
        raise ValueError(f"{thicknesses_nm[-1]} nm is thicker than the structure of {structure.size_A[2] / 10:.1f} nm")
    return layers


def sampling_mrad(size_A: float, microscope: Microscope) -> float:
    """Return the angle between neighbouring pixels of a pattern from a box of edge `size_A`."""
    return 1e3 * microscope.wavelength_A / size_A
