"""Figures of how predictions differ from a reference, and of what is irregular beside the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from napari_polarmap.core.directions import ANGLES_DEG, COLORS, LABELS, N_DIRECTIONS
from napari_polarmap.core.lattice import Lattice
from napari_polarmap.core.misclassification import ErrorAnalysis
from napari_polarmap.core.whole_file import whole_file

PANELS: Final = ("confusion", "regions", "cell", "spectrum")
_MOST_ARCS: Final = 24


def error_figure(analysis: ErrorAnalysis, path: str | Path, *, title: str = "") -> Path:
    """Write the four plots of an error analysis as one picture, in the format of the suffix."""
    figure = Figure(figsize=(9.6, 8.4), layout="constrained")
    draw_errors(figure, analysis)
    if title:
        figure.suptitle(title, fontsize=11)
    return _written(figure, Path(path), dpi=130)


def draw_errors(figure: Figure, analysis: ErrorAnalysis, *, columns: int = 2) -> None:
    """Draw confusion circle, accuracy per region, mean cell and spectrum of the errors into a figure."""
    figure.clear()
    parts = figure.subfigures(len(PANELS) // columns, columns, squeeze=False).ravel()
    panels = [part.subplots() for part in parts]
    draw_confusion(panels[0], analysis.confusion)
    _draw_scores(panels[1], analysis)
    _draw_cell(panels[2], analysis)
    _draw_spectrum(panels[3], analysis)


def draw_confusion(axes: Any, confusion: NDArray[np.int64]) -> None:
    """Draw a confusion matrix on the circle of directions.

    Each reference direction stands at its angle; the disk there is as large as its number of positions, and the
    filled part is right. A curve leads to each direction that was taken instead, as wide as that is frequent.
    """
    from matplotlib.patches import Circle, FancyArrowPatch, Wedge

    total = max(int(confusion.sum()), 1)
    per_class = confusion.sum(axis=1)
    angle = np.deg2rad(ANGLES_DEG)
    place = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    wrong = confusion[:, :N_DIRECTIONS] * (1 - np.eye(N_DIRECTIONS, dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_ARCS]
    for one, other in zip(*np.unravel_index(order, wrong.shape), strict=True):
        share = wrong[one, other] / total
        if share < 0.001:
            continue
        style = {"connectionstyle": "arc3,rad=0.18", "arrowstyle": "-|>", "mutation_scale": 7 + 20 * share}
        ends = (tuple(0.86 * place[one]), tuple(0.86 * place[other]))
        axes.add_patch(FancyArrowPatch(*ends, color=COLORS[one], lw=0.6 + 14 * share, alpha=0.85, **style))
    for direction, (x, y) in enumerate(place):
        count = int(per_class[direction])
        radius = 0.07 + 0.13 * np.sqrt(count / total)
        axes.add_patch(Circle((x, y), radius, facecolor="none", edgecolor=COLORS[direction], lw=1.5))
        if count:
            right = confusion[direction, direction] / count
            axes.add_patch(Wedge((x, y), radius, 90 - 360 * right, 90, facecolor=COLORS[direction], lw=0))
        share = "" if not count else f"\n{confusion[direction, direction] / count:.0%}"
        axes.text(1.38 * x, 1.38 * y, f"{LABELS[direction]}{share}", ha="center", va="center", fontsize=8)
    undefined = int(confusion[:, N_DIRECTIONS].sum())
    axes.text(0, 0, f"undefined\n{undefined / total:.1%}", ha="center", va="center", fontsize=8, alpha=0.8)
    axes.set(xlim=(-1.7, 1.7), ylim=(-1.6, 1.6), aspect="equal")
    axes.set_title("reference → taken for", fontsize=10)
    axes.set_axis_off()


def _draw_scores(axes: Any, analysis: ErrorAnalysis) -> None:
    scores = analysis.scores[::-1]
    place = np.arange(len(scores))
    values = np.nan_to_num([score.accuracy for score in scores])
    colors = [COLORS[LABELS.index(score.region[:2])] if score.region[:2] in LABELS else "#8a929c" for score in scores]
    axes.barh(place, values, color=colors, height=0.7)
    for y, score in zip(place, scores, strict=True):
        text = "none" if not score.positions else f"{score.accuracy:.1%} of {score.positions}"
        axes.text(1.02, y, text, va="center", fontsize=7)
    axes.set_yticks(place, [score.region for score in scores], fontsize=8)
    axes.set_xlim(0, 1)
    axes.set_title("accuracy per region", fontsize=10)
    axes.tick_params(axis="x", labelsize=7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _draw_cell(axes: Any, analysis: ErrorAnalysis) -> None:
    axes.set_title("share of errors in the unit cell", fontsize=10)
    if analysis.cell is None:
        _say(axes, "no lattice")
        return
    image = axes.imshow(analysis.cell, extent=(0, 1, 1, 0), cmap="magma", vmin=0)
    axes.set_xlabel("first lattice vector", fontsize=8)
    axes.set_ylabel("second lattice vector", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.figure.colorbar(image, ax=axes, shrink=0.8).ax.tick_params(labelsize=7)


def _draw_spectrum(axes: Any, analysis: ErrorAnalysis) -> None:
    found = analysis.spectrum
    axes.set_title("spectrum of the errors", fontsize=10)
    if not found.power.any():
        _say(axes, "no errors" if not np.nansum(analysis.error) else "errors everywhere")
        return
    y, x = found.frequency
    shown = np.log10(np.maximum(found.power, 1e-9))
    low, high = np.quantile(shown, [0.3, 0.999])
    axes.imshow(shown, extent=(x[0], x[-1], y[-1], y[0]), cmap="gray", vmin=low, vmax=max(high, low + 1))
    reach = 0.5
    if len(found.peaks):
        axes.scatter(
            found.peaks[:, 1], found.peaks[:, 0], s=36, facecolors="none", edgecolors="#ff2fd0", linewidths=0.9
        )
        reach = min(0.5, 1.2 * float(np.abs(found.peaks).max()))
        axes.set_xlabel(
            f"{found.periodic:.1%} of the error power repeats with the lattice;\n"
            f"by chance {found.by_chance:.1%} ± {found.by_chance_std:.1%} (uncorrelated {found.uncorrelated:.1%})",
            fontsize=8,
        )
    axes.set(xlim=(-reach, reach), ylim=(reach, -reach), xticks=[], yticks=[])


def _say(axes: Any, text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, fontsize=9)
    axes.set_axis_off()


def irregularity_figure(
    path: str | Path,
    *,
    image: NDArray[np.floating],
    truth: NDArray[np.bool_],
    score: NDArray[np.floating],
    mask: NDArray[np.bool_],
    lattice: Lattice | None = None,
    title: str = "",
) -> Path:
    """Write virtual image, truth, score and mask of a scan side by side.

    Parameters
    ----------
    path : str or Path
    image, score : ndarray, shape (scan_y, scan_x)
    truth, mask : ndarray of bool, same shape
    lattice : Lattice, optional
        Draws the length of a unit cell.
    title : str
    """
    figure = Figure(figsize=(12, 3.4), layout="constrained")
    panels = figure.subplots(1, 4)
    panels[0].imshow(image, cmap="gray")
    panels[1].imshow(truth, cmap="gray_r", vmin=0, vmax=1.6)
    shown = panels[2].imshow(score, cmap="inferno", vmin=0, vmax=max(6.0, float(np.nanquantile(score, 0.998))))
    panels[3].imshow(mask, cmap="gray_r", vmin=0, vmax=1.6)
    for axes, name in zip(panels, ("bright field", "truth", "irregularity score", "marked"), strict=True):
        axes.set_title(name, fontsize=9)
        axes.set(xticks=[], yticks=[])
        if name in ("irregularity score", "marked") and truth.any():
            axes.contour(truth, [0.5], colors="#00d0ff", linewidths=0.9)
    if lattice is not None and lattice.known:
        row = image.shape[0] * 0.95
        panels[0].plot([2, 2 + lattice.period_px], [row, row], color="#ffb000", lw=3)
    figure.colorbar(shown, ax=panels[2], shrink=0.8).ax.tick_params(labelsize=7)
    figure.suptitle(title, fontsize=10)
    return _written(figure, Path(path), dpi=110)


def _written(figure: Figure, path: Path, *, dpi: int) -> Path:
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=dpi, format=path.suffix.lstrip("."))
    return path
