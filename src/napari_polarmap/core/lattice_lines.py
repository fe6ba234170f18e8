"""Lines of a lattice over a scan, to be drawn over its virtual image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.lattice import Lattice

_BINS = 12
_MOST = 400


def lattice_lines(lattice: Lattice, image: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the lines through the darkest places of an image along both lattice vectors.

    Parameters
    ----------
    lattice : Lattice
        Known; otherwise there are no lines.
    image : ndarray, shape (scan_y, scan_x)
        Bright field: atom columns are dark.

    Returns
    -------
    segments : ndarray, shape (n, 2, 2)
        Start and end ``(y, x)`` in scan positions, inside the scan; at most 400 lines along each vector.
    """
    if not lattice.known:
        return np.zeros((0, 2, 2))
    vectors = lattice.vectors_px
    height, width = image.shape
    corners = np.array([(0, 0), (0, width - 1), (height - 1, 0), (height - 1, width - 1)], dtype=np.float64)
    origin = _darkest(lattice, image)
    index = (corners - origin) @ np.linalg.inv(vectors)
    segments = []
    for along, across in ((0, 1), (1, 0)):
        low, high = np.ceil(index[:, across].min()), np.floor(index[:, across].max())
        step = max(1.0, np.ceil((high - low + 1) / _MOST))
        for count in np.arange(low, high + 1, step):
            found = _inside(origin + count * vectors[across], vectors[along], (height, width))
            segments += [found] if found is not None else []
    return np.array(segments, dtype=np.float64).reshape(-1, 2, 2)


def _darkest(lattice: Lattice, image: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the place in the first cell where the image is darkest on average."""
    place = np.floor(lattice.phase(image.shape[:2]) * _BINS).astype(np.int64) % _BINS
    index = place[..., 0] * _BINS + place[..., 1]
    used = np.isfinite(image)
    count = np.bincount(index[used], minlength=_BINS**2)
    mean = np.bincount(index[used], image[used], minlength=_BINS**2) / np.maximum(count, 1)
    first, second = np.unravel_index(int(np.where(count > 0, mean, np.inf).argmin()), (_BINS, _BINS))
    return np.asarray((np.array([first, second]) + 0.5) / _BINS @ lattice.vectors_px, dtype=np.float64)


def _inside(
    point: NDArray[np.float64], direction: NDArray[np.float64], shape: tuple[int, int]
) -> NDArray[np.float64] | None:
    """Return the part of a line inside the scan, or None."""
    enter, leave = -np.inf, np.inf
    for start, slope, length in zip(point, direction, shape, strict=True):
        if abs(slope) < 1e-12:
            if not -0.5 <= start <= length - 0.5:
                return None
            continue
        ends = sorted(((-0.5 - start) / slope, (length - 0.5 - start) / slope))
        enter, leave = max(enter, ends[0]), min(leave, ends[1])
    if not enter < leave:
        return None
    return np.array([point + enter * direction, point + leave * direction])
