"""What kind of irregularity a region is: wall, local defect, edge of information, or scan glitch."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_polarmap.core.directions import N_DIRECTIONS, UNDEFINED
from napari_polarmap.core.lattice import Lattice

_JOINED_CELLS: Final = 0.3
_STAYS_CELLS: Final = 9.0
_WALL_CELLS: Final = 0.75
_WALL_LENGTH_CELLS: Final = 1.5
_MOSTLY: Final = 0.6
_UNDEFINED_BEYOND: Final = 0.5
_FALLS_BY: Final = 0.25
_THINS_BY: Final = 0.05
_THINS_IN_ERRORS: Final = 2.0
_LINE_ROWS: Final = 2
_LINE_ACROSS: Final = 0.6
_LINE_Z: Final = 8.0
_SQUARE: Final = np.ones((3, 3), np.bool_)


Thickness = tuple[NDArray[np.floating], NDArray[np.floating]]
"""A map of thicknesses and one of their standard errors, of the same unit; NaN where not known."""


class Kind(StrEnum):
    """What makes a region irregular."""

    WALL = "domain wall"
    DEFECT = "local defect"
    EDGE = "edge of information"
    GLITCH = "scan glitch"


def glitch_lines(
    signal: NDArray[np.floating], lattice: Lattice | None = None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which rows and which columns of a scan do not fit the lines that are their equals.

    Parameters
    ----------
    signal : ndarray, shape (scan_y, scan_x) or (k, scan_y, scan_x)
    lattice : Lattice, optional

    Returns
    -------
    rows : ndarray of bool, shape (scan_y,)
    columns : ndarray of bool, shape (scan_x,)

    Notes
    -----
    Each line is compared with the lines next to it and, with a lattice, with those one cell before and after;
    the smallest difference counts, so that no atom row is taken for a glitch. A line differs if that exceeds
    the usual by eight robust standard deviations, and no more than two neighbouring lines do.
    """
    images = as_images(signal, np.shape(signal)[-2:])
    steps = lattice.vectors_px if lattice is not None and lattice.known else np.eye(2)
    return _odd_lines(images, steps[1]), _odd_lines(images.swapaxes(1, 2), steps[0][::-1])


