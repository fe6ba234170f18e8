"""Principal components and nearest neighbours, stored as plain arrays.

The pattern's even and odd parts are standardised and reduced to principal components
of equal variance. The strongest components are thickness and tilt, so neighbours are
sought along the discriminant axes of these components, in which the directions differ
most against everything else. Scaler, components and axes are fitted on training
specimens only.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from napari_polarmap.core.directions import N_DIRECTIONS
from napari_polarmap.models.features import even_and_odd

N_CLASSES: Final = N_DIRECTIONS + 1
_PRIOR: Final = 0.3
"""Votes given to every class beforehand, so that five equal neighbours do not make certainty."""


class KNNPredictor:
    """Nearest neighbours in the space of principal components."""

    def __init__(self, tables: dict[bool, dict[str, NDArray[np.float32]]], neighbours: int) -> None:
        from sklearn.neighbors import NearestNeighbors

        self.tables, self.neighbours = tables, neighbours
        self.search = {
            pooled: NearestNeighbors(n_neighbors=neighbours).fit(table["points"]) for pooled, table in tables.items()
        }

    def predict_logits(
        self, patterns: NDArray[np.float32], *, pooled: bool, electrons: NDArray[np.float64] | None = None
    ) -> NDArray[np.float32]:
        """Return log-votes of the eight directions and of "none", shape (n, 9)."""
        table = self.tables[pooled]
        _, index = self.search[pooled].kneighbors(project(patterns, table))
        labels = table["labels"].astype(np.int64)[index]
        votes = np.stack([(labels == c).sum(axis=1) for c in range(N_CLASSES)], axis=1) + _PRIOR
        return np.log(votes).astype(np.float32)

    def embed(self, patterns: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the place of each pattern among the averages over the cell, shape (n, axes)."""
        return project(patterns, self.tables[True])


def raw_features(patterns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return even and odd parts, averaged over 2 x 2 pixels, shape (n, features)."""
    with torch.inference_mode():
        channels = even_and_odd(torch.from_numpy(np.ascontiguousarray(patterns, np.float32)))
        small = torch.nn.functional.avg_pool2d(channels, 2)
    return np.asarray(small.flatten(1).numpy(), dtype=np.float32)


def project(patterns: NDArray[np.float32], table: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return patterns as points in the space where neighbours are sought, shape (n, axes)."""
    standardised = ((raw_features(patterns) - table["mean"]) / table["scale"]).astype(np.float64)
    # In float64, so that the last digit does not depend on how many patterns are asked about at once.
    return np.asarray(standardised @ table["components"].T.astype(np.float64), dtype=np.float32)


def fit(
    patterns: NDArray[np.float32],
    labels: NDArray[np.integer[Any]],
    *,
    components: int,
    seed: int,
    discriminant: bool = True,
) -> dict[str, NDArray[Any]]:
    """Fit scaler and components on training patterns; return the table of one predictor.

    Parameters
    ----------
    patterns : ndarray, shape (n, edge, edge)
        On the classifier's grid.
    labels : ndarray of int, shape (n,)
        0 to 7, 8 for unpolarised.
    components : int
    seed : int
        Of the randomised decomposition.
    discriminant : bool
        Seek neighbours along the discriminant axes; else among the components, as in
        Martinc et al., Sci. Rep. 16, 27448 (2026).
    """
    from sklearn.decomposition import PCA
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    features = raw_features(patterns)
    mean, scale = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-4)
    standardised = (features - mean) / scale
    pca = PCA(components, svd_solver="randomized", random_state=seed, whiten=True).fit(standardised)
    vectors = pca.components_ / np.sqrt(pca.explained_variance_)[:, None]
    if discriminant:
        # A constant offset moves all points alike and changes no distance.
        axes = LinearDiscriminantAnalysis().fit(standardised @ vectors.T, labels).scalings_
        vectors = axes.T @ vectors
    table = {"mean": mean, "scale": scale, "components": vectors.astype(np.float32)}
    table["points"] = project(patterns, table).astype(np.float16)
    table["labels"] = labels.astype(np.uint8)
    return table


def build(arrays: dict[str, NDArray[Any]], options: dict[str, Any]) -> KNNPredictor:
    """Build the predictor from arrays named ``single.*`` and ``pooled.*``."""
    tables = {}
    for pooled, prefix in ((False, "single."), (True, "pooled.")):
        tables[pooled] = {
            key: arrays[prefix + key].astype(np.float32) for key in ("mean", "scale", "components", "points", "labels")
        }
    return KNNPredictor(tables, int(options.get("neighbours", 5)))
