"""Figures of what a classifier gets wrong on a scan with known truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.misclassification import analyse_errors
from napari_polarmap.io.error_figure import error_figure, irregularity_figure
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.pipeline.review import lattice_of


def write_error_figures(
    folder: Path,
    stem: str,
    pooled: PolarizationMap,
    label: NDArray[np.uint8],
    defect: NDArray[np.bool_] | None,
) -> list[Path]:
    """Write how the single-pattern map and the domains differ from the truth, and what is irregular.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    stem : str
        Beginning of the file names.
    pooled : PolarizationMap
    label : ndarray of uint8, shape (scan_y, scan_x)
        True class.
    defect : ndarray of bool, same shape, optional

    Returns
    -------
    paths : list of Path
        ``STEM_errors_single.png``, ``STEM_errors_domain.png`` and, with `defect`, ``STEM_irregularity.png``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lattice = lattice_of(pooled)
    maps = {"domain": (pooled.domain, "domains")}
    if pooled.single_direction is not None:
        maps = {"single": (pooled.single_direction, "single patterns")} | maps
    paths = [
        error_figure(
            analyse_errors(predicted, label, irregular=pooled.irregular, lattice=lattice),
            folder / f"{stem}_errors_{name}.png",
            title=f"{stem}: {title} against the truth",
        )
        for name, (predicted, title) in maps.items()
    ]
    if defect is not None and pooled.virtual_image is not None:
        paths.append(
            irregularity_figure(
                folder / f"{stem}_irregularity.png",
                image=pooled.virtual_image,
                truth=defect,
                score=pooled.irregularity,
                mask=pooled.irregular,
                lattice=lattice,
                title=stem,
            )
        )
    return paths
