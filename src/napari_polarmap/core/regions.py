"""Connected regions of irregular positions, and what kind of irregularity each one is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from napari_polarmap.core.directions import LABELS, N_DIRECTIONS, UNDEFINED
from napari_polarmap.core.kinds import Kind, Thickness, as_images, divide, ring_around, settled_domains
from napari_polarmap.core.lattice import Lattice

_FREE_PERIOD_PX: Final = 3.0


@dataclass(frozen=True, kw_only=True)
class Region:
    """One irregular region.

    Attributes
    ----------
    number : int
        From 1, the strongest first.
    kind : Kind
    directions : str
        Directions that meet at a wall, or the direction around anything else.
    positions : int
        Scan positions it covers.
    cells : float
        The same in unit cells; NaN without a lattice.
    area_nm2 : float
        NaN where the scan step is not known.
    centre_px, peak_px : (float, float)
        Centre weighted by the score, and place of the highest score: ``(y, x)`` in scan positions.
    peak_score, p_value : float
        Highest score (standard deviations) and the chance of it at a single position.
    box_px : (int, int, int, int)
        First row, first column, last row, last column.
    """

    number: int
    kind: Kind
    directions: str
    positions: int
    cells: float
    area_nm2: float
    centre_px: tuple[float, float]
    peak_px: tuple[float, float]
    peak_score: float
    p_value: float
    box_px: tuple[int, int, int, int]


def find_regions(
    irregular: NDArray[np.bool_],
    score: NDArray[np.floating],
    domain: NDArray[np.uint8],
    *,
    lattice: Lattice | None = None,
    signal: NDArray[np.floating] | None = None,
    thickness: Thickness | None = None,
    step_nm: float | None = None,
) -> tuple[list[Region], NDArray[np.int32]]:
    """Return the irregular regions of a map and which one each position belongs to.

    Parameters
    ----------
    irregular : ndarray of bool, shape (scan_y, scan_x)
    score : ndarray, same shape
        Of `irregularity`, standard deviations.
    domain : ndarray of uint8, same shape
        Direction of the domain; 255 undefined.
    lattice : Lattice, optional
    signal : ndarray, shape (scan_y, scan_x) or (k, scan_y, scan_x), optional
        Images with one value per pattern, the intensity first (virtual image, centre of mass): show where the
        thickness or the dose falls, and single lines that do not fit.
    thickness : (ndarray, ndarray), optional
        Thickness and its standard error, each of shape (scan_y, scan_x); NaN where not known.
    step_nm : float, optional
        Distance of scan positions.

    Returns
    -------
    regions : list of Region
        The strongest first.
    label : ndarray of int32, shape (scan_y, scan_x)
        Number of the region; 0 elsewhere.

    Raises
    ------
    ValueError
        If the maps differ in shape.

    Notes
    -----
    Positions nearer than a third of a cell belong together. A region is, in this order, a

    *scan glitch*: most of it lies along one or two whole lines of the scan that differ from their equals;
    *edge of information*: directions are undefined on one side of it, or the intensity falls by a quarter, or, where
    the direction does not change, the thickness by a twentieth and two of its standard errors;
    *domain wall*: most of it lies along a boundary between domains of nine cells or more each, that is, the
    direction changes and stays. Walls are listed whole, also where nothing else but the direction changes;
    *local defect*: anything else, as all returns to what it was.
    """
    images = as_images(signal, irregular.shape)
    for name, array in (("score", score), ("domain", domain)):
        if array.shape != irregular.shape:
            raise ValueError(f"the {name} has shape {array.shape}; the map has {irregular.shape}")
    known = lattice is not None and lattice.known
    period = lattice.period_px if lattice is not None and known else _FREE_PERIOD_PX
    cell_px = lattice.cell_area_px if lattice is not None and known else float("nan")
    kinds, label = divide(irregular, domain, images, lattice if known else None, period, thickness)
    height = np.nan_to_num(score, nan=0.0)
    around = settled_domains(domain, period)
    regions = []
    for index, box in enumerate(ndimage.find_objects(label), start=1):
        if box is None:
            continue
        inside = label[box] == index
        corner = np.array([part.start for part in box])
        weight = np.where(inside, np.maximum(height[box], 1e-3), 0)
        peak = np.unravel_index(int(np.argmax(np.where(inside, height[box], -np.inf))), inside.shape)
        centre = corner + ndimage.center_of_mass(weight)
        count, top = int(inside.sum()), float(height[box][peak])
        regions.append(
            Region(
                number=index,
                kind=kinds[index],
                directions=_directions_around(box, inside, around, kinds[index], period),
                positions=count,
                cells=count / cell_px,
                area_nm2=float("nan") if step_nm is None else count * step_nm**2,
                centre_px=(float(centre[0]), float(centre[1])),
                peak_px=(float(corner[0] + peak[0]), float(corner[1] + peak[1])),
                peak_score=top,
                p_value=float(special.ndtr(-top)),
                box_px=(box[0].start, box[1].start, box[0].stop - 1, box[1].stop - 1),
            )
        )
    return _numbered(regions, label)


def _directions_around(
    box: tuple[slice, slice], inside: NDArray[np.bool_], settled: NDArray[np.uint8], kind: Kind, period: float
) -> str:
    outer, ring = ring_around(box, inside, settled.shape, period)
    counts = np.bincount(settled[outer][ring], minlength=UNDEFINED + 1)[:N_DIRECTIONS]
    if not counts.any():
        return "undefined"
    order = np.argsort(-counts, kind="stable")
    met = sorted(order[:2]) if kind is Kind.WALL and counts[order[1]] else order[:1]
    return " | ".join(LABELS[direction] for direction in met)


def _numbered(regions: list[Region], label: NDArray[np.int32]) -> tuple[list[Region], NDArray[np.int32]]:
    """Number the regions by their strength."""
    ordered = sorted(regions, key=lambda region: -region.peak_score)
    new = np.zeros(int(label.max(initial=0)) + 1, np.int32)
    for number, region in enumerate(ordered, start=1):
        new[region.number] = number
    return [replace(region, number=number) for number, region in enumerate(ordered, start=1)], new[label]
