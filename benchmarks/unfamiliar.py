"""Make ``pipeline/unfamiliar.npz``: patterns of what no packaged classifier was trained on.

Run with ``python benchmarks/unfamiliar.py``; a few minutes of one processor core. Other materials, another zone axis
and glass are simulated as the training sets are, averaged over probe positions; vacuum is drawn.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.pipeline.augmentation import to_grid
from napari_polarmap.simulation.multislice import Microscope, sampling_mrad, simulate_patterns
from napari_polarmap.simulation.structure import NIOBIUM, OXYGEN, POTASSIUM, SODIUM, Structure

THICKNESSES_NM = (8.0, 20.0, 40.0)
GRID_MRAD = 1.05
POSITIONS = 5


class Crystal(NamedTuple):
    """A cell with right angles seen along its last axis: edges [A], atoms, repeats that make a square box."""

    edges_A: tuple[float, float, float]
    atoms: list[tuple[int, tuple[float, float, float]]]
    repeats: tuple[int, int]
    layers: int


def perovskite(a: int, b: int, edge_A: tuple[float, float, float], shift: float = 0.0) -> Crystal:
    """ABO3 along [001]; `shift` moves B along the second axis and oxygen against it, in cell edges."""
    oxygen = [(0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0)]
    atoms = [(a, (0.0, 0.0, 0.0)), (b, (0.5, 0.5 + shift, 0.5))]
    atoms += [(OXYGEN, (row, column - 2 * shift, depth)) for row, column, depth in oxygen]
    return Crystal(edge_A, atoms, (6, 6), 2)


def niobate_110(edge_A: float) -> Crystal:
    """The pseudo-cubic niobate along [110]: rows [001], columns [1-10]."""
    wide = edge_A * np.sqrt(2)
    sites = [
        (POTASSIUM, (0, 0, 0)),
        (NIOBIUM, (0.5, 0.5, 0.5)),
        *[(OXYGEN, site) for site in ((0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5))],
    ]
    atoms = []
    for number, (x, y, z) in sites:
        for corner_x, corner_y in ((0, 0), (1, 0)):
            u, v = x + corner_x, y + corner_y
            atoms.append((number, (z, ((u - v) / 2) % 1, ((u + v) / 2) % 1)))
    return Crystal((edge_A, wide, wide), atoms, (7, 5), 2)


def silicon() -> Crystal:
    """Silicon along [001]."""
    faces = [(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)]
    sites = faces + [(x + 0.25, y + 0.25, z + 0.25) for x, y, z in faces]
    return Crystal((5.431,) * 3, [(14, site) for site in sites], (5, 5), 4)


CRYSTALS = {
    "SrTiO3 [001]": perovskite(38, 22, (3.905,) * 3),
    "PbTiO3 [001]": perovskite(82, 22, (3.90, 4.00, 3.90), shift=0.04),
    "silicon [001]": silicon(),
    "niobate [110]": niobate_110(3.98),
}


def build(crystal: Crystal, thickness_nm: float) -> Structure:
    """Repeat a cell to a box; its edges are stretched by up to 2 % to make it square."""
    depth = int(np.ceil(10 * thickness_nm / crystal.edges_A[2])) + 1
    size = float(np.mean([n * edge for n, edge in zip(crystal.repeats, crystal.edges_A[:2], strict=True)]))
    axes = map(np.arange, (*crystal.repeats, depth))
    origin = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    edge = np.array([size / crystal.repeats[0], size / crystal.repeats[1], crystal.edges_A[2]])
    number, position, layer = [], [], []
    for atom, site in crystal.atoms:
        place = origin + np.asarray(site, float)
        number.append(np.full(len(origin), atom))
        position.append(place * edge)
        layer.append(np.floor(place[:, 2] % depth * crystal.layers + 1e-6))
    n = sum(map(len, number))
    return Structure(
        np.concatenate(number),
        np.concatenate(position),
        np.full(n, 0.08),
        np.concatenate(layer).astype(int),
        (size, size, depth * edge[2]),
        edge[2] / crystal.layers,
    )


def glass(thickness_nm: float, rng: np.random.Generator) -> Structure:
    """Atoms of the niobate at random places."""
    size, layer_A = 23.88, 2.0
    depth = round(10 * thickness_nm / layer_A)
    n = round(5 * size**2 * depth * layer_A / 3.98**3)
    kinds = rng.permutation(np.resize([POTASSIUM, SODIUM, NIOBIUM, NIOBIUM, *[OXYGEN] * 6], n))
    place = rng.random((n, 3)) * (size, size, depth * layer_A)
    layer = np.minimum((place[:, 2] / layer_A).astype(int), depth - 1)
    return Structure(kinds, place, np.full(n, 0.08), layer, (size, size, depth * layer_A), layer_A)


def average(structure: Structure, cell_A: tuple[float, float], rng: np.random.Generator) -> NDArray[np.float32]:
    """Simulate the average over a cell at each thickness, on the grid of the classifiers."""
    tilt, azimuth = rng.uniform(0, 4), 2 * np.pi * rng.random()
    microscope = Microscope(
        convergence_mrad=rng.uniform(22, 26), tilt_mrad=(tilt * np.sin(azimuth), tilt * np.cos(azimuth))
    )
    steps = (np.arange(POSITIONS) + rng.random()) / POSITIONS
    points = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2) * cell_A
    batch = -(-len(points) // 4)
    patterns = simulate_patterns(
        structure, rng.permutation(points), THICKNESSES_NM, microscope, rng=rng, max_batch=batch
    )
    sampling = np.full(len(patterns), sampling_mrad(structure.size_A[0], microscope))
    return np.maximum(to_grid(patterns.mean(axis=1), sampling, grid_mrad=GRID_MRAD).numpy(), 0)


def vacuum(rng: np.random.Generator) -> NDArray[np.float32]:
    """A uniform disk with an edge as sharp as a pixel."""
    y, x = np.mgrid[:64, :64] - 31.5
    edge = rng.uniform(22, 26) / GRID_MRAD
    return np.clip(edge + 0.5 - np.hypot(y, x), 0, 1)[None].astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("src/napari_polarmap/pipeline/unfamiliar.npz"))
    parser.add_argument("--specimens", type=int, default=3)
    args = parser.parse_args()
    rng = np.random.default_rng(2026)
    kinds, patterns = [], []
    for name in (*CRYSTALS, "glass", "vacuum"):
        for _ in range(args.specimens):
            if name == "vacuum":
                made = vacuum(rng)
            elif name == "glass":
                made = average(glass(THICKNESSES_NM[-1], rng), (23.88, 23.88), rng)
            else:
                made = average(build(CRYSTALS[name], THICKNESSES_NM[-1]), CRYSTALS[name].edges_A[:2], rng)
            patterns.append(made)
            kinds += [name] * len(made)
        print(name, flush=True)
    stack = np.concatenate(patterns)
    stack *= 1000 / stack.mean(axis=(1, 2), keepdims=True)
    np.savez_compressed(args.out, patterns=stack.astype(np.float16), kind=np.array(kinds))


if __name__ == "__main__":
    main()
