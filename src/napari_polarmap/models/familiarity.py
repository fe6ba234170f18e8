"""Whether a pattern looks like those a classifier was trained on, whatever its direction.

Seen is only what all eight operations of the square leave alone: the pattern averaged
over them, in pixels of 2 x 2. There, neither the direction nor the sign of the tilt is
left; material, zone axis, thickness and illumination are. Counting noise is estimated
from the pattern itself and enters every comparison, so that a weak pattern is not
strange because it is noisy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import expit, logsumexp, softmax

from napari_polarmap.core.symmetry import OPERATIONS

_RADIUS: Final = 0.84
"""Of the half edge of the pattern: 28 mrad on the grid of 64 pixels of 1.05 mrad."""
_DISK: Final = 0.58
"""Inside this share of the half edge lies the disk of every convergence in use."""
_SYSTEMATIC: Final = 0.005
"""Relative error of a symmetrised pixel beyond counting: gain, resampling."""
_BROAD: Final = (2.0, 0.1)
"""The alternative: covariance of everything times the first, and the second as relative scatter."""
_LEVELS_PER_DECADE: Final = 5
_LEAST, _MOST = 3e3, 3e7
_INTERPOLATED: Final = 0.5
"""Resampling smooths noise; on the grid it looks like that of twice the electrons."""
_MOST_OVER: Final = 2.5
_DARK_SIGMA: Final = 4.0
"""So many more dark pixels than counting explains lie beyond the detector."""
_MARGIN, _WIDTH = 1.2, 0.1
"""Limits lie 20 % beyond what 99 of 100 held-out patterns keep, and are this soft."""
_COMPONENTS: Final = 12
_ROWS_EACH: Final = 200


def electrons_seen(patterns: NDArray[np.floating]) -> NDArray[np.float64]:
    """Estimate how many electrons a pattern rests on, from its own counting noise.

    The noise is read from second differences of the part odd under 180 degrees inside
    the disk, in pixels of 2 x 2. Structure of the pattern limits the estimate to about 1e7.

    Parameters
    ----------
    patterns : ndarray, shape (n, edge, edge)

    Returns
    -------
    electrons : ndarray, shape (n,)
        0 for patterns without counts.
    """
    binned = _binned(patterns)
    odd = (binned - binned[:, ::-1, ::-1]) / 2
    rough = odd[:, :-2] - 2 * odd[:, 1:-1] + odd[:, 2:]
    rough = rough[:, :, :-2] - 2 * rough[:, :, 1:-1] + rough[:, :, 2:]
    inside = _radius(binned.shape[1]) < _DISK
    # A second difference in both directions sums 36 variances; half of a variance is odd.
    counted = 36 * binned[:, inside].sum(axis=1) / 2
    found = (rough[:, inside[1:-1, 1:-1]] ** 2).sum(axis=1)
    return np.where(counted > 0, _INTERPOLATED * counted / np.maximum(found, 1e-30), 0.0)


def electrons_behind(patterns: NDArray[np.floating], counted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the electrons that patterns rest on: those counted, where their noise does not say otherwise.

    Resampling can make noise look like that of half or twice the electrons. Where fewer are
    seen than that allows, counts are not electrons, or the pattern's own structure hides its
    noise; a bound of 2.5 times the electrons seen is then taken.

    Parameters
    ----------
    patterns : ndarray, shape (n, edge, edge)
    counted : ndarray, shape (n,)
        Infinite for exact intensities, NaN where not known.
    """
    seen = electrons_seen(patterns)
    return np.where(np.isnan(counted), seen, np.fmin(_MOST_OVER * seen, counted))


