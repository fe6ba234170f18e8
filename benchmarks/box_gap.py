"""How much the gap at the side of a box of whole cells changes patterns: tetragonal PbTiO3, which is 6 % from square.

Run with ``python benchmarks/box_gap.py``; half a minute of one processor core.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.simulation.block import Block, build_slab, in_box
from napari_polarmap.simulation.cell import read_block
from napari_polarmap.simulation.config import CellTable
from napari_polarmap.simulation.multislice import Microscope, simulate_patterns

THICKNESSES_NM = (10.0, 20.0)
ASIDE_A = np.array([[0.0, 0.0], [1.0, 1.0], [-1.5, 0.7], [1.9, -1.8]])


def patterns(crystal: Block, gpts: int, crop_px: int) -> NDArray[np.float32]:
    """Return patterns around a lead column in the middle of the box, atoms at rest."""
    size, box_A = crystal.repeats * crystal.edges_A[:2], crystal.box_A(0)
    slab = build_slab(
        crystal,
        lambda place: np.broadcast_to(crystal.axis(crystal.base), (*place.shape[:-1], 3)),
        size_A=size,
        thickness_nm=THICKNESSES_NM[-1],
        rng=np.random.default_rng(0),
    )
    lead = (box_A - size) / 2 + np.array(crystal.repeats) // 2 * crystal.edges_A[:2]
    box = in_box(slab, box_A)
    return simulate_patterns(box, lead + ASIDE_A, THICKNESSES_NM, Microscope(), gpts=gpts, crop_px=crop_px)


def main() -> None:
    """Compare a box with one of twice the width, with a gap and without."""
    true = read_block(Path(__file__).parent / "sets" / "pbtio3.cif", CellTable(zone_axis="1 0 0"))
    for name, crystal in (("gap", true), ("no gap", replace(true, edges=(1.0, 1.0, true.edges[2])))):
        wide = patterns(replace(crystal, repeats=(12, 12)), 384, 128)[..., ::2, ::2] * 4
        off = np.abs(patterns(crystal, 192, 64) - wide).sum(axis=(1, 2, 3)) / wide.sum(axis=(1, 2, 3))
        print(name, ", ".join(f"{t:g} nm: {share:.1%}" for t, share in zip(THICKNESSES_NM, off, strict=True)))


if __name__ == "__main__":
    main()
