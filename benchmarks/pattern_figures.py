"""Example patterns: writes docs/images/patterns-thickness.png and patterns-directions.png.

python benchmarks/pattern_figures.py docs/images

Averages over one unit cell of niobate (8 x 8 probe positions), 200 kV, 24 mrad, and their
odd parts: of potassium niobate at rest, where nothing but P makes an odd part, and of one
specimen with sodium and potassium at random and four thermal configurations. Takes about
half a minute of one processor core.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from napari_polarmap.core.directions import LABELS, VECTORS_YX, Direction
from napari_polarmap.core.symmetry import OPERATIONS
from napari_polarmap.simulation.crystal import niobate
from napari_polarmap.simulation.multislice import Microscope, sampling_mrad, simulate_patterns
from napari_polarmap.simulation.structure import build_structure

THICKNESSES_NM = (5.0, 10.0, 20.0, 30.0, 40.0, 50.0)
SHOWN = 20.0
CELLS, POSITIONS, CONFIGURATIONS = 6, 8, 4
ODD_TOP = 0.02
Images = NDArray[np.floating]


def cell_average(direction: int, *, disordered: bool) -> Images:
    """Return the average over a unit cell at each thickness, direct beam in the middle pixel."""
    crystal = niobate(sodium_fraction=0.5 if disordered else 0.0)
    a = crystal.lattice_A
    rng = np.random.default_rng(1)
    field = np.broadcast_to(crystal.axis(direction), (CELLS, CELLS, 3))
    structure = build_structure(crystal, field, thickness_nm=THICKNESSES_NM[-1] + 0.5, rng=rng)
    axis = np.arange(POSITIONS) * a / POSITIONS
    probes = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    if disordered:
        # Each position in a cell of its own, so that the average sees many arrangements of K and Na.
        probes = rng.permutation(probes + a * rng.integers(0, CELLS, probes.shape))
    images = simulate_patterns(
        structure,
        probes,
        THICKNESSES_NM,
        Microscope(),
        crop_px=64,
        rng=rng if disordered else None,
        max_batch=-(-len(probes) // CONFIGURATIONS),
    )
    return np.asarray(images.mean(axis=1)[:, 1:, 1:])


def odd_share(images: Images) -> Images:
    """Return the odd part in units of the mean intensity inside the disk."""
    k = np.arange(images.shape[-1]) - images.shape[-1] // 2
    disk = np.hypot(k[:, None], k[None]) <= 22
    return (images - images[..., ::-1, ::-1]) / 2 / images[..., disk].mean(axis=-1)[..., None, None]


def show(axes: Axes, image: Images, *, top: float, odd: bool) -> None:
    reach = image.shape[-1] / 2 * sampling_mrad(CELLS * niobate().lattice_A, Microscope())
    options = {"cmap": "RdBu_r", "vmin": -top, "vmax": top} if odd else {"cmap": "gray", "vmin": 0, "vmax": top}
    axes.imshow(image, extent=(-reach, reach, reach, -reach), interpolation="nearest", **options)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)


def arrow(axes: Axes, direction: int) -> None:
    """Draw the direction of P; the axis of the picture points down as rows do."""
    row, column = 13 * VECTORS_YX[direction]
    axes.annotate("", (column, row), (-column, -row), arrowprops={"arrowstyle": "-|>", "color": "#ffb000", "lw": 1.6})


def thickness_figure(averages: dict[int, Images], disordered: Images) -> Figure:
    first = int(Direction.RM)
    rows = [
        (f"P {LABELS[first]}, <101>\naverage over a cell", averages[first], False),
        ("its odd part", odd_share(averages[first]), True),
        ("the same with K, Na\nand thermal disorder", odd_share(disordered), True),
        (f"P {LABELS[1]}, <110>\naverage over a cell", averages[1], False),
        ("its odd part", odd_share(averages[1]), True),
    ]
    figure = Figure(figsize=(9.4, 7.6), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.02, w_pad=0.02, hspace=0.0, wspace=0.0)
    grid = figure.subplots(len(rows), len(THICKNESSES_NM))
    for line, (label, images, odd) in zip(grid, rows, strict=True):
        line[0].set_ylabel(label, fontsize=9)
        for axes, image in zip(line, images, strict=True):
            show(axes, image, top=ODD_TOP if odd else float(np.percentile(image, 99.8)), odd=odd)
    for axes, thickness in zip(grid[0], THICKNESSES_NM, strict=True):
        axes.set_title(f"{thickness:g} nm", fontsize=10)
    arrow(grid[0, 0], first)
    arrow(grid[3, 0], 1)
    bar = figure.colorbar(grid[1, -1].images[0], ax=grid, shrink=0.4, pad=0.01, aspect=30)
    bar.set_label("odd part / mean intensity of the disk", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    return figure


def directions_figure(averages: dict[int, Images]) -> Figure:
    """Eight directions at one thickness, from two simulations and the operations of the square."""
    at = THICKNESSES_NM.index(SHOWN)
    images: dict[int, Images] = {}
    for direction, stack in averages.items():
        for operation in OPERATIONS:
            turned = int(operation.classes(np.array([direction]))[0])
            images.setdefault(turned, operation.images(stack[at]))
    figure = Figure(figsize=(10.2, 2.75), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.02, w_pad=0.02, hspace=0.0, wspace=0.0)
    grid = figure.subplots(2, len(Direction))
    for direction in range(len(Direction)):
        image = images[direction]
        upper, lower = grid[:, direction]
        upper.set_title(LABELS[direction], fontsize=10)
        show(upper, image, top=float(np.percentile(image, 99.8)), odd=False)
        arrow(upper, direction)
        show(lower, odd_share(image), top=ODD_TOP, odd=True)
    grid[0, 0].set_ylabel("average\nover a cell", fontsize=9)
    grid[1, 0].set_ylabel("odd part", fontsize=9)
    bar = figure.colorbar(grid[1, -1].images[0], ax=grid[1], shrink=0.9, pad=0.01)
    bar.ax.tick_params(labelsize=8)
    return figure


def main(folder: Path) -> None:
    averages = {int(direction): cell_average(direction, disordered=False) for direction in niobate().families}
    disordered = cell_average(Direction.RM, disordered=True)
    for name, figure in (
        ("patterns-thickness", thickness_figure(averages, disordered)),
        ("patterns-directions", directions_figure(averages)),
    ):
        figure.savefig(folder / f"{name}.png", dpi=130)
    for direction, images in averages.items():
        k = np.arange(63) - 31
        disk = np.hypot(k[:, None], k[None]) <= 22
        share = np.abs(odd_share(images))[:, disk].mean(axis=1)
        print(LABELS[direction], "mean |odd| in the disk", [f"{100 * value:.2f} %" for value in share])


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images"))
