"""Which windows of whole cells to try on a scan, and from which lattice."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.lattice import Lattice, lattice_from_vectors
from napari_polarmap.core.pooling import (
    Grid,
    Pool,
    Window,
    cell_reach,
    cell_step,
    cell_window,
    cells_pool,
    lay_grid,
    round_window,
)
from napari_polarmap.pipeline.inspection import Inspection
from napari_polarmap.pipeline.parameters import MapParams

_SIZES_CELLS: Final = (1, 2, 3, 4, 6, 8, 12)
_LEAST_ELECTRONS: Final = 2e5
"""Below this a window says nothing (the odd part drowns in counting noise)."""
_AMPLE_ELECTRONS: Final = 2e7
"""Above this a larger window says no more."""
_MOST_SPARED: Final = 3
"""So many sizes are tried however ample the dose."""
_RADIUS_A: Final = 6.0
_RADIUS_PX: Final = 4.0
"""Reach of a neighbourhood where neither lattice nor step is known, in scan positions."""


@dataclass(frozen=True)
class WindowPlan:
    """Windows to evaluate, smallest first.

    Attributes
    ----------
    lattice : Lattice
        That the windows cancel; found, given, nominal or not known.
    base : Window
        One cell, or a round neighbourhood.
    grid : Grid
        Centres of the base windows.
    pools : list of Pool
    notes : list of str
        Sentences on what was assumed.
    """

    lattice: Lattice
    base: Window
    grid: Grid
    pools: list[Pool]
    notes: list[str] = field(default_factory=list)

    @property
    def width_px(self) -> float:
        """Edge of the smallest window in scan positions."""
        return self.lattice.period_px if self.pools[0].cells else 2.0 * self.base.half[0]


def plan_windows(scan: Scan4D, inspection: Inspection, params: MapParams) -> tuple[WindowPlan | None, list[str]]:
    """Return the windows to try, as many as the dose asks for, and sentences on what was assumed.

    There is no plan for a scan too small to hold a window.
    """
    lattice = inspection.lattice if params.lattice_px is None else lattice_from_vectors(params.lattice_px)
    if not lattice.known or lattice.cell_area_px < 4 or (params.radius_px and lattice.source == "nominal"):
        return _neighbourhood(scan, lattice, params)
    # Asked before the window is made: a cell of thousands of positions, from a wrong scan step, takes gigabytes.
    if any(
        2 * reach + 1 > length for reach, length in zip(cell_reach(lattice.vectors_px), scan.scan_shape, strict=True)
    ):
        return None, [f"The scan is smaller than one unit cell ({lattice.told}); only single patterns were classified."]
    base, step = cell_window(lattice.vectors_px), cell_step(lattice.vectors_px)
    grid = lay_grid(scan.scan_shape, base, step)
    per_position = float(np.median(inspection.statistics.total)) if scan.dtype.kind in "ui" else _AMPLE_ELECTRONS
    pools: list[Pool] = []
    for cells in (1,) if params.pool == "cell" else _SIZES_CELLS:
        pool = cells_pool(lattice.vectors_px, base, step, cells)
        electrons = pool.effective_positions * per_position
        if electrons > _AMPLE_ELECTRONS and len(pools) >= _MOST_SPARED:
            break
        whole = all(length <= 2 * half + 1 for length, half in zip(grid.shape, pool.half, strict=True))
        if electrons >= _LEAST_ELECTRONS or cells == 1 or whole:
            pools.append(pool)
        if whole:
            break
    notes = [f"The lattice was given, not found: {lattice.told}."] if lattice.source == "given" else []
    return WindowPlan(lattice, base, grid, pools), notes


def lattice_used(plan: WindowPlan | None, inspection: Inspection) -> Lattice:
    """Return the lattice that windows cancel; without windows the one found, and none that is larger than the scan."""
    if plan is not None:
        return plan.lattice
    found = inspection.lattice
    return found if found.resolved else replace(found, vectors_px=np.full((2, 2), np.nan), source="unknown")


def _neighbourhood(scan: Scan4D, lattice: Lattice, params: MapParams) -> tuple[WindowPlan | None, list[str]]:
    """Return one round window, which does not cancel the lattice, and say so."""
    if min(scan.scan_shape) < 3:
        return None, ["The scan is too narrow for a neighbourhood; only single patterns were classified."]
    step_A = scan.calibration.scan_step_A
    radius = params.radius_px or (max(2.0, _RADIUS_A / step_A) if step_A else _RADIUS_PX)
    radius = min(radius, (min(scan.scan_shape) - 1) / 2)
    base = round_window(radius)
    step = max(1, round(radius / 2))
    plan = WindowPlan(
        lattice,
        base,
        lay_grid(scan.scan_shape, base, (step, step)),
        [Pool(0.0, np.ones((1, 1)), base.effective_positions)],
    )
    note = (
        f"The lattice is not resolved: patterns are averaged over {radius:.1f} positions around each, "
        "which does not cancel it; give the lattice where it is known."
    )
    return plan, [note]
