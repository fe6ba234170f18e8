"""Slabs: the built-in niobate stays what it was, atom by atom."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from napari_polarmap.simulation.crystal import niobate, polarization_axis
from napari_polarmap.simulation.structure import Structure, build_structure


def digest(structure: Structure) -> str:
    """Fingerprint of the atoms, positions to a millionth of an angstrom."""
    whole = np.round(structure.position_A * 1e6).astype(np.int64)
    rms = np.round(structure.rms_A * 1e6).astype(np.int64)
    columns = np.column_stack([structure.number, whole, rms, structure.layer]).astype("<i8")
    return hashlib.sha256(columns.tobytes()).hexdigest()[:16]


def test_niobate_is_the_crystal_that_the_packaged_classifiers_were_trained_on():
    """Also the random numbers it takes: a set made in parts must not change between them."""
    rng = np.random.default_rng(7)
    field = rng.normal(size=(2, 3, 3))
    field[0, 0] = 0
    varied = build_structure(niobate(lattice_A=3.95, sodium_fraction=0.4), field, thickness_nm=1.7, rng=rng)
    assert digest(varied) == "e97834a2643b1965"
    assert rng.random() == pytest.approx(0.5097908098684232)
    rng = np.random.default_rng(8)
    axis = np.broadcast_to(polarization_axis(0, depth_sign=-1), (6, 6, 3))
    assert digest(build_structure(niobate(), axis, thickness_nm=20, rng=rng)) == "d4a3eac3757c3bdc"
    assert rng.random() == pytest.approx(0.18430814953554597)


def test_thinner_slices_hold_the_same_atoms_at_their_true_depth():
    field = np.zeros((1, 1, 3))
    slab = build_structure(niobate(), field, thickness_nm=3.98, rng=np.random.default_rng(0))
    fine = slab.resliced(80)
    assert fine.n_layers == 80
    assert fine.layer_A == pytest.approx(slab.layer_A / 4)
    np.testing.assert_array_equal(fine.layer, slab.layer * 4)
