"""Compare photographs of the window with those in docs/images, within what fonts and drivers may change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
CELL_PX = 16
"""Pictures are compared by the mean colours of squares of this edge; letters and edges blur in them."""
MEAN_LEVELS = 5.0
"""Most mean difference of the squares [levels of 255]."""
FAR_LEVELS, FAR_SHARE = 40.0, 0.03
"""Most share of squares that differ by more than so many levels."""


def stored(name: str) -> NDArray[np.uint8]:
    """Return a photograph of docs/images, shape (rows, columns, 3)."""
    return np.asarray(Image.open(IMAGES / f"{name}.png").convert("RGB"))


def unlike(picture: NDArray[np.integer], expected: NDArray[np.integer]) -> str:
    """Return in words how two pictures differ; nothing where they are alike.

    Parameters
    ----------
    picture, expected : ndarray, shape (rows, columns, 3 or more)
        Red, green and blue from 0 to 255.
    """
    if picture.shape[:2] != expected.shape[:2]:
        return f"{picture.shape[:2]} px instead of {expected.shape[:2]}"
    difference = np.abs(_cells(picture) - _cells(expected)).max(axis=-1)
    mean, far = float(difference.mean()), float((difference > FAR_LEVELS).mean())
    if mean <= MEAN_LEVELS and far <= FAR_SHARE:
        return ""
    row, column = np.unravel_index(difference.argmax(), difference.shape)
    return (
        f"squares of {CELL_PX} px differ by {mean:.1f} levels on average (at most {MEAN_LEVELS:g}), {far:.1%} of them "
        f"by more than {FAR_LEVELS:g} (at most {FAR_SHARE:.0%}); most at x {CELL_PX * column}, y {CELL_PX * row}"
    )


def _cells(picture: NDArray[np.integer]) -> NDArray[np.float64]:
    rows, columns = (size // CELL_PX for size in picture.shape[:2])
    cut = picture[: rows * CELL_PX, : columns * CELL_PX, :3].astype(np.float64)
    return cut.reshape(rows, CELL_PX, columns, CELL_PX, 3).mean(axis=(1, 3))
