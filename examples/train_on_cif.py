# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
# ---

# %% [markdown]
# # Train on a CIF
#
# From the CIF file of a perovskite to a classifier and a map. Needs `napari-polarmap[simulation]`. Everything is kept
# so small that it takes half a minute, so the classifier is good for nothing but showing the way: for one that is,
# take the numbers of `benchmarks/sets/pbtio3.toml`, and see the page *Use another material*.

# %%
import subprocess
import sys
from pathlib import Path

folder = Path("example-cif")
folder.mkdir(exist_ok=True)


def polarmap(*words: object) -> None:
    """Run a command of the program; simulations start processes of their own."""
    subprocess.run([sys.executable, "-m", "napari_polarmap", *map(str, words)], check=True)


# %% [markdown]
# Tetragonal PbTiO₃. The displacements, and so the polarization, follow from the coordinates.

# %%
(folder / "pbtio3.cif").write_text("""data_PbTiO3
_cell_length_a 3.905
_cell_length_b 3.905
_cell_length_c 4.156
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Pb1 Pb 0 0 0
Ti1 Ti 0.5 0.5 0.5377
O1 O 0.5 0.5 0.1118
O2 O 0.5 0 0.6174
O3 O 0 0.5 0.6174
""")

# %%
specimen = """
[specimen]
cif = "pbtio3.cif"
cells = 3
amplitude = 1.2
rms_A = { Pb = 0.11, Ti = 0.075, O = 0.09 }
"""
numerics = """
[multislice]
gpts = 96
crop_px = 64
phonons = 0
"""
specimens = """
count = 20
unpolarised_fraction = 0.2
[thickness]
low_nm = 4
high_nm = 5
[probe]
per_cell = 4
spread_cells = 1
"""
scan = """
[scene]
rows = 12
columns = 20
step_A = 1.0
first = "RM"
second = "MU"
[thickness]
low_nm = 4.5
high_nm = 4.5
"""
training = """
name = "titanate"
network = "pca_knn"
components = 6
neighbours = 3
singles = 1
"""
(folder / "set.toml").write_text('kind = "specimens"\nseed = 1\n' + specimen + specimens + numerics)
(folder / "scan.toml").write_text('kind = "scan"\nseed = 2\n' + specimen + scan + numerics)
(folder / "train.toml").write_text(training)

# %%
polarmap("simulate", folder / "set.toml", "--out", folder / "set.h5", "--workers", 1)
polarmap("train", folder / "train.toml", "--data", folder / "set.h5", "--out", folder / "titanate.safetensors")

# %% [markdown]
# Whole specimens are held out; the file carries its scores.

# %%
from napari_polarmap.models.weights import read_info  # noqa: E402

info = read_info(folder / "titanate.safetensors")
print(info.title, info.material, {name: value for name, value in info.scores.items() if name.startswith("accuracy")})

# %%
polarmap("simulate", folder / "scan.toml", "--out", folder / "scan.h5", "--workers", 1)
model, picture = folder / "titanate.safetensors", folder / "map.png"
polarmap("map", folder / "scan.h5", "--model", model, "--out", folder / "map.h5", "--png", picture)
