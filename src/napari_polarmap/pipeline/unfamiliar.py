"""Patterns that no classifier of ours was trained on, to see whether it says so."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

SIMULATED: Final = Path(__file__).with_suffix(".npz")
"""Other materials, another zone axis, glass and vacuum; made by ``benchmarks/unfamiliar.py``."""

_GRID_PX: Final = 64
_EACH: Final = 9
_DARK_ELECTRONS: Final = 5.0
"""Read-out noise of a pixel without beam, as counts."""


def unfamiliar_patterns(
    familiar: NDArray[np.floating] | None, electrons: float | None, rng: np.random.Generator
) -> dict[str, NDArray[np.float32]]:
    """Return patterns by kind, nine or fewer each.

    Parameters
    ----------
    familiar : ndarray, shape (n, 64, 64), optional
        Patterns of the kind the classifier knows, to be spoilt: saturated, out of place.
    electrons : float or None
        Counted in each pattern; exact intensities without.
    rng : numpy Generator

    Returns
    -------
    patterns : dict of str to ndarray of float32, shape (n, 64, 64)
    """
    with np.load(SIMULATED) as stored:
        patterns, kind = stored["patterns"].astype(np.float32), stored["kind"]
    exact = {str(name): patterns[kind == name] for name in dict.fromkeys(kind.tolist())}
    flat = np.ones((_EACH, _GRID_PX, _GRID_PX), np.float32)
    column = np.arange(_GRID_PX, dtype=np.float32) - (_GRID_PX - 1) / 2
    exact |= {"no disk": flat, "gradient": flat * (1 + column / _GRID_PX)}
    if familiar is not None and len(familiar):
        some = np.maximum(familiar[:: max(1, len(familiar) // _EACH)][:_EACH], 0).astype(np.float32)
        exact["saturated"] = np.minimum(some, some.max(axis=(1, 2), keepdims=True) / 2)
        exact["disk out of place"] = np.roll(some, 8, axis=2)
    counted = {name: _count(stack, electrons, rng) for name, stack in exact.items()}
    counted["dark"] = np.maximum(rng.normal(0, _DARK_ELECTRONS, flat.shape), 0).astype(np.float32)
    counted["blank"] = np.zeros_like(flat)
    return counted


def _count(patterns: NDArray[np.float32], electrons: float | None, rng: np.random.Generator) -> NDArray[np.float32]:
    if electrons is None:
        return patterns
    share = patterns / patterns.sum(axis=(1, 2), keepdims=True)
    return np.asarray(rng.poisson(share * electrons), dtype=np.float32)
