"""Facts about simulated patterns, on small cells that take a second."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap.core.symmetry import OPERATIONS
from napari_polarmap.simulation.crystal import Crystal, niobate, polarization_axis
from napari_polarmap.simulation.multislice import (
    Microscope,
    exit_layers,
    sampling_mrad,
    simulate_patterns,
)
from napari_polarmap.simulation.structure import Structure, build_structure

abtem = pytest.importorskip("abtem")

CELLS, GPTS, CROP = 2, 64, 20
ORDERED = niobate(sodium_fraction=0.0)


def slab(axis: np.ndarray, *, thickness_nm: float = 4.2, crystal: Crystal = ORDERED) -> Structure:
    field = np.broadcast_to(axis, (CELLS, CELLS, 3))
    return build_structure(crystal, field, thickness_nm=thickness_nm, rng=np.random.default_rng(0))


def cell_grid(structure: Structure, n: int = 8) -> np.ndarray:
    a = structure.size_A[0] / CELLS
    grid = np.arange(n) * a / n
    return np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1).reshape(-1, 2)


def patterns(
    structure: Structure, positions: np.ndarray, microscope: Microscope | None = None, **options
) -> np.ndarray:
    microscope = microscope or Microscope()
    return simulate_patterns(structure, positions, [2.0, 4.0], microscope, gpts=GPTS, crop_px=CROP, **options)


def test_the_loops_agree_on_a_bent_specimen_with_phonons():
    structure = slab(polarization_axis(1))
    positions = np.array([[1.0, 2.0], [4.5, 3.3], [2.0, 2.0]])
    tilts = np.array([[0.0, 0.0], [3.0, -1.0], [-2.0, 5.0]])
    ours, theirs = (
        patterns(structure, positions, engine=engine, tilts_mrad=tilts, max_batch=2, rng=np.random.default_rng(1))
        for engine in ("torch", "abtem")
    )
    assert relative_difference(ours, theirs) < 0.005
    assert relative_difference(ours[:, 1], ours[:, 0]) > 0.05


def turned(operation, images: np.ndarray) -> np.ndarray:
    """Apply an operation about the direct beam at n / 2: the row and column without counterpart fall away."""
    return operation.images(images[..., 1:, 1:])


def relative_difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).sum() / np.abs(b).sum())


def test_the_loop_agrees_with_abtems_own_multislice():
    structure = slab(polarization_axis(1))
    microscope = Microscope(tilt_mrad=(2.0, -1.0), defocus_A=30, astigmatism_A=20, astigmatism_deg=20)
    positions = np.array([[1.0, 2.0], [4.5, 3.3]])
    ours = patterns(structure, positions, microscope)
    theirs = patterns(structure, positions, microscope, engine="abtem")
    assert relative_difference(ours, theirs) < 0.005


def test_a_finer_grid_with_thinner_slices_gives_the_same_pattern():
    """abTEM builds its own potential, on a grid four times as fine with slices a quarter as thick."""
    ase = pytest.importorskip("ase")
    structure = slab(polarization_axis(0))
    positions = np.array([[1.0, 2.0], [4.5, 3.3]])
    ours = simulate_patterns(structure, positions, [4.0], Microscope(), gpts=128, crop_px=CROP)[0]
    n_layers = exit_layers(structure, [4.0])[0] + 1
    atoms = ase.Atoms(numbers=structure.number, positions=structure.position_A, cell=structure.size_A, pbc=True)
    atoms = atoms[structure.layer < n_layers]
    # Each atom transmits where its slice begins, as in our loop; the empty slices propagate.
    atoms.positions[:, 2] += structure.layer_A / 8
    atoms.cell[2, 2] = n_layers * structure.layer_A
    atoms.wrap()
    potential = abtem.Potential(
        atoms, gpts=512, slice_thickness=structure.layer_A / 4, projection="infinite", parametrization="lobato"
    )
    probe = abtem.Probe(energy=200e3, semiangle_cutoff=24, extent=structure.size_A[:2], gpts=(512, 512))
    waves = probe.multislice(potential, scan=abtem.CustomScan(positions), lazy=False)
    fine = waves.diffraction_patterns(max_angle=None, fftshift=True).array
    middle = fine.shape[-1] // 2
    window = slice(middle - CROP // 2, middle + CROP // 2)
    assert relative_difference(ours, fine[:, window, window]) < 0.005


@pytest.mark.parametrize("index", [1, 2, 3, 4])
def test_turning_the_polarization_turns_the_cell_average(index):
    """Axis-like P from one simulation, turned, is what a simulation of the turned P gives."""
    operation = OPERATIONS[index]
    first = slab(polarization_axis(0))
    direction = int(operation.classes(np.array([0]))[0])
    second = slab(polarization_axis(direction))
    a = turned(operation, patterns(first, cell_grid(first))[1].mean(axis=0))
    b = turned(OPERATIONS[0], patterns(second, cell_grid(second))[1].mean(axis=0))
    assert relative_difference(a, b) < 2e-3


def test_without_polarization_the_cell_average_has_no_odd_part():
    def odd_share(axis: np.ndarray) -> float:
        structure = slab(axis)
        mean = patterns(structure, cell_grid(structure, 10))[1].mean(axis=0)[1:, 1:]
        return float(np.abs(mean - mean[::-1, ::-1]).sum() / mean.sum() / 2)

    assert odd_share(np.zeros(3)) < 3e-4
    assert odd_share(polarization_axis(1)) > 2e-3


def test_specimen_tilt_leaves_the_disk_in_place_and_moves_the_centre_of_mass():
    structure = slab(np.zeros(3))
    straight, tilted = (
        patterns(structure, cell_grid(structure), Microscope(tilt_mrad=tilt))[1].mean(axis=0)
        for tilt in ((0.0, 0.0), (0.0, 3.0))
    )
    half_max = straight.max() / 2
    rim = (straight > half_max).sum(axis=1)
    assert np.abs(rim - (tilted > half_max).sum(axis=1)).max() <= 2
    columns = np.arange(CROP) - CROP / 2
    shift = [(image.sum(axis=0) * columns).sum() / image.sum() for image in (straight, tilted)]
    assert abs(shift[1] - shift[0]) > 0.02


def test_each_position_of_a_bent_specimen_has_its_own_tilt():
    structure = slab(polarization_axis(1))
    positions, tilts = np.array([[1.0, 1.0], [2.0, 3.0]]), np.array([[0.0, 2.0], [-1.0, 0.5]])
    bent = simulate_patterns(structure, positions, [4.0], Microscope(), gpts=GPTS, crop_px=CROP, tilts_mrad=tilts)[0]
    for index, (row, column) in enumerate(tilts.tolist()):
        alone = patterns(structure, positions[index : index + 1], Microscope(tilt_mrad=(row, column)))[1, 0]
        np.testing.assert_allclose(bent[index], alone, rtol=1e-4, atol=1e-9)


def test_no_electrons_are_made():
    structure = slab(polarization_axis(1))
    total = simulate_patterns(structure, np.array([[1.0, 1.0]]), [4.0], Microscope(), gpts=GPTS, crop_px=GPTS).sum()
    assert 0.9 < total <= 1.0001


def test_sampling_is_the_wavelength_over_the_box():
    assert sampling_mrad(6 * 3.98, Microscope()) == pytest.approx(1.0503, abs=1e-3)


@pytest.mark.parametrize("thicknesses", [[4.0, 2.0], [2.0, 2.05], [0.0], [5000.0]])
def test_impossible_thicknesses_are_refused(thicknesses):
    with pytest.raises(ValueError, match="nm"):
        exit_layers(slab(np.zeros(3)), thicknesses)
