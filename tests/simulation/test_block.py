"""Crystals of any structure: the cell along a zone axis, its parent, its variants, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_polarmap.core.config import ConfigError, Uniform
from napari_polarmap.core.directions import Direction
from napari_polarmap.simulation.block import Block, build_slab, in_box, thinned
from napari_polarmap.simulation.cell import read_block
from napari_polarmap.simulation.config import CellTable, load_config
from napari_polarmap.simulation.multislice import Microscope, simulate_patterns
from napari_polarmap.simulation.scene import build_scene, simulate_block
from napari_polarmap.simulation.specimens import simulate_specimen

SETS = Path(__file__).parents[2] / "benchmarks" / "sets"
WURTZITE = SETS / "aln.cif"
LEAD_TITANATE = SETS / "pbtio3.cif"

HEADER = """data_x
_cell_length_a {}
_cell_length_b {}
_cell_length_c {}
_cell_angle_alpha {}
_cell_angle_beta {}
_cell_angle_gamma {}
{}
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
{}
"""


def cif(cell: str, symmetry: str, *sites: str) -> str:
    return HEADER.format(*cell.split(), symmetry, "\n".join(f"{s.split()[0]} {s}" for s in sites))


def operations(*texts: str) -> str:
    return "loop_\n_symmetry_equiv_pos_as_xyz\n" + "\n".join(f"'{text}'" for text in texts)


R3C = "_symmetry_Int_Tables_number 161\n_symmetry_space_group_name_H-M 'R 3 c'"
# Octahedra tilted and polar: Kubel and Schmid, Acta Cryst. B 46, 698 (1990), as quoted.
FERRITE = cif("5.57874 5.57874 13.8688 90 90 120", R3C, "Bi 0 0 0 1", "Fe 0 0 0.22077 1", "O 0.4434 0.0187 0.9520 1")
# Abrahams, Reddy and Bernstein, J. Phys. Chem. Solids 27, 997 (1966), as quoted.
NIOBATE = cif("5.1483 5.1483 13.8631 90 90 120", R3C, "Nb 0 0 0 1", "Li 0 0 0.2787 1", "O 0.0492 0.3446 0.0647 1")
# Octahedra tilted, not polar: Sasaki et al., Acta Cryst. C 43, 1668 (1987), as quoted. ASE does not know Pbnm.
TITANATE = cif(
    "5.3796 5.4423 7.6401 90 90 90",
    "_symmetry_space_group_name_H-M 'P b n m'\n"
    + operations(
        "x,y,z", "x+1/2,-y+1/2,-z", "-x,-y,z+1/2", "-x+1/2,y+1/2,-z+1/2",
        "-x,-y,-z", "-x+1/2,y+1/2,z", "x,y,-z+1/2", "x+1/2,-y+1/2,z+1/2",
    ),
    "Ca -0.00676 0.03602 0.25 1", "Ti 0 0.5 0 1", "O 0.0714 0.4838 0.25 1", "O 0.7108 0.2888 0.0371 1",
)  # fmt: skip
# Fluorite family, Pbc21: Kisi, Howard and Hill, J. Am. Ceram. Soc. 72, 1757 (1989), as quoted.
PBC21 = operations("x,y,z", "-x,-y,z+1/2", "-x,y+1/2,z", "x,-y+1/2,z+1/2")
ZIRCONIA = cif(
    "5.068 5.260 5.077 90 90 90", PBC21,
    "Zr 0.267 0.030 0.250 1", "O 0.068 0.361 0.106 1", "O 0.537 0.229 0.000 1",
)  # fmt: skip
FLUORITE = cif("5.13 5.13 5.13 90 90 90", PBC21, "Zr 0.25 0 0.25 1", "O 0 0.25 0 1", "O 0.5 0.25 0 1")
TRICLINIC = cif(
    "5 6 7 80 95 100", "_symmetry_space_group_name_H-M 'P 1'",
    "Ti 0 0 0 1", "O 0.5 0.5 0.5 1", "Ti 0.5 0.5 0 1", "O 0 0 0.5 1",
)  # fmt: skip


def block(folder: Path, text: str, zone_axis: str, **keys: object) -> Block:
    path = folder / "x.cif"
    path.write_text(text)
    return read_block(path, CellTable(zone_axis=zone_axis, **keys))  # type: ignore[arg-type]


def test_wurtzite_along_2_1_0_is_a_rectangle_with_c_along_the_columns():
    crystal = read_block(WURTZITE, CellTable(zone_axis="2 1 0"))
    assert crystal.edges_A == pytest.approx([3.110, 4.980, 3.110 * np.sqrt(3)])
    assert crystal.families == (Direction.RM,)
    assert crystal.unit == pytest.approx((0, 1, 0), abs=1e-6)
    # Halfway to the layered parent, where nitrogen lies at c/2: aluminium and nitrogen by half of it each.
    moves = {site.elements[0]: move[1] for site, move in zip(crystal.sites, crystal.moves_A, strict=True)}
    assert moves[13] - moves[7] == pytest.approx((0.5 - 0.3821) * 4.980, abs=1e-4)


def test_the_cell_of_the_file_is_kept_where_the_perovskite_route_builds_a_cube():
    crystal = read_block(LEAD_TITANATE, CellTable(zone_axis="1 0 0"))
    assert crystal.edges_A == pytest.approx([3.905, 4.156, 3.905])
    slab = build_slab(
        crystal, lambda place: np.broadcast_to(crystal.axis(Direction.RM), (*place.shape[:-1], 3)),
        size_A=np.array([3.905, 4.156]), thickness_nm=0.39, rng=np.random.default_rng(0),
    )  # fmt: skip
    assert sorted(slab.number.tolist()) == [8, 8, 8, 22, 82]
    lead, titanium = (slab.position_A[slab.number == number][0] for number in (82, 22))
    # Titanium at (1/2, 1/2, 0.5377) from lead, up to the sign of P in the file.
    apart = (titanium - lead) / (3.905, 4.156, 3.905)
    assert apart == pytest.approx([0.5, 1 - 0.5377, 0.5], abs=1e-4)


def test_tilted_octahedra_along_the_pseudo_cubic_axis_are_a_cell_of_forty_atoms_with_p_on_its_diagonal(tmp_path):
    crystal = block(tmp_path, FERRITE, "2 4 1", edge_axis="2 -2 1")
    assert len(crystal.sites) == 40
    assert crystal.edges_A == pytest.approx([7.929] * 3, abs=2e-3)
    assert crystal.families == (Direction.RU,)
    assert crystal.unit == pytest.approx(np.array([-1, 1, 1]) / np.sqrt(3), abs=2e-2)
    # Rhombohedral: 89.4 degrees between the pseudo-cubic axes.
    assert 0.005 < crystal.strain < 0.0101


def test_a_crystal_keeps_its_distances_on_the_way_into_the_new_cell(tmp_path):
    from scipy.spatial import cKDTree

    crystal = block(tmp_path, NIOBATE, "2 1 0")
    size = 2 * crystal.edges_A[:2]
    slab = build_slab(
        crystal, lambda place: np.broadcast_to(crystal.axis(Direction.RM), (*place.shape[:-1], 3)),
        size_A=size, thickness_nm=2.0, rng=np.random.default_rng(0),
    )  # fmt: skip
    niobium, oxygen = (slab.position_A[slab.number == number] for number in (41, 8))
    middle = np.abs(niobium - np.array([*size / 2, 10])).max(axis=1) < 4
    distance, _ = cKDTree(oxygen).query(niobium[middle], k=6)
    # Three short and three long bonds, as published.
    assert distance[:, :3] == pytest.approx(np.full((middle.sum(), 3), 1.889), abs=5e-3)
    assert distance[:, 3:] == pytest.approx(np.full((middle.sum(), 3), 2.112), abs=5e-3)


def test_lithium_and_niobium_move_along_c_against_oxygen(tmp_path):
    crystal = block(tmp_path, NIOBATE, "2 1 0")
    moves = {site.elements[0]: move[1] for site, move in zip(crystal.sites, crystal.moves_A, strict=True)}
    assert moves[3] - moves[41] == pytest.approx(0.0287 * 13.8631, abs=2e-3)
    assert moves[41] - moves[8] == pytest.approx((1 / 12 - 0.0647) * 13.8631, abs=2e-3)


def test_a_crystal_without_polarization_is_given_one(tmp_path):
    crystal = block(tmp_path, TITANATE, "0 0 1", edge_axis="1 1 0", polar_direction="1 0 0")
    assert crystal.families == (Direction.RU,)
    assert crystal.edges_A == pytest.approx([7.652, 7.652, 7.640], abs=2e-3)
    assert not np.any(crystal.moves_A)
    moved = crystal.changed(shift_A={"Ti": 0.2})
    assert isinstance(moved, Block)
    assert {site.shift_A for site in moved.sites if 22 in site.elements} == {0.2}


def test_which_of_two_parents_is_meant_must_be_said(tmp_path):
    with pytest.raises(ConfigError, match="two structures with centres of inversion are about as near"):
        block(tmp_path, ZIRCONIA, "1 0 0")
    parent = tmp_path / "fluorite.cif"
    parent.write_text(FLUORITE)
    crystal = block(tmp_path, ZIRCONIA, "1 0 0", parent=str(parent))
    assert crystal.families == (Direction.RM,)
    assert crystal.edges_A == pytest.approx([5.260, 5.077, 5.068])
    # P lies along -c: oxygen moved up by 0.106 c and by nothing.
    moves = np.array(crystal.moves_A)
    numbers = np.array([site.elements[0] for site in crystal.sites])
    apart = moves[numbers == 40].mean(axis=0) - moves[numbers == 8].mean(axis=0)
    assert apart == pytest.approx([0, 0.053 * 5.077, 0], abs=1e-3)


@pytest.mark.parametrize("family", ["axis", "diagonal"])
def test_a_turned_domain_gives_turned_patterns(tmp_path, family):
    """A rectangle and a square cell; the probe stands beside a heavy column, and turns with the cell."""
    if family == "axis":
        crystal = read_block(WURTZITE, CellTable(zone_axis="2 1 0"))
    else:
        crystal = block(tmp_path, FERRITE, "2 4 1", edge_axis="2 -2 1")
    size = np.array([64.0, 64.0])
    aside = np.array([0.6, -0.9])
    results = []
    for turns in range(4):
        axis = crystal.axis(crystal.base + 2 * turns)
        slab = build_slab(
            crystal, lambda place, axis=axis: np.broadcast_to(axis, (*place.shape[:-1], 3)),
            size_A=size, thickness_nm=3.0, rng=np.random.default_rng(0),
        )  # fmt: skip
        turn = np.linalg.matrix_power(np.array([[0, -1], [1, 0]]), turns)
        edges = np.abs(turn @ crystal.edges_A[:2])
        column = np.round(size / 2 / edges) * edges
        box = slab.window(tuple(column), 22.0)
        place = np.full(2, 11.0) + turn @ aside
        results.append(simulate_patterns(box, place[None], [3.0], Microscope(), gpts=96, crop_px=32)[0, 0])
    for turns, pattern in enumerate(results):
        # The zero angle is at the pixel n / 2: turn the odd square around it.
        turned = np.rot90(results[0][1:, 1:], turns)
        assert np.abs(pattern[1:, 1:] - turned).sum() / turned.sum() < 0.0005
    assert np.abs(results[2] - results[0]).sum() / results[0].sum() > 0.1


def test_a_wall_between_turned_domains_leaves_no_atoms_on_top_of_each_other():
    from scipy.spatial import cKDTree

    crystal = read_block(WURTZITE, CellTable(zone_axis="2 1 0"))

    def polarization(place: np.ndarray) -> np.ndarray:
        right = (place[..., 1] > 20)[..., None]
        return np.where(right, crystal.axis(Direction.MU), crystal.axis(Direction.RM))

    slab = build_slab(
        crystal, polarization, size_A=np.array([40.0, 40.0]), thickness_nm=1.0, rng=np.random.default_rng(0)
    )
    distance, _ = cKDTree(slab.position_A).query(slab.position_A, k=2)
    assert distance[:, 1].min() >= crystal.bond_A
    density = len(slab.number) / np.prod(slab.size_A)
    assert density == pytest.approx(8 / np.prod(crystal.edges_A), rel=0.05)


def test_of_two_sites_in_one_place_one_is_taken(tmp_path):
    sites = ("Zn 0.3333 0.6667 0.00 0.5", "Zn 0.3333 0.6667 0.04 0.5", "O 0.3333 0.6667 0.39 0.8")
    group = "_symmetry_Int_Tables_number 186\n_symmetry_space_group_name_H-M 'P 63 m c'"
    crystal = block(tmp_path, cif("3.25 3.25 5.2 90 90 120", group, *sites), "2 1 0")
    slab = build_slab(
        crystal, lambda place: np.zeros((*place.shape[:-1], 3)),
        size_A=8 * crystal.edges_A[:2], thickness_nm=5.0, rng=np.random.default_rng(0),
    )  # fmt: skip
    cells = np.prod(np.round(np.array(slab.size_A) / crystal.edges_A))
    assert (slab.number == 30).sum() == 4 * cells
    assert (slab.number == 8).sum() / (4 * cells) == pytest.approx(0.8, abs=0.03)


def test_the_lighter_of_two_near_atoms_goes_also_across_the_edge_of_the_box():
    crystal = read_block(WURTZITE, CellTable(zone_axis="2 1 0"))
    slab = build_slab(
        crystal, lambda place: np.zeros((*place.shape[:-1], 3)),
        size_A=crystal.edges_A[:2], thickness_nm=0.1, rng=np.random.default_rng(0),
    )  # fmt: skip
    assert len(thinned(slab, 1.5).number) == 8
    assert set(thinned(slab, 2.2).number.tolist()) == {13}
    assert len(thinned(slab, 2.2, across_edge=True).number) > 4
    assert in_box(slab, 6.0).size_A[:2] == (6.0, 6.0)


@pytest.mark.parametrize(
    ("text", "zone_axis", "keys", "message"),
    [
        (WURTZITE.read_text(), "0 0 1", {}, "cell.zone_axis = '0 0 1': its polarization is 0 degrees off the beam"),
        (WURTZITE.read_text(), "1 x 0", {}, "cell.zone_axis = '1 x 0' must be three whole numbers"),
        (WURTZITE.read_text(), "1 0 0", {"misfit": Uniform(0.02, 0.02)}, "6 x 7 cells of 5.39 x 4.98 A, misses by"),
        (WURTZITE.read_text(), "1 0 0", {"misfit": Uniform(0.02, 0.03)}, r"cell.misfit = \[0.02, 0.03\] must be one"),
        (
            WURTZITE.read_text(),
            "2 1 0",
            {"box_A": Uniform(5.5, 6)},
            r"cell.box_A = \[5.5, 6\]: no whole number of cells",
        ),
        (WURTZITE.read_text(), "2 1 0", {"edge_axis": "2 1 0"}, "cell.edge_axis = '2 1 0' lies along the beam"),
        (WURTZITE.read_text(), "2 1 0", {"edge_axis": "0 1 3"}, "no cell with an edge along 0 1 3 up to 40 A"),
        (WURTZITE.read_text(), "2 1 0", {"charge": {"Ga": Uniform(3, 3)}}, "cell.charge: no Ga in AlN; known: Al, N"),
        (WURTZITE.read_text(), "2 1 0", {"polar_direction": "0 0 1", "parent": str(WURTZITE)}, "exclude each other"),
        (WURTZITE.read_text(), "2 1 0", {"polar_direction": "0 0 1"}, "anions are 0.587 A apart in this one"),
        (TITANATE, "0 0 1", {}, "no polarization: cations and anions are 0.000 A apart"),
        (TITANATE, "0 0 1", {"parent": str(WURTZITE)}, "cell.parent holds AlN, 4 sites"),
        (TRICLINIC, "0 0 1", {"polar_direction": "1 0 0"}, "has right angles within cell.strain = 0.01; the nearest"),
        (
            cif("4 4 4 90 90 90", "", "Au 0 0 0 1", "Cu 0.5 0.5 0.5 1"),
            "0 0 1",
            {},
            "give cell.charge, a number for each",
        ),
        (
            cif("4 4 4 90 90 90", "", "Zn 0 0 0 1", "O 0.1 0 0 1"),
            "0 0 1",
            {},
            "sites within 0.7 A of each other hold 2.00",
        ),
    ],
)
def test_what_makes_no_cell_is_refused_in_one_sentence(tmp_path, text, zone_axis, keys, message):
    with pytest.raises(ConfigError, match=rf"x\.cif: .*{message}") as caught:
        block(tmp_path, text, zone_axis, **keys)
    assert "\n" not in str(caught.value)


SPECIMENS = """
[specimen]
cif = "x.cif"
count = 2
[cell]
zone_axis = "2 1 0"
[thickness]
low_nm = 1
high_nm = 2
count = 2
[microscope]
convergence_mrad = 12
[multislice]
gpts = 64
crop_px = 32
phonons = 0
[probe]
per_cell = 5
"""


def config_file(folder: Path, text: str) -> Path:
    (folder / "x.cif").write_text(WURTZITE.read_text())
    (folder / "tilted.cif").write_text(TITANATE)
    path = folder / "set.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("x.cif", "nothing.cif"), "nothing.cif: no such file"),
        (('zone_axis = "2 1 0"', ""), "its cell holds 4 sites; a perovskite of 5 to 80 fits; for any other structure"),
        (('zone_axis = "2 1 0"', 'edge_axis = "1 0 0"'), "table [cell] needs cell.zone_axis"),
        (('cif = "x.cif"', ""), "table [cell] needs specimen.cif"),
        (("[cell]", "lattice_A = 4\n[cell]"), "specimen.lattice_A is for perovskites without a table [cell]"),
        (("[cell]", "shift_A = { Al = 0.1 }\n[cell]"), "cell.polar_direction is missing"),
        (("[cell]", "[cell]\npolar_direction = '0 0 1'"), "specimen.shift_A is missing"),
        (("[cell]", "[cell]\nparent = 'nothing.cif'"), "nothing.cif: no such file"),
        (("[cell]", "directions = 'diagonal'\n[cell]"), "specimen.directions = diagonal: P of x.cif is axis-like"),
        (("[cell]", "[cell]\nscale = 2"), "cell.scale = 2 is out of range; allowed is 0.9 to 1.1"),
        (("per_cell = 5", "per_cell = 3"), "probe.per_cell = 3 is too coarse for a cell edge of 4.98 A"),
        (("phonons = 0", "phonons = 2"), "states no thermal displacement of N; give rms_A"),
        (("[specimen]", "kind = 'scan'\n[scene]\ndefect = 'antiphase_fault'\n[specimen]"), "is for perovskites"),
        (
            ("[specimen]", "kind = 'scan'\n[scene]\nfirst = 'RU'\n[specimen]"),
            "RU is not a direction of AlN so oriented",
        ),
        (("crop_px = 32", "crop_px = 16"), "does not fit into multislice.crop_px = 16"),
    ],
)
def test_a_configuration_that_contradicts_the_cell_is_refused_in_one_sentence(tmp_path, change, message):
    with pytest.raises(ConfigError) as caught:
        load_config(config_file(tmp_path, SPECIMENS.replace(*change)))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_training_specimen_is_the_same_each_time_and_has_its_electrons(tmp_path):
    config = load_config(config_file(tmp_path, SPECIMENS.replace("[cell]", "[cell]\nscale = [0.98, 1.02]")))
    one, again = (simulate_specimen(config, 1) for _ in range(2))
    assert np.array_equal(one.patterns, again.patterns)
    assert one.patterns.shape == (2, 25, 32, 32)
    assert one.facts["label"] == Direction.RM
    assert 0.98 * 4.98 <= one.facts["lattice_A"] <= 1.02 * 4.98
    electrons = one.patterns.astype(float).sum(axis=(2, 3)) / 4096
    assert electrons == pytest.approx(np.ones((2, 25)), abs=0.1)


def test_a_specimen_of_tilted_octahedra_is_simulated(tmp_path):
    text = SPECIMENS.replace("x.cif", "tilted.cif").replace("[cell]", "shift_A = { Ti = [0.1, 0.2] }\n[cell]")
    text = text.replace('"2 1 0"', '"0 0 1"\nedge_axis = "1 1 0"\npolar_direction = "1 1 0"')
    specimen = simulate_specimen(load_config(config_file(tmp_path, text.replace("per_cell = 5", "per_cell = 7"))), 0)
    assert np.isfinite(specimen.patterns).all()
    assert specimen.facts["label"] == Direction.RM


def test_a_scan_over_two_domains_knows_where_they_are(tmp_path):
    scene = "kind = 'scan'\n[scene]\nrows = 8\ncolumns = 16\nfirst = 'MU'\nsecond = 'MD'\n[specimen]"
    config = load_config(config_file(tmp_path, SPECIMENS.replace("[specimen]", scene)))
    truth = build_scene(config).label
    assert set(truth[:, :7].ravel()) == {Direction.MU}
    assert set(truth[:, 9:].ravel()) == {Direction.MD}
    left, right = (simulate_block(config, index).astype(float).sum(axis=0) for index in (0, 1))
    assert left.sum() / 64 / 4096 == pytest.approx(1, abs=0.1)
    assert np.abs(left - right).sum() / left.sum() > 0.005
