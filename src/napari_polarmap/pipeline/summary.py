"""A result in a few sentences, for the command line and the window."""

from __future__ import annotations

import numpy as np

from napari_polarmap.core.directions import LABELS, UNDEFINED
from napari_polarmap.io.result import PolarizationMap

_WORTH_NAMING = 0.02


def summarize(result: PolarizationMap) -> list[str]:
    """Return sentences on domains, confidence, irregular places and what was assumed."""
    rows, columns = result.scan_shape
    measured = result.provenance.get("measured", {})
    sentences = [f"{rows} x {columns} positions, classified by {result.provenance.get('model', {}).get('title', '?')}."]
    if "disk_radius_px" in measured:
        y, x = measured["disk_center_px"]
        sentences.append(
            f"The direct disk lies at ({y:.1f}, {x:.1f}) px with a radius of {measured['disk_radius_px']:.1f} px "
            f"({measured['mrad_per_px']:.3g} mrad per pixel)."
        )
    counts = np.bincount(result.domain.ravel(), minlength=UNDEFINED + 1)
    named = [
        f"{LABELS[index]} {counts[index] / result.domain.size:.0%}"
        for index in np.argsort(-counts[: len(LABELS)], kind="stable")
        if counts[index] >= _WORTH_NAMING * result.domain.size
    ]
    undefined = counts[UNDEFINED] / result.domain.size
    sentences.append(f"Domains: {', '.join(named) or 'none'}; undefined {undefined:.0%}.")
    told = result.direction != UNDEFINED
    if told.any():
        sentences.append(f"Median confidence {float(np.median(result.confidence[told])):.2f}.")
    fdr = result.provenance.get("parameters", {}).get("fdr")
    rate = "" if fdr is None else f" at a false-discovery rate of {fdr:.0%}"
    sentences.append(f"Irregular: {result.irregular.mean():.1%} of the positions{rate}.")
    if result.misclassified is not None:
        sentences.append(f"Different from the reference: {result.misclassified.mean():.1%} of the positions.")
    return sentences + list(result.provenance.get("notes", []))
