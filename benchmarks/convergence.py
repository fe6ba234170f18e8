"""How far the patterns depend on the numerics: writes the tables of docs/convergence.md.

python benchmarks/convergence.py docs/convergence.md

Static niobate unless said, P along <110> in the plane, 200 kV, 24 mrad, in focus at the
entrance. The figure of merit is the sum of the absolute differences inside 32 mrad over
the sum of the intensities. Takes about five minutes of one processor core.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.simulation.crystal import niobate, polarization_axis
from napari_polarmap.simulation.multislice import Microscope, sampling_mrad, simulate_patterns
from napari_polarmap.simulation.structure import Structure, build_structure

LATTICE_A = 3.98
# Whole cells, so that slices of every thickness end on the same atoms.
THICKNESSES_NM = (5.0 * LATTICE_A, 12.5 * LATTICE_A)
PROBES_A = np.array([[1.0, 2.0], [0.3, 3.1]]) + 2 * LATTICE_A
OUT_TO_MRAD = 32.0
Images = NDArray[np.floating]


def slab(cells: int, *, amplitude: float = 1.0, thickness_nm: float = 50.5, sodium: float = 0.5) -> Structure:
    field = np.broadcast_to(amplitude * polarization_axis(1), (cells, cells, 3))
    rng = np.random.default_rng(0)
    crystal = niobate(lattice_A=LATTICE_A, sodium_fraction=sodium)
    return build_structure(crystal, field, thickness_nm=thickness_nm, rng=rng)


def run(
    structure: Structure, gpts: int, probes: Images = PROBES_A, thicknesses: Iterable[float] = THICKNESSES_NM
) -> Images:
    crop = 2 * int(1.1 * OUT_TO_MRAD / sampling_mrad(structure.size_A[0], Microscope()))
    return simulate_patterns(structure, probes, list(thicknesses), Microscope(), gpts=gpts, crop_px=crop)


def disk(images: Images, size_A: float) -> Images:
    """Set everything beyond `OUT_TO_MRAD` to zero."""
    k = (np.arange(images.shape[-1]) - images.shape[-1] // 2) * sampling_mrad(size_A, Microscope())
    return images * (np.hypot(k[:, None], k[None]) <= OUT_TO_MRAD)


def difference(a: Images, b: Images) -> list[float]:
    """Return the relative difference at each thickness."""
    axes = tuple(range(1, a.ndim))
    return list(np.abs(a - b).sum(axis=axes) / b.sum(axis=axes))


def table(title: str, rows: Iterable[tuple[str, list[float]]], heads: Iterable[str]) -> str:
    heads = list(heads)
    lines = [f"| {title} | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    lines += [
        f"| {name} | " + " | ".join(f"{float(f'{100 * value:.2g}'):g} %" for value in values) + " |"
        for name, values in rows
    ]
    return "\n".join(lines)


AT_THICKNESS = [f"{value:.1f} nm" for value in THICKNESSES_NM]


def grid() -> str:
    structure = slab(6)
    results = {n: disk(run(structure, n), structure.size_A[0]) for n in (128, 192, 256, 384, 512)}
    rows = [(f"{n}", difference(results[n], results[512])) for n in (128, 192, 256, 384)]
    return table("grid points, against 512", rows, AT_THICKNESS)


def slices() -> str:
    structure = slab(6)
    results = {}
    for parts in (1, 2, 4):
        cut = structure.resliced(parts * structure.n_layers)
        results[parts] = disk(run(cut, 192), structure.size_A[0])
    rows = [(f"{LATTICE_A / 2 / parts:.2f} Å", difference(results[parts], results[4])) for parts in (1, 2)]
    return table(f"slices, against {LATTICE_A / 8:.2f} Å", rows, AT_THICKNESS)


def box() -> str:
    """Windows cut out of one specimen of 12 x 12 cells around the probes."""
    whole = slab(12)
    middle = 6 * LATTICE_A
    probes = PROBES_A - PROBES_A.mean(axis=0) + middle
    reference = disk(run(whole, 384, probes), whole.size_A[0])
    rows = []
    for cells in (3, 4, 6):
        size = cells * LATTICE_A
        window = whole.window((middle, middle), size)
        small = disk(run(window, 32 * cells, probes - middle + size / 2), size)
        step = 12 // cells
        reach = min(small.shape[-1] // 2, reference.shape[-1] // 2 // step) - 1
        at = np.arange(-reach, reach + 1)
        coarse = reference[..., (at * step + reference.shape[-1] // 2)[:, None], at * step + reference.shape[-1] // 2]
        mine = small[..., (at + small.shape[-1] // 2)[:, None], at + small.shape[-1] // 2]
        rows.append((f"{cells} x {cells} cells", difference(mine, coarse * step**2)))
    return table("box, against 12 x 12 cells", rows, AT_THICKNESS)


def cell_grid(per_cell: int, corner_A: float = 2 * LATTICE_A) -> Images:
    axis = (np.arange(per_cell) + 0.3) * LATTICE_A / per_cell + corner_A
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)


def odd(images: Images) -> Images:
    inner = images[..., 1:, 1:]
    return (inner - inner[..., ::-1, ::-1]) / 2


def positions() -> str:
    """Odd part of the cell average where there should be none, and where there is polarization."""
    rows = []
    for per_cell in (4, 6, 8, 10):
        shares = []
        for amplitude in (0.0, 1.0):
            structure = slab(6, amplitude=amplitude, thickness_nm=20.5, sodium=0.0)
            mean = run(structure, 192, cell_grid(per_cell), [20.0])[0].mean(axis=0)
            mean = disk(mean, structure.size_A[0])
            shares.append(float(np.abs(odd(mean)).sum() / mean.sum()))
        rows.append((f"{per_cell} x {per_cell}", shares))
    return table("probe positions over the cell: odd part at 20 nm", rows, ["no polarization", "polarization"])


def phonons() -> str:
    """Cell averages over some thermal configurations against the mean of eight others."""
    structure = slab(6, thickness_nm=20.5)
    rng = np.random.default_rng(1)
    each = []
    for _ in range(16):
        images = simulate_patterns(
            structure, cell_grid(8), [20.0], Microscope(), gpts=192, crop_px=66, rng=rng, max_batch=64
        )[0]
        each.append(disk(images.mean(axis=0), structure.size_A[0]))
    reference = np.mean(each[8:], axis=0)
    rows = []
    for n in (1, 2, 4, 8):
        mean = np.mean(each[:n], axis=0)
        error = np.abs(mean - reference).sum() / reference.sum()
        odd_error = np.abs(odd(mean) - odd(reference)).sum() / np.abs(odd(reference)).sum()
        rows.append((f"{n}", [float(error), float(odd_error)]))
    return table("thermal configurations, against 8 others, at 20 nm", rows, ["cell average", "its odd part"])


def main(out: Path) -> None:
    parts: list[tuple[str, Callable[[], str]]] = [
        ("Grid (box of 6 x 6 cells)", grid),
        ("Slice thickness (grid 192)", slices),
        ("Box (32 grid points per cell)", box),
        ("Probe positions (no mixed site)", positions),
        ("Thermal configurations (every probe sees each)", phonons),
    ]
    text = ["<!-- written by benchmarks/convergence.py -->"]
    for title, make in parts:
        start = time.process_time()
        text += [f"**{title}**", make()]
        print(f"{title}: {time.process_time() - start:.0f} s", flush=True)
        out.write_text("\n\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/convergence.md"))
