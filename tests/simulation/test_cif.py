"""Crystals from CIF files: what is read, and what is refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_polarmap.core.config import ConfigError
from napari_polarmap.core.directions import Direction
from napari_polarmap.simulation.cif import read_crystal
from napari_polarmap.simulation.config import load_config
from napari_polarmap.simulation.crystal import Crystal
from napari_polarmap.simulation.structure import build_structure

SETS = Path(__file__).parents[2] / "benchmarks" / "sets"
TITANATE = SETS / "pbtio3.cif"

# Amm2 BaTiO3 in its centred cell; P along c, which is <110> of the pseudo-cubic cell.
ORTHORHOMBIC = """data_BaTiO3
_cell_length_a 3.984
_cell_length_b 5.674
_cell_length_c 5.692
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'A m m 2'
_symmetry_Int_Tables_number 38
loop_
_symmetry_equiv_pos_as_xyz
'x,y,z'
'-x,-y,z'
'x,-y,z'
'-x,y,z'
'x,y+1/2,z+1/2'
'-x,-y+1/2,z+1/2'
'x,-y+1/2,z+1/2'
'-x,y+1/2,z+1/2'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_U_iso_or_equiv
Ba Ba 0 0 0 0.0049
Ti Ti 0.5 0 0.510 0.0064
O1 O 0 0 0.490 0.0081
O2 O 0.5 0.253 0.237 0.0081
"""


def primitive(sites: str, *, edges: str = "4 4 4", group: str = "P 1") -> str:
    a, b, c = edges.split()
    return f"""data_x