def as_images(signal: NDArray[np.floating] | None, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return one image, a stack or nothing as a stack, shape (k, scan_y, scan_x)."""
    images = np.zeros((0, *shape)) if signal is None else np.asarray(signal, np.float64)
    images = images[None] if images.ndim == 2 else images
    if images.shape[1:] != shape:
        raise ValueError(f"the signal has shape {images.shape}; the map has {shape}")
    return images


def _odd_lines(images: NDArray[np.float64], step: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return the rows that differ from their equals, `step` (rows, columns) away."""
    odd = np.zeros(images.shape[1], np.bool_)
    for image in images[np.isfinite(images).any(axis=(1, 2))]:
        middle = float(np.nanmedian(image))
        flat = np.where(np.isfinite(image), image - middle, 0)
        least = np.fmin(*(_row_means(np.abs(flat - _shifted(flat, sign * step))) for sign in (1, -1)))
        least = np.nan_to_num(least, nan=float(np.nanmedian(least)) if np.isfinite(least).any() else 0.0)
        usual = float(np.median(least))
        width = max(1.4826 * float(np.median(np.abs(least - usual))), 0.02 * usual, 1e-12)
        odd |= least > usual + _LINE_Z * width
    runs, n = ndimage.label(odd)
    for run in range(1, n + 1):
        if (runs == run).sum() > _LINE_ROWS:
            odd[runs == run] = False
    return odd


def _shifted(image: NDArray[np.float64], step: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(ndimage.shift(image, step, order=1, mode="constant", cval=np.nan), dtype=np.float64)


def _row_means(image: NDArray[np.float64]) -> NDArray[np.float64]:
    seen = np.isfinite(image)
    total = np.where(seen, image, 0).sum(axis=1)
    return np.asarray(total / np.where(seen.any(axis=1), seen.sum(axis=1), np.nan), dtype=np.float64)


def _disk(radius_px: float) -> NDArray[np.bool_]:
    reach = max(1, int(np.floor(radius_px)))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return np.asarray(np.hypot(y, x) <= max(radius_px, 1.0))


def settled_domains(domain: NDArray[np.uint8], period: float) -> NDArray[np.uint8]:
    """Return the domains without those too small to be one; these take the direction next to them."""
    large = np.zeros(domain.shape, np.bool_)
    for direction in np.unique(domain):
        parts, n = ndimage.label(domain == direction)
        sizes = np.bincount(parts.ravel(), minlength=n + 1)
        large |= (sizes >= _STAYS_CELLS * period**2)[parts] & (parts > 0)
    if large.all() or not large.any():
        return domain
    nearest = ndimage.distance_transform_edt(~large, return_distances=False, return_indices=True)
    return np.asarray(domain[tuple(nearest)])


def _walls(settled: NDArray[np.uint8], period: float) -> tuple[NDArray[np.int32], int]:
    """Return a label of the boundaries between defined domains, one for each stretch between two directions."""
    label, total = np.zeros(settled.shape, np.int32), 0
    present = [direction for direction in range(N_DIRECTIONS) if (settled == direction).any()]
    cross = ndimage.generate_binary_structure(2, 1)
    for i, one in enumerate(present):
        for other in present[i + 1 :]:
            first, second = settled == one, settled == other
            edge = (first & ndimage.binary_dilation(second, cross)) | (second & ndimage.binary_dilation(first, cross))
            parts, n = ndimage.label(edge, _SQUARE)
            for part in range(1, n + 1):
                place = np.argwhere(parts == part)
                if np.linalg.norm(np.ptp(place, axis=0)) >= _WALL_LENGTH_CELLS * period:
                    total += 1
                    label[tuple(place.T)] = total
    return label, total


def divide(
    irregular: NDArray[np.bool_],
    domain: NDArray[np.uint8],
    images: NDArray[np.float64],
    lattice: Lattice | None,
    period: float,
    thickness: Thickness | None = None,
) -> tuple[dict[int, Kind], NDArray[np.int32]]:
    """Return the kind of each region by its index, and the index at each position."""
    settled = settled_domains(domain, period)
    label, n_walls = _walls(settled, period)
    kinds = dict.fromkeys(range(1, n_walls + 1), Kind.WALL)
    lines, line_kinds = _lines(images, lattice, irregular)
    to_wall, nearest_wall = _nearest(label)
    to_line, nearest_line = _nearest(lines)
    kinds |= {n_walls + index: Kind.GLITCH for index in line_kinds}
    label = np.where(lines > 0, lines + n_walls, label)
    index = n_walls + len(line_kinds)
    bright = ndimage.gaussian_filter(np.nan_to_num(images[0]), period) if len(images) else None
    parts, _ = ndimage.label(ndimage.binary_dilation(irregular, _disk(_JOINED_CELLS * period)), _SQUARE)
    for part, box in enumerate(ndimage.find_objects(parts), start=1):
        inside = (parts[box] == part) & irregular[box]
        if (to_line[box][inside] <= _WALL_CELLS * period).mean() >= _MOSTLY:
            label[box][inside] = n_walls + _commonest(nearest_line[box][inside])
        elif _is_edge(box, inside, settled, bright, period):
            index += 1
            kinds[index] = Kind.EDGE
            label[box][inside] = index
        elif (to_wall[box][inside] <= _WALL_CELLS * period).mean() >= _MOSTLY:
            label[box][inside] = _commonest(nearest_wall[box][inside])
        else:
            index += 1
            kinds[index] = Kind.EDGE if _is_step(box, inside, thickness, period) else Kind.DEFECT
            label[box][inside] = index
    return kinds, label.astype(np.int32)


def _lines(
    images: NDArray[np.float64], lattice: Lattice | None, irregular: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], list[int]]:
    """Return a label of the lines of the scan that do not fit and of which most is irregular."""
    label = np.zeros(irregular.shape, np.int32)
    found: list[int] = []
    if not len(images):
        return label, found
    for odd, axis in zip(glitch_lines(images, lattice), (0, 1), strict=True):
        runs, n = ndimage.label(odd)
        for run in range(1, n + 1):
            line = np.expand_dims(runs == run, 1 - axis) & np.ones(irregular.shape, np.bool_)
            if irregular.any(axis=axis, where=line).mean() >= _LINE_ACROSS:
                found.append(len(found) + 1)
                label[line] = found[-1]
    return label, found


def _nearest(label: NDArray[np.int32]) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Return the distance to the nearest labelled position, and its label."""
    if not label.any():
        return np.full(label.shape, np.inf), label
    distance, place = ndimage.distance_transform_edt(label == 0, return_indices=True)
    return distance, label[tuple(place)]


def _commonest(values: NDArray[np.integer]) -> int:
    return int(np.bincount(values.ravel()).argmax())


def ring_around(
    box: tuple[slice, slice], inside: NDArray[np.bool_], shape: tuple[int, ...], period: float
) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
    """Return what lies between half a cell and one and a half cells around a region, as a box and a mask in it.

    `inside` is the mask of the region in its own `box`.
    """
    by = int(np.ceil(1.5 * period)) + 1
    rows, columns = (slice(max(0, part.start - by), min(n, part.stop + by)) for part, n in zip(box, shape, strict=True))
    own = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.bool_)
    top, left = box[0].start - rows.start, box[1].start - columns.start
    own[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    distance = ndimage.distance_transform_edt(~own)
    return (rows, columns), np.asarray((distance > 0.5 * period) & (distance <= 1.5 * period))


def _sides_differ(
    outer: tuple[slice, slice], ring: NDArray[np.bool_], level: NDArray[np.floating], least: float, period: float
) -> bool:
    """Tell whether the mean of a map on one side of a region exceeds that on the other by more than `least`."""
    place = np.argwhere(ring)
    values, away = level[outer][ring], place - place.mean(axis=0)
    for angle in np.pi * np.arange(4) / 4:
        side = away @ [np.sin(angle), np.cos(angle)]
        means = [_mean(values[sign * side > 0.5 * period]) for sign in (1, -1)]
        if abs(means[0] - means[1]) > least:
            return True
    return False


def _mean(values: NDArray[np.floating]) -> float:
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else float("nan")


def _is_edge(
    box: tuple[slice, slice],
    inside: NDArray[np.bool_],
    settled: NDArray[np.uint8],
    bright: NDArray[np.float64] | None,
    period: float,
) -> bool:
    """Tell whether directions end at a region, or the intensity falls from one side of it to the other."""
    outer, ring = ring_around(box, inside, settled.shape, period)
    if not ring.any():
        return False
    if _sides_differ(outer, ring, (settled == UNDEFINED).astype(np.float64), _UNDEFINED_BEYOND, period):
        return True
    if bright is None:
        return False
    return _sides_differ(outer, ring, bright, _FALLS_BY * float(np.abs(bright[outer][ring]).max()), period)


def _is_step(box: tuple[slice, slice], inside: NDArray[np.bool_], thickness: Thickness | None, period: float) -> bool:
    """Tell whether the thickness changes from one side of a region to the other."""
    if thickness is None:
        return False
    value, error = thickness
    outer, ring = ring_around(box, inside, value.shape, period)
    typical = [_mean(each[outer][ring]) for each in (value, error)]
    if not np.isfinite(typical).all():
        return False
    return _sides_differ(outer, ring, value, max(_THINS_BY * typical[0], _THINS_IN_ERRORS * typical[1]), period)
