"""The physical estimator as a classifier: templates of polarization, tilt and disk offset."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.directions import N_DIRECTIONS
from napari_polarmap.core.estimator import Estimate, class_evidence, estimate_parameters
from napari_polarmap.core.odd_part import fold, normalised
from napari_polarmap.core.template_fit import MOST_ELECTRONS, PhysicalModel, counting_variance, noise_variance
from napari_polarmap.models.weights import read_arrays

TEMPLATE_FILE: Final = Path(__file__).with_name("weights") / "template.safetensors"


class TemplatePredictor:
    """Weighs the eight directions and "none" against each other; see `core.estimator`."""

    def __init__(self, model: PhysicalModel) -> None:
        self.model = model

    def predict_logits(
        self,
        patterns: NDArray[np.float32],
        *,
        pooled: bool,
        electrons: NDArray[np.float64] | None = None,
        batch: int = 128,
    ) -> NDArray[np.float32]:
        """Return log-evidence of the eight directions and of "none", shape (n, 9).

        A single pattern knows its probe position better than its polarization, and the
        templates hold for averages over unit cells: all nine are then alike. Noise is that
        of the `electrons` counted, see `core.template_fit.counting_variance`.
        """
        if not pooled:
            return np.zeros((len(patterns), N_DIRECTIONS + 1), np.float32)
        parts = []
        for first in range(0, len(patterns), batch):
            some = slice(first, first + batch)
            counted = None if electrons is None else electrons[some]
            variance = counting_variance(self.model, patterns[some], counted)
            parts.append(class_evidence(self.model, patterns[some], variance))
        logits = np.concatenate(parts) if parts else np.zeros((0, N_DIRECTIONS + 1))
        return np.asarray(logits - logits.max(axis=1, keepdims=True), np.float32)

    def embed(self, patterns: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the strongest modes of odd and symmetric part of each pattern, shape (n, 24)."""
        odd, even = fold(normalised(patterns))
        z_odd = (odd * self.model.weight) @ self.model.odd_modes[:8].T
        z_even = ((even - self.model.mean) * self.model.weight) @ self.model.even_modes[:8].T
        return np.asarray(np.concatenate([z_odd.reshape(len(patterns), -1), z_even], axis=1), np.float32)

    def estimate(
        self,
        patterns: NDArray[np.floating],
        electrons: float | NDArray[np.floating] | None = None,
    ) -> Estimate:
        """Return polarization, tilt and thickness of pooled patterns, with standard errors.

        Parameters
        ----------
        patterns : ndarray, shape (n, grid_px, grid_px)
            Averages over whole unit cells on the classifier's grid. Any positive scale.
        electrons : float or ndarray, shape (n,), optional
            Electrons counted in each pooled window (electrons per pattern times
            `Window.effective_positions`); infinite for exact simulated patterns. Told
            from the pattern's own noise where absent or NaN.

        Returns
        -------
        Estimate

        Raises
        ------
        ValueError
            If a number of electrons is not positive.
        """
        given = np.nan if electrons is None else electrons
        count = np.broadcast_to(np.asarray(given, np.float64), (len(patterns),))
        if (count <= 0).any():
            raise ValueError(f"electrons is {np.nanmin(count):g} for a pattern; it must be positive")
        variance = 1 / np.minimum(count, MOST_ELECTRONS)
        if np.isnan(count).any():
            variance = np.where(np.isnan(count), noise_variance(self.model, patterns), variance)
        return estimate_parameters(self.model, patterns, variance)


def build(arrays: dict[str, NDArray[Any]], _options: dict[str, Any]) -> TemplatePredictor:
    """Build the predictor from the arrays of `PhysicalModel`."""
    known = {entry.name: arrays[entry.name].astype(np.float64) for entry in fields(PhysicalModel)}
    return TemplatePredictor(PhysicalModel(**known))


def load_estimator(path: str | Path = TEMPLATE_FILE) -> TemplatePredictor:
    """Load the packaged estimator, whichever classifier makes the map."""
    return build(read_arrays(path), {})