def _binned(patterns: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return patterns of sum 1 in pixels of 2 x 2."""
    n, edge = patterns.shape[:2]
    binned = patterns.reshape(n, edge // 2, 2, edge // 2, 2).sum(axis=(2, 4), dtype=np.float64)
    total = binned.sum(axis=(1, 2), keepdims=True)
    return np.asarray(np.divide(binned, total, out=np.zeros_like(binned), where=total > 0))


def _radius(bins: int) -> NDArray[np.float64]:
    """Distance from the middle as a share of the half edge."""
    y, x = np.mgrid[:bins, :bins] - (bins - 1) / 2
    return np.asarray(np.hypot(y, x) / (bins / 2), dtype=np.float64)


def _octant(bins: int) -> NDArray[np.bool_]:
    y, x = np.mgrid[:bins, :bins] - (bins - 1) / 2
    chosen: NDArray[np.bool_] = (y > 0) & (x > 0) & (y >= x) & (_radius(bins) < _RADIUS)
    return chosen


def features(patterns: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return one octant of the patterns averaged over the operations of the square.

    Returns
    -------
    values : ndarray, shape (n, k)
        In units of the mean inside the disk.
    seen : ndarray of bool, shape (n, k)
        False where some of the averaged pixels lie beyond the detector: dark, where
        counts were to be expected.
    """
    binned = _binned(patterns)
    bins = binned.shape[1]
    octant = _octant(bins)
    total = np.mean([operation.images(binned)[:, octant] for operation in OPERATIONS], axis=0)
    dark = (patterns <= 0).reshape(-1, bins, 2, bins, 2).mean(axis=(2, 4))
    dark = np.mean([operation.images(dark)[:, octant] for operation in OPERATIONS], axis=0)
    inner, weight = _radius(bins)[octant] < _DISK, _weight(bins)
    mean = total[:, inner] @ weight[inner] / weight[inner].sum()
    by_chance = np.exp(-np.clip(electrons_seen(patterns), 0, _MOST)[:, None] * total / 4)
    beyond = (total <= 0) | (dark > by_chance + _DARK_SIGMA * np.sqrt(by_chance / (4 * weight)))
    values = np.divide(total, mean[:, None], out=np.zeros_like(total), where=mean[:, None] > 0)
    return np.asarray(values), inner | ~beyond


def _weight(bins: int) -> NDArray[np.float64]:
    """How many pixels each pixel of the octant stands for."""
    y, x = np.mgrid[:bins, :bins]
    return np.where((y == x)[_octant(bins)], 4.0, 8.0)


@dataclass(frozen=True, eq=False)
class Familiarity:
    """Gaussians of the symmetrised patterns, one for each part of the thickness range.

    Attributes
    ----------
    mean : ndarray, shape (components, k)
    covariance : ndarray, shape (components, k, k)
    overall_mean, overall_covariance : ndarray, shape (k,) and (k, k)
    log10_electrons : ndarray, shape (nodes,)
        Where the limits are given.
    middle, limit : ndarray, shape (2, nodes)
        Median and limit of the two `scores`.
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    overall_mean: NDArray[np.float64]
    overall_covariance: NDArray[np.float64]
    log10_electrons: NDArray[np.float64] = field(default_factory=lambda: np.zeros(1))
    middle: NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, 1)))
    limit: NDArray[np.float64] = field(default_factory=lambda: np.full((2, 1), np.inf))

    def __post_init__(self) -> None:
        k, nodes = len(self.overall_mean), len(self.log10_electrons)
        shapes = {"covariance": (len(self.mean), k, k), "overall_covariance": (k, k), "mean": (len(self.mean), k)}
        for name, shape in {**shapes, "middle": (2, nodes), "limit": (2, nodes)}.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}; {shape} fits")

    @classmethod
    def fit(cls, patterns: NDArray[np.floating], thickness_nm: NDArray[np.floating]) -> Familiarity:
        """Fit to training patterns without counting noise; the limits follow by `with_limits`."""
        values, _ = features(patterns)
        parts = int(np.clip(len(values) // _ROWS_EACH, 1, _COMPONENTS))
        groups = np.array_split(np.argsort(thickness_nm, kind="stable"), parts)
        return cls(
            np.stack([values[group].mean(axis=0) for group in groups]),
            np.stack([np.cov(values[group].T) for group in groups]),
            values.mean(axis=0),
            np.cov(values.T),
        )

    def with_limits(
        self,
        patterns: NDArray[np.floating],
        nodes: NDArray[np.float64],
        electrons: NDArray[np.float64] | None = None,
    ) -> Familiarity:
        """Set the limits from held-out patterns of all doses; `nodes` are powers of ten of electrons."""
        behind = electrons_seen(patterns) if electrons is None else electrons
        scores, level = self.scores(patterns, behind), np.log10(np.maximum(behind, 1))
        middle, limit = np.empty((2, len(nodes))), np.empty((2, len(nodes)))
        for place, node in enumerate(nodes):
            near = np.argsort(np.abs(level - node))[: max(1, len(level) // len(nodes))]
            for kind, score in enumerate(scores[:, near]):
                # Scores fall with the dose; what they scatter by is counted from the line through them.
                slope = np.polyfit(level[near] - node, score, 1)[0] if np.ptp(level[near]) > 0 else 0.0
                rest = score - slope * (level[near] - node)
                centre, last = np.quantile(rest, (0.5, 0.99))
                middle[kind, place], limit[kind, place] = centre, centre + _MARGIN * max(last - centre, 1e-3)
        return Familiarity(self.mean, self.covariance, self.overall_mean, self.overall_covariance, nodes, middle, limit)

    def scores(
        self, patterns: NDArray[np.floating], electrons: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Return two measures of strangeness, higher for stranger, shape (2, n).

        The squared distance to the nearest Gaussian for each pixel, and the
        logarithm, for each pixel, of how much better a broad alternative explains
        the pattern. The first tells clear patterns apart, the second noisy ones.
        """
        return self._compare(patterns, electrons_seen(patterns) if electrons is None else electrons)[:2]

    def _compare(self, patterns: NDArray[np.floating], electrons: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the two `scores`, and the place in the range of thicknesses, -1 to 1; shape (3, n)."""
        values, seen = features(patterns)
        level = np.round(np.log10(np.clip(electrons, _LEAST, _MOST)) * _LEVELS_PER_DECADE).astype(int)
        if values.shape[1] != len(self.overall_mean):
            raise ValueError(f"patterns are {patterns.shape[1:]} px; those that are familiar are of another size")
        weight = _weight(patterns.shape[1] // 2)
        out = np.empty((3, len(values)))
        keys = np.column_stack([level, seen])
        for key in np.unique(keys, axis=0):
            rows = (keys == key).all(axis=1)
            out[:, rows] = self._group(values[rows], 10 ** (key[0] / _LEVELS_PER_DECADE), key[1:].astype(bool), weight)
        return out

    def _group(
        self, values: NDArray[np.float64], electrons: float, seen: NDArray[np.bool_], weight: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """What `_compare` returns for patterns that share dose and seen pixels."""
        own = weight[seen] / weight.sum()
        variance = np.maximum(self.overall_mean[seen], 0.05) / (electrons * own)
        diagonal = np.diag(variance + (_SYSTEMATIC * self.overall_mean[seen]) ** 2)
        grid = np.ix_(seen, seen)
        distance, likelihood = [], []
        for mean, covariance in zip(self.mean, self.covariance, strict=True):
            squared, log_density = _gaussian(values[:, seen] - mean[seen], covariance[grid] + diagonal)
            distance.append(squared)
            likelihood.append(log_density)
        factor, scatter = _BROAD
        broad = factor * self.overall_covariance[grid] + np.diag((scatter * self.overall_mean[seen]) ** 2) + diagonal
        _, other = _gaussian(values[:, seen] - self.overall_mean[seen], broad)
        known = logsumexp(likelihood, axis=0) - np.log(len(likelihood))
        place = np.linspace(-1, 1, len(likelihood)) if len(likelihood) > 1 else np.zeros(1)
        thickness = place @ softmax(likelihood, axis=0)
        return np.min(distance, axis=0) / seen.sum(), (other - known) / seen.sum(), thickness

    def __call__(self, patterns: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return how familiar patterns are, 0 to 1, shape (n,); 1/2 at the limit."""
        return self.look(patterns)[0]

    def look(
        self, patterns: NDArray[np.floating], electrons: NDArray[np.float64] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return how familiar patterns are, and where in the range of thicknesses they belong.

        Parameters
        ----------
        patterns : ndarray, shape (n, edge, edge)
        electrons : ndarray, shape (n,), optional
            That they rest on; told from their noise if absent.

        Returns
        -------
        familiar : ndarray, shape (n,)
            0 to 1; 1/2 at the limit.
        thickness : ndarray, shape (n,)
            From -1, the thinnest that was learnt from, to 1.
        """
        behind = electrons_seen(patterns) if electrons is None else electrons
        *scores, thickness = self._compare(patterns, behind)
        level = np.log10(np.maximum(behind, 1))
        out = np.ones(len(patterns))
        for score, middle, limit in zip(scores, self.middle, self.limit, strict=True):
            if not np.isfinite(limit).all():
                continue
            bound, centre = (np.interp(level, self.log10_electrons, values) for values in (limit, middle))
            out = np.minimum(out, expit((bound - score) / (_WIDTH * (bound - centre))))
        return out, thickness

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what `from_arrays` needs, small enough for a model file."""
        halved = {name: getattr(self, name).astype(np.float32) for name in ("covariance", "overall_covariance")}
        rest = ("mean", "overall_mean", "log10_electrons", "middle", "limit")
        return halved | {name: getattr(self, name).astype(np.float32) for name in rest}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Familiarity:
        """Rebuild from `arrays`; KeyError or ValueError where they do not fit."""
        return cls(**{name: array.astype(np.float64) for name, array in arrays.items()})


def _gaussian(
    offset: NDArray[np.float64], covariance: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return squared Mahalanobis distances and log-densities (but for a constant), shape (n,) each."""
    factor = np.linalg.cholesky(covariance)
    squared = (solve_triangular(factor, offset.T, lower=True) ** 2).sum(axis=0)
    return squared, -squared / 2 - np.log(np.diag(factor)).sum()
