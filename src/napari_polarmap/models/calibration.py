"""From a classifier's log-odds to probabilities that are as often right as they say.

Two questions are answered apart: which direction, if there is one (a temperature, a
preference for axis or diagonal directions and a share of lapses), and whether there is
one at all (a logistic curve). All of it depends on the electrons behind the pattern and
treats directions that a rotation or mirror takes into each other alike.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, logsumexp

from napari_polarmap.core.directions import N_DIRECTIONS

UNPOLARISED_PRIOR: Final = 0.3
"""Share of windows taken to show no polarization, before looking at them.

A choice, not a measurement: three windows in ten of a scan lie on something else, or
on material without polarization. A larger share makes a map more reluctant.
"""

LEVELS: Final = (0.8, 0.9, 0.95, 0.99)
"""Levels of prediction sets that are stored."""

NONE_BIT: Final = 1 << N_DIRECTIONS

_NODES: Final = 7
_FEW: Final = 100
_PENALTY: Final = 1.0
_TRAINED_SHARE: Final = 0.12


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How log-odds become probabilities.

    Attributes
    ----------
    log10_electrons : (float, float)
        Range of the fit; beyond it the nearest end is used.
    sharpness : (float, float, float)
        Logarithm of what log-odds of directions are multiplied by, a polynomial in the
        place within the range, -1 to 1.
    thickness : (float, float)
        What is added to that logarithm: first and second power of the place within the
        range of thicknesses, -1 to 1.
    diagonal : (float, float)
        Added to the log-odds of diagonal directions.
    lapse : (float, float)
        Log-odds that the answer is no better than a guess.
    informed : (float, float, float)
        Log-odds that there is a direction: offset, its slope over the range, and the
        factor of the classifier's own log-odds.
    thresholds : dict of str to list
        For each level of `LEVELS`, the least probability of a direction, and of "none", in
        a prediction set, at equal steps over the range.
    patterns, specimens : int
        What it was fitted on.

    Notes
    -----
    Temperature: Guo et al., ICML 2017. Sets: split conformal prediction, for polarised and
    unpolarised specimens apart (Sadinle, Lei and Wasserman, JASA 114, 223 (2019)).
    """

    log10_electrons: tuple[float, float] = (5.0, 8.0)
    sharpness: tuple[float, float, float] = (0.0, 0.0, 0.0)
    thickness: tuple[float, float] = (0.0, 0.0)
    diagonal: tuple[float, float] = (0.0, 0.0)
    lapse: tuple[float, float] = (-20.0, 0.0)
    informed: tuple[float, float, float] = (
        # The prior of unpolarised windows in place of their share among training specimens.
        float(np.log((1 / UNPOLARISED_PRIOR - 1) / (1 / _TRAINED_SHARE - 1))),
        0.0,
        1.0,
    )
    thresholds: dict[str, list[list[float]]] | None = None
    patterns: int = 0
    specimens: int = 0

    def apply(
        self,
        logits: NDArray[np.floating],
        electrons: NDArray[np.floating],
        thickness: NDArray[np.floating] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the probabilities of the directions, shape (n, 8), and that there is one, shape (n,).

        Parameters
        ----------
        logits : ndarray, shape (n, 9)
            Log-odds of the eight directions and of "none".
        electrons : ndarray, shape (n,)
            Behind each pattern.
        thickness : ndarray, shape (n,), optional
            Place within the range of thicknesses, -1 to 1, as `Familiarity` tells it; its
            middle if absent.
        """
        place = self._place(electrons)
        thin = np.zeros(len(place)) if thickness is None else np.asarray(thickness, np.float64)
        return _directions(logits, place, thin, self._direction_terms()), _informed(logits, place, self.informed)

    def _direction_terms(self) -> NDArray[np.float64]:
        return np.array([*self.sharpness, *self.thickness, *self.diagonal, *self.lapse])

    def _place(self, electrons: NDArray[np.floating]) -> NDArray[np.float64]:
        low, high = self.log10_electrons
        level = np.log10(np.maximum(electrons, 1.0))
        return np.asarray(np.clip(2 * (level - low) / (high - low) - 1, -1, 1), dtype=np.float64)

    def least_probabilities(self, electrons: NDArray[np.floating], level: float) -> NDArray[np.float64]:
        """Return the least probability of a direction and of "none" in a set, shape (n, 2).

        Raises
        ------
        ValueError
            If there are no thresholds for this level.
        """
        if self.thresholds is None:
            raise ValueError("this classifier has no prediction sets; polarmap calibrate makes them")
        if f"{level:g}" not in self.thresholds:
            raise ValueError(f"level {level:g} is not one of {', '.join(self.thresholds)}")
        nodes = np.linspace(-1, 1, len(self.thresholds[f"{level:g}"][0]))
        return np.stack(
            [np.interp(self._place(electrons), nodes, least) for least in self.thresholds[f"{level:g}"]], axis=1
        )

    @classmethod
    def fit(
        cls,
        logits: NDArray[np.floating],
        label: NDArray[np.integer[Any]],
        electrons: NDArray[np.floating],
        thickness: NDArray[np.floating] | None = None,
    ) -> Self:
        """Fit to held-out patterns.

        Parameters
        ----------
        logits : ndarray, shape (n, 9)
        label : ndarray of int, shape (n,)
            0 to 7, 8 for unpolarised.
        electrons : ndarray, shape (n,)
        thickness : ndarray, shape (n,), optional
            As for `apply`.
        """
        low, high = np.percentile(np.log10(np.maximum(electrons, 1)), [1, 99])
        span = round(float(low), 2), round(float(max(high, low + 0.5)), 2)
        start = cls(log10_electrons=span, patterns=len(label))
        place = start._place(electrons)
        thin = np.zeros(len(label)) if thickness is None else np.asarray(thickness, np.float64)
        polarised = label < N_DIRECTIONS

        def direction_cost(terms: NDArray[np.float64]) -> float:
            found = _directions(logits[polarised], place[polarised], thin[polarised], terms)
            right = found[np.arange(len(found)), label[polarised]]
            return float(-np.log(np.maximum(right, 1e-12)).sum() + _PENALTY * (terms[:7] ** 2).sum())

        weight = np.where(polarised, (1 - UNPOLARISED_PRIOR) / max(1, polarised.sum()), 0.0)
        weight = np.where(polarised, weight, UNPOLARISED_PRIOR / max(1, (~polarised).sum())) * len(label)

        def informed_cost(terms: NDArray[np.float64]) -> float:
            found = np.clip(_informed(logits, place, terms), 1e-9, 1 - 1e-9)
            loss = -np.log(np.where(polarised, found, 1 - found))
            return float((weight * loss).sum() + _PENALTY * ((terms - np.asarray(start.informed)) ** 2).sum())

        fitted = start
        if polarised.any():
            bounds = [(-4, 2), *[(-2, 2)] * 5, (-1, 1), (-8, 2), (-3, 3)]
            terms = minimize(direction_cost, [0, 0, 0, 0, 0, 0, 0, -4, 0], method="L-BFGS-B", bounds=bounds).x
            fitted = replace(
                fitted,
                sharpness=_rounded(terms[:3]),
                thickness=_rounded(terms[3:5]),
                diagonal=_rounded(terms[5:7]),
                lapse=_rounded(terms[7:]),
            )
        if polarised.any() and not polarised.all():
            terms = minimize(informed_cost, start.informed, method="L-BFGS-B", bounds=[(-8, 8), (-4, 4), (0, 4)]).x
            fitted = replace(fitted, informed=_rounded(terms))
        return fitted

    def with_sets(
        self,
        probability: NDArray[np.floating],
        informed: NDArray[np.floating],
        label: NDArray[np.integer[Any]],
        electrons: NDArray[np.floating],
    ) -> Self:
        """Set the thresholds of prediction sets from held-out patterns; see `least_probabilities`."""
        place = self._place(electrons)
        joint = np.column_stack([probability * informed[:, None], 1 - informed])
        truth = joint[np.arange(len(label)), label]
        kinds = (label < N_DIRECTIONS, label == N_DIRECTIONS)
        nodes = np.linspace(-1, 1, _NODES)
        table = {
            f"{level:g}": [[_least(truth[kind], place[kind], node, level) for node in nodes] for kind in kinds]
            for level in LEVELS
        }
        return replace(self, thresholds=table)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for a model file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Self:
        """Rebuild from `as_dict`; TypeError where a key is not known."""
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in record.items()}
        return cls(**values)


def prediction_sets(
    probability: NDArray[np.floating], informed: NDArray[np.floating], least: NDArray[np.floating]
) -> NDArray[np.uint16]:
    """Return as bits which directions, and "none", are probable enough.

    None is where each is less probable than the truth usually is at this dose.

    Parameters
    ----------
    probability : ndarray, shape (..., 8)
        Of the directions, given that there is one.
    informed : ndarray, shape (...)
        Probability that there is one.
    least : ndarray, shape (..., 2)
        From `Calibration.least_probabilities`.

    Returns
    -------
    sets : ndarray of uint16, shape (...)
        Bit 0 to 7 for the classes, bit 8 for "none".
    """
    joint = np.concatenate([probability * informed[..., None], 1 - informed[..., None]], axis=-1)
    joint = np.nan_to_num(joint)
    bound = np.concatenate([np.repeat(least[..., :1], N_DIRECTIONS, axis=-1), least[..., 1:]], axis=-1)
    return np.asarray(((joint >= bound) << np.arange(N_DIRECTIONS + 1)).sum(axis=-1), dtype=np.uint16)


def _directions(
    logits: NDArray[np.floating],
    place: NDArray[np.float64],
    thickness: NDArray[np.float64],
    terms: NDArray[np.float64],
) -> NDArray[np.float64]:
    by_dose = terms[0] + terms[1] * place + terms[2] * place**2
    scaled = np.exp(by_dose + terms[3] * thickness + terms[4] * thickness**2)[:, None] * logits[:, :N_DIRECTIONS]
    scaled[:, 1::2] += (terms[5] + terms[6] * place)[:, None]
    lapse = expit(terms[7] + terms[8] * place)[:, None]
    return np.asarray((1 - lapse) * np.exp(log_softmax(scaled, axis=1)) + lapse / N_DIRECTIONS, dtype=np.float64)


def _informed(logits: NDArray[np.floating], place: NDArray[np.float64], terms: Any) -> NDArray[np.float64]:
    own = logsumexp(logits[:, :N_DIRECTIONS], axis=1) - logits[:, N_DIRECTIONS]
    return np.asarray(expit(terms[0] + terms[1] * place + terms[2] * own), dtype=np.float64)


def _least(truth: NDArray[np.float64], place: NDArray[np.float64], node: float, level: float) -> float:
    """Return what a share `level` of the truths near a node reaches, 0 where too few are known."""
    count = min(len(truth), max(_FEW, len(truth) // 4))
    near = np.sort(truth[np.argsort(np.abs(place - node), kind="stable")[:count]])
    rank = int(np.floor((count + 1) * (1 - level)))
    return round(float(near[rank - 1]), 5) if rank >= 1 else 0.0


def _rounded(values: NDArray[np.float64]) -> Any:
    return tuple(round(float(value), 5) for value in values)