_cell_length_a {a}
_cell_length_b {b}
_cell_length_c {c}
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M '{group}'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
{sites}
"""


CUBIC = """Sr Sr 0 0 0 1
Ti Ti 0.5 0.5 0.5 1
O1 O 0 0.5 0.5 1
O2 O 0.5 0 0.5 1
O3 O 0.5 0.5 0 1"""


def crystal_of(folder: Path, text: str) -> Crystal:
    path = folder / "x.cif"
    path.write_text(text)
    return read_crystal(path)


def displacements_A(crystal: Crystal, axis: np.ndarray) -> dict[tuple[int, tuple[float, ...]], np.ndarray]:
    """Displacement of each atom of one cell by its number and ideal place."""
    field = axis[None, None]
    rng = np.random.default_rng(0)
    cell, still = (
        build_structure(crystal, p, thickness_nm=crystal.lattice_A / 10, rng=rng) for p in (field, np.zeros((1, 1, 3)))
    )
    ideal = still.position_A / crystal.lattice_A
    shift = cell.position_A - still.position_A
    return {(int(n), tuple(p)): s for n, p, s in zip(still.number, ideal.round(3).tolist(), shift, strict=True)}


def test_lead_titanate_is_displaced_as_in_its_cif():
    crystal = read_crystal(TITANATE)
    assert (crystal.name, crystal.polar_axis) == ("PbTiO3", "100")
    assert crystal.lattice_A == pytest.approx((3.905**2 * 4.156) ** (1 / 3), abs=1e-3)
    shift = displacements_A(crystal, crystal.axis(Direction.RM))
    # Against lead, titanium and oxygen move the other way: P points from oxygen to the cations.
    assert shift[22, (0.5, 0.5, 0.5)] == pytest.approx([0, -0.0377 * 4.156, 0], abs=1e-3)
    assert shift[8, (0.5, 0.0, 0.5)] == pytest.approx([0, -0.1118 * 4.156, 0], abs=1e-3)
    for equatorial in ((0.0, 0.5, 0.5), (0.5, 0.5, 0.0)):
        assert shift[8, equatorial] == pytest.approx([0, -0.1174 * 4.156, 0], abs=1e-3)


def test_a_tetragonal_crystal_has_the_four_axis_like_directions_only():
    crystal = read_crystal(TITANATE)
    assert crystal.families == (Direction.RM,)
    assert crystal.axis(Direction.MU) == pytest.approx([-1, 0, 0])
    with pytest.raises(ValueError, match="RU is not a direction of P along <100>: RM, MU, LM, MD"):
        crystal.axis(Direction.RU)


def test_an_orthorhombic_centred_cell_becomes_one_pseudo_cubic_cell(tmp_path):
    crystal = crystal_of(tmp_path, ORTHORHOMBIC)
    assert crystal.polar_axis == "110"
    assert crystal.families == (Direction.RM, Direction.RU)
    assert crystal.lattice_A == pytest.approx(4.008, abs=2e-3)
    assert [site.rms_A for site in crystal.sites[:3]] == pytest.approx([0.07, 0.08, 0.09])
    shift = displacements_A(crystal, crystal.axis(Direction.RU))
    along = np.array([-1, 1, 0]) / np.sqrt(2)
    titanium = next(s for (number, _), s in shift.items() if number == 22)
    assert titanium == pytest.approx(0.010 * 5.692 * along, abs=2e-3)
    normal = shift[8, (0.5, 0.5, 0.0)]
    assert normal == pytest.approx(-0.010 * 5.692 * along, abs=2e-3)
    # O2 stands 0.003 b off the mirror plane across P and 0.013 c along -P.
    angled = shift[8, (0.5, 0.0, 0.5)]
    across = np.array([1, 1, 0]) / np.sqrt(2)
    assert angled @ along == pytest.approx(-0.013 * 5.692, abs=2e-3)
    assert abs(angled @ across) == pytest.approx(0.003 * 5.674, abs=2e-3)


def test_mixed_sites_are_drawn_and_may_be_changed(tmp_path):
    text = primitive(CUBIC.replace("Ti Ti 0.5 0.5 0.5 1", "Ti Ti 0.5 0.5 0.5 0.3\nZr Zr 0.5 0.5 0.5 0.7"))
    crystal = crystal_of(tmp_path, text)
    assert crystal.name == "Sr(Ti0.3,Zr0.7)O3"
    field = np.zeros((10, 10, 3))
    for share, changed in ((0.3, crystal), (0.9, crystal.changed(fraction={"Ti": 0.9}))):
        slab = build_structure(changed, field, thickness_nm=8, rng=np.random.default_rng(0))
        counts = [(slab.number == number).sum() for number in (22, 40)]
        assert sum(counts) == 2000
        assert counts[0] / 2000 == pytest.approx(share, abs=0.03)


def test_a_partly_empty_site_loses_atoms(tmp_path):
    crystal = crystal_of(tmp_path, primitive(CUBIC.replace("Sr Sr 0 0 0 1", "Sr Sr 0 0 0 0.8")))
    slab = build_structure(crystal, np.zeros((10, 10, 3)), thickness_nm=8, rng=np.random.default_rng(0))
    assert (slab.number == 38).sum() / 2000 == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty, or larger than 1 MB"),
        ("hello", "holds 0 structures; one fits|not a CIF file that ASE reads"),
        ("data_x\n_cell_length_a 4\nloop_\n_atom_site_label\nSr Ti", "not a CIF file|holds 0 structures"),
        (primitive(CUBIC) + primitive(CUBIC).replace("data_x", "data_y"), "holds 2 structures; one fits"),
        (primitive("Na Na 0 0 0 1\nCl Cl 0.5 0.5 0.5 1"), "its cell holds 2 sites"),
        (primitive(CUBIC, edges="4 4 5"), "edges of 4.000, 4.000, 5.000 A"),
        (primitive(CUBIC, edges="9 9 9"), "its cell edge is 9.00 A; 3 to 8 A fits"),
        (primitive(CUBIC.replace("O1 O", "F1 F")), "do not sit near the corner, centre and face centres"),
        (primitive(CUBIC + "\nH H 0.3 0.3 0.3 1"), "its primitive cell holds 6 sites; five fit"),
        (primitive(CUBIC.replace("0.5 0.5 0.5", "0.55 0.52 0.5")), "polarization points along"),
    ],
)
def test_what_is_no_perovskite_is_refused_in_one_sentence(tmp_path, text, message):
    with pytest.raises(ConfigError, match=rf"x\.cif: .*({message})") as caught:
        crystal_of(tmp_path, text)
    assert "\n" not in str(caught.value)


def specimen(folder: Path, lines: str, *, cif: str = "", other: str = "") -> Path:
    (folder / "cubic.cif").write_text(primitive(CUBIC))
    (folder / "polar.cif").write_text(TITANATE.read_text())
    path = folder / "set.toml"
    path.write_text(f"[specimen]\n{f'cif = {cif!r}' if cif else ''}\n{lines}\n[multislice]\nphonons = 0\n{other}")
    return path


@pytest.mark.parametrize(
    ("cif", "lines", "message"),
    [
        ("nothing.cif", "", "nothing.cif: no such file"),
        ("cubic.cif", "", "specimen.cif = 'cubic.cif' has no polarization; give specimen.polar_axis"),
        ("polar.cif", "sodium_fraction = 0.5", "specimen.sodium_fraction is for the built-in niobate"),
        ("polar.cif", "polar_axis = '110'", "specimen.polar_axis = 110; polar.cif is polarized along <100>"),
        ("polar.cif", "directions = 'diagonal'", "specimen.directions = diagonal: PbTiO3"),
        ("polar.cif", "rms_A = { K = 0.1 }", "specimen.rms_A: no K in PbTiO3; known: O, Pb, Ti"),
        ("polar.cif", "rms_A = { Pb = 3 }", "specimen.rms_A.Pb = 3 is out of range; allowed is 0 to 0.5"),
        ("polar.cif", "rms_A = 0.1", "specimen.rms_A = 0.1 must be a table of numbers by name"),
        ("polar.cif", "fraction = { Pb = 0.4 }", "specimen.fraction: Pb is alone on its site"),
        ("polar.cif", "bond_shift_A = { Ti = 0.4 }", "specimen.bond_shift_A: Ti is no anion"),
        ("polar.cif", "crystal = 3", "unknown key specimen.crystal"),
        ("", "fraction = { Na = 0.4 }", "specimen.fraction needs specimen.cif"),
        ("", "polar_axis = '100'", "specimen.polar_axis = 100; the niobate has 110"),
    ],
)
def test_a_specimen_that_contradicts_its_crystal_is_refused(tmp_path, cif, lines, message):
    with pytest.raises(ConfigError) as caught:
        load_config(specimen(tmp_path, lines, cif=cif))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_lattice_that_only_a_variant_states_is_used_there(tmp_path):
    path = specimen(tmp_path, "", cif="polar.cif", other="[variants.wider.specimen]\nlattice_A = 4.2\n")
    assert load_config(path, "wider").specimen.lattice_A.low == 4.2
    assert load_config(path).specimen.lattice_A.low == pytest.approx(3.97, abs=0.05)


def test_thermal_displacements_that_nobody_states_are_asked_for(tmp_path):
    path = specimen(tmp_path, "", cif="polar.cif")
    path.write_text(path.read_text().replace("phonons = 0", "phonons = 4"))
    with pytest.raises(ConfigError, match="states no thermal displacement of Pb; give rms_A"):
        load_config(path)


def test_a_scene_asks_for_directions_that_the_crystal_has(tmp_path):
    path = specimen(tmp_path, "", cif="polar.cif", other="[scene]\nfirst = 'RU'\n")
    path.write_text("kind = 'scan'\n" + path.read_text())
    with pytest.raises(ConfigError, match=r"scene.first, scene.second: .*RU is not a direction of P along <100>"):
        load_config(path)


def test_displacements_of_a_cubic_cif_come_from_the_configuration(tmp_path):
    lines = "polar_axis = '111'\nshift_A = { Ti = 0.12, O = -0.05 }\nbond_shift_A = { O = -0.1 }"
    config = load_config(specimen(tmp_path, lines, cif="cubic.cif"))
    assert config.crystal.families == (Direction.RU,)
    assert config.specimen.lattice_A.low == config.specimen.lattice_A.high == 4
    assert config.crystal.cif_sha256
    assert set(config.specimen.shift_A) == {"Ti", "O"}
