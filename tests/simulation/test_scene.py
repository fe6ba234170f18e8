"""Scenes: truth agrees with the atoms, cameras with their settings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_polarmap.core.config import Uniform
from napari_polarmap.core.directions import Direction
from napari_polarmap.core.preprocessing import center_of_mass
from napari_polarmap.simulation.config import SceneTable, SimulationConfig
from napari_polarmap.simulation.crystal import NIOBIUM, niobate, polarization_axis
from napari_polarmap.simulation.detector import Camera, Recorder, draw_camera
from napari_polarmap.simulation.scene import block_slices, build_scene, n_blocks
from napari_polarmap.simulation.structure import build_structure

CONFIG = SimulationConfig(kind="scan", seed=5, scene=SceneTable(rows=20, columns=28, first="RU", second="RD"))
CAMERA = Camera(
    size_px=64,
    mrad_per_px=1.0,
    dose_electrons=0,
    source_A=0,
    blur_px=0,
    offset_px=(0, 0),
    rotation_deg=0,
    gain_noise=0,
)


def scene_of(**changes):
    return build_scene(replace(CONFIG, scene=replace(CONFIG.scene, **changes)))


def niobium_shift(scene, near_A: np.ndarray) -> np.ndarray:
    """Mean displacement (row, column) of niobium from its ideal site around a place."""
    atoms = scene.structure.keep(scene.structure.number == NIOBIUM)
    lateral = atoms.position_A[:, :2]
    near = np.linalg.norm(lateral - near_A, axis=1) < 6
    ideal = (np.round(lateral / scene.lattice_A - 0.5) + 0.5) * scene.lattice_A
    return (lateral - ideal)[near].mean(axis=0)


def test_labels_are_the_direction_in_which_niobium_is_displaced():
    scene = scene_of()
    assert set(np.unique(scene.label)) == {Direction.RU, Direction.RD}
    for column in (0, -1):
        shift = niobium_shift(scene, scene.positions_A[10, column])
        angle = np.rad2deg(np.arctan2(-shift[0], shift[1])) % 360
        assert abs(angle - Direction(scene.label[10, column]).angle_deg) < 1


def test_a_turned_scan_sees_the_crystal_turned_the_other_way():
    straight, turned = scene_of(second=""), scene_of(second="", scan_rotation_deg=Uniform(45, 45))
    assert np.unique(straight.label).tolist() == [Direction.RU]
    assert np.unique(turned.label).tolist() == [Direction.RM]


def test_the_same_configuration_gives_the_same_scene():
    np.testing.assert_array_equal(scene_of().structure.position_A, scene_of().structure.position_A)


def test_a_vacancy_column_takes_niobium_away_under_the_mask_only():
    whole, holed = scene_of(), scene_of(defect="vacancy_column")
    assert 0 < holed.defect.mean() <= 0.2
    lost = (whole.structure.number == NIOBIUM).sum() - (holed.structure.number == NIOBIUM).sum()
    assert lost > 0
    assert (holed.structure.number != NIOBIUM).sum() == (whole.structure.number != NIOBIUM).sum()


def test_in_a_closure_structure_the_polarization_runs_around_the_middle_from_head_to_tail():
    scene = scene_of(rows=40, columns=40, arrangement="closure", first="RU", second="")
    corners = [scene.label[0, 20], scene.label[20, 0], scene.label[-1, 20], scene.label[20, -1]]
    assert set(np.unique(scene.label)) == {Direction.RU, Direction.LU, Direction.LD, Direction.RD}
    middle = scene.positions_A.mean(axis=(0, 1))
    place = scene.positions_A - middle
    vector = np.stack([-np.sin(np.deg2rad(scene.angle_deg)), np.cos(np.deg2rad(scene.angle_deg))], axis=-1)
    # Counter-clockwise on the screen: left of the way from the middle.
    turning = place[..., 1] * -vector[..., 0] + place[..., 0] * vector[..., 1]
    assert (turning > -1e-9).all(), corners


def test_a_vortex_turns_through_all_eight_directions_and_niobium_with_it():
    scene = scene_of(rows=60, columns=60, arrangement="vortex", second="", wall_width_A=Uniform(1, 1))
    assert set(np.unique(scene.label)) == set(range(8))
    # The specimen of a vortex has a middle, the scan around it too.
    shift = niobium_shift(scene, scene.positions_A[30, -4])
    assert -shift[0] > 3 * abs(shift[1])
    assert scene.label[30, -1] == Direction.MU


def test_a_bent_wedge_changes_thickness_and_tilt_from_side_to_side():
    scene = scene_of(thickness_change_nm=Uniform(6, 6), thickness_change_deg=Uniform(90, 90), bend_mrad=Uniform(2, 2))
    assert scene.thickness_nm[0, 0] - scene.thickness_nm[-1, 0] == pytest.approx(6)
    np.testing.assert_allclose(scene.tilt_mrad[0, -1] - scene.tilt_mrad[0, 0], (0, 2), atol=1e-9)
    assert scene.structure.size_A[2] >= 10 * scene.thickness_nm.max()


def test_blocks_cover_the_scan_once():
    seen = np.zeros((CONFIG.scene.rows, CONFIG.scene.columns), int)
    for index in range(n_blocks(CONFIG)):
        seen[block_slices(CONFIG, index)] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("direction", list(Direction))
def test_oxygen_moves_against_niobium_and_least_where_its_bond_is_normal_to_p(direction):
    axis = polarization_axis(direction)
    rng = np.random.default_rng(0)
    cell, still = (
        build_structure(niobate(), field, thickness_nm=0.398, rng=rng)
        for field in (axis[None, None], np.zeros((1, 1, 3)))
    )
    along = (cell.position_A - still.position_A) @ axis
    assert np.sort(along.round(6)).tolist() == [-0.1, -0.1, -0.02, 0.0, 0.1]


def test_the_camera_puts_the_disk_where_its_offset_says():
    y, x = np.mgrid[:64, :64] - 32
    pattern = (np.hypot(y, x) < 12).astype(np.float32)[None, None]
    rng = np.random.default_rng(0)
    camera = replace(CAMERA, offset_px=(3.0, -4.0), rotation_deg=30.0)
    image = Recorder(camera, mrad_per_px=1.0, step_A=0.5, rng=rng).record(pattern)
    np.testing.assert_allclose(center_of_mass(image)[0, 0], (34.5, 27.5), atol=0.02)


def test_the_camera_counts_the_dose():
    pattern = np.full((2, 3, 64, 64), 1 / 64**2, np.float32)
    camera = replace(CAMERA, dose_electrons=5000)
    image = Recorder(camera, mrad_per_px=1.0, step_A=0.5, rng=np.random.default_rng(0)).record(pattern)
    assert image.dtype == np.uint16
    assert image.sum(axis=(2, 3)).mean() == pytest.approx(5000, rel=0.05)


def test_a_scan_recorded_in_bands_is_the_scan_recorded_at_once():
    patterns = np.random.default_rng(1).random((14, 3, 32, 32)) / 500
    camera = replace(CAMERA, size_px=24, dose_electrons=5000, source_A=0.8, gain_noise=0.05)

    def recorder():
        return Recorder(camera, mrad_per_px=1.0, step_A=0.8, rng=np.random.default_rng(0))

    banded, halo = recorder(), recorder().halo
    bands = []
    for top in range(0, 14, 5):
        first, bottom = max(0, top - halo), min(top + 5, 14)
        bands.append(banded.record(patterns[first : bottom + halo], slice(top - first, bottom - first)))
    np.testing.assert_array_equal(np.concatenate(bands), recorder().record(patterns))


def test_dead_and_hot_pixels_are_the_same_in_every_pattern():
    pattern = np.full((3, 4, 64, 64), 1 / 64**2, np.float32)
    camera = replace(CAMERA, size_px=32, dose_electrons=80000, dead_fraction=0.02, hot_fraction=0.01)
    image = Recorder(camera, mrad_per_px=1.0, step_A=0.5, rng=np.random.default_rng(0)).record(pattern)
    assert (image == 0).all(axis=(0, 1)).sum() == round(0.02 * 32**2)
    hot = (image > 100).all(axis=(0, 1))
    assert hot.sum() == round(0.01 * 32**2)
    assert (image[..., hot].std(axis=(0, 1)) == 0).all()


def test_a_camera_without_bad_pixels_draws_what_it_always_did():
    """Sets made before there were such pixels stay reproducible."""
    rng, reference = np.random.default_rng(0), np.random.default_rng(0)
    draw_camera(CONFIG, rng)
    reference.random(8)
    assert rng.random() == reference.random()
