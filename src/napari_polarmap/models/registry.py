"""Which networks there are, which trained classifiers, and how to load one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_data_path

from napari_polarmap.models.calibration import Calibration, prediction_sets
from napari_polarmap.models.familiarity import Familiarity, electrons_behind
from napari_polarmap.models.weights import ModelFileError, ModelInfo, read_arrays, read_familiarity, read_info

MODELS: Final[dict[str, str]] = {
    "cnn": "napari_polarmap.models.network:build",
    "published_cnn": "napari_polarmap.models.network:build",
    "resnet18": "napari_polarmap.models.network:build",
    "resnet50": "napari_polarmap.models.network:build",
    "vgg11": "napari_polarmap.models.network:build",
    "vgg16": "napari_polarmap.models.network:build",
    "pca_knn": "napari_polarmap.models.pca_knn:build",
    "template": "napari_polarmap.models.template:build",
}
"""Networks by name: ``build(arrays, options) -> Predictor``."""

_UNCALIBRATED: Final = Calibration()

BUNDLED: Final = Path(__file__).with_name("weights")


@dataclass(frozen=True)
class Prediction:
    """What a classifier says of `n` patterns.

    Attributes
    ----------
    probability : ndarray of float32, shape (n, 8)
        Of each direction, given that there is one; sums to 1.
    informed : ndarray of float32, shape (n,)
        Probability that the pattern shows a polarization at all; low also where it is
        like nothing the classifier was trained on.
    electrons : ndarray of float64, shape (n,), optional
        Electrons behind the pattern, as the calibration took them.
    """

    probability: NDArray[np.float32]
    informed: NDArray[np.float32]
    electrons: NDArray[np.float64] | None = None


class Predictor(Protocol):
    """What `build` of a network returns."""

    def predict_logits(
        self, patterns: NDArray[np.float32], *, pooled: bool, electrons: NDArray[np.float64] | None = None
    ) -> NDArray[np.float32]:
        """Return log-odds of the eight directions and of "none", shape (n, 9).

        `electrons` are those counted for each pattern, NaN where not known.
        """
        ...

    def embed(self, patterns: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a few numbers that describe each single pattern, shape (n, k)."""
        ...


@dataclass(frozen=True)
class Classifier:
    """A trained model with its description.

    Attributes
    ----------
    info : ModelInfo
    predictor : Predictor
    calibration : dict of bool to Calibration
        For averages over cells (True) and single patterns (False).
    familiarity : Familiarity, optional
        What averages over cells of the training set look like.
    """

    info: ModelInfo
    predictor: Predictor
    calibration: dict[bool, Calibration] = field(default_factory=dict)
    familiarity: Familiarity | None = None

    def predict(
        self, patterns: NDArray[np.floating], *, pooled: bool, electrons: NDArray[np.floating] | float | None = None
    ) -> Prediction:
        """Classify patterns.

        Parameters
        ----------
        patterns : ndarray, shape (n, grid_px, grid_px)
            On the classifier's grid: direct beam in the middle, crystal axes along
            the array axes, `grid_mrad` per pixel. Any positive scale.
        pooled : bool
            The patterns are averages over whole unit cells.
        electrons : float or ndarray, shape (n,), optional
            Electrons that each pattern rests on: for a weighted window, those of a plain
            one with the same counting noise. Infinite for exact intensities; not known
            when not given, or NaN.

        Returns
        -------
        Prediction

        Raises
        ------
        ValueError
            If the patterns do not lie on the classifier's grid, or `electrons` does not fit them.
        """
        patterns = self._checked(patterns)
        counted = _electrons(electrons, len(patterns))
        behind = electrons_behind(patterns, counted)
        logits = self.predictor.predict_logits(patterns, pooled=pooled, electrons=counted)
        # A pattern without counts says nothing.
        familiar = (patterns.reshape(len(patterns), -1).sum(axis=1) > 0).astype(np.float64)
        thickness = np.zeros(len(patterns))
        if pooled and self.familiarity is not None:
            known, thickness = self.familiarity.look(patterns, behind)
            familiar *= known
        probability, informed = self.calibration.get(pooled, _UNCALIBRATED).apply(logits, behind, thickness)
        informed = informed * familiar
        return Prediction(probability.astype(np.float32), informed.astype(np.float32), behind)

    def prediction_sets(self, answer: Prediction, *, pooled: bool, level: float = 0.9) -> NDArray[np.uint16]:
        """Return the directions that the truth is among with probability `level`, as bits.

        Parameters
        ----------
        answer : Prediction
            From `predict`.
        pooled : bool
            As for `predict`.
        level : float
            One of `calibration.LEVELS`.

        Returns
        -------
        sets : ndarray of uint16, shape (n,)
            Bit 0 to 7 for the classes, bit 8 for "none".

        Raises
        ------
        ValueError
            If the classifier has no sets of this level.
        """
        electrons = np.full(len(answer.informed), np.inf) if answer.electrons is None else answer.electrons
        least = self.calibration.get(pooled, _UNCALIBRATED).least_probabilities(electrons, level)
        return prediction_sets(answer.probability, answer.informed, least)

    def embed(self, patterns: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return what the classifier makes of each single pattern, shape (n, k).

        It repeats with the lattice where the crystal does, whether or not it is right.

        Parameters
        ----------
        patterns : ndarray, shape (n, grid_px, grid_px)
            As for `predict`.
        """
        return self.predictor.embed(self._checked(patterns))

    def _checked(self, patterns: NDArray[np.floating]) -> NDArray[np.float32]:
        edge = self.info.grid_px
        if patterns.ndim != 3 or patterns.shape[1:] != (edge, edge):
            raise ValueError(f"patterns have shape {patterns.shape}; {self.info.name} takes (n, {edge}, {edge})")
        return np.asarray(patterns, np.float32)


def _electrons(electrons: NDArray[np.floating] | float | None, n: int) -> NDArray[np.float64]:
    """Return the electrons behind each of `n` patterns, NaN where not known."""
    given = np.asarray(np.nan if electrons is None else electrons, dtype=np.float64)
    if given.shape not in ((), (n,)) or (given < 0).any():
        raise ValueError(f"electrons has shape {given.shape}; {n} patterns need one number each, none below 0")
    return np.broadcast_to(given, (n,))


def user_models() -> Path:
    """Folder of the user's own models; need not exist."""
    return Path(user_data_path("napari-polarmap", appauthor=False)) / "models"


def _files() -> Iterator[Path]:
    for folder in (BUNDLED, user_models()):
        yield from sorted(folder.glob("*.safetensors"))


def list_models() -> list[ModelInfo]:
    """Return the bundled and the user's models, the recommended one first; unreadable files are left out."""
    found = []
    for path in _files():
        try:
            found.append(read_info(path))
        except ModelFileError:
            continue
    return sorted(found, key=lambda info: not info.recommended)


def default_model() -> str:
    """Return the name of the recommended model.

    Raises
    ------
    ModelFileError
        If no model is installed.
    """
    models = list_models()
    if not models:
        raise ModelFileError(f"no model is installed in {BUNDLED} or {user_models()}")
    return models[0].name


def load_classifier(name_or_path: str | Path) -> Classifier:
    """Load a classifier by the name that `list_models` gives, or from a model file.

    Raises
    ------
    ModelFileError
        If there is no such model, or its file cannot be used; a ValueError.
    """
    text = str(name_or_path)
    known = list_models()
    info = next((entry for entry in known if entry.name == text), None)
    if info is None:
        if not text.endswith(".safetensors"):
            names = ", ".join(entry.name for entry in known) or "none is installed"
            raise ModelFileError(f"unknown model {text!r}; choose one of {names}, or a .safetensors file")
        info = read_info(text)
    if info.network not in MODELS:
        raise ModelFileError(f"{info.path}: network {info.network!r} is not one of {', '.join(MODELS)}")
    try:
        predictor = build_predictor(info.network, read_arrays(str(info.path)), info.options)
    except (KeyError, ValueError, RuntimeError, TypeError) as error:
        raise ModelFileError(f"{info.path}: the arrays do not fit the network {info.network!r} ({error})") from None
    try:
        return Classifier(info, predictor, *_read_calibration(info, read_familiarity(str(info.path))))
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ModelFileError(f"{info.path}: its calibration cannot be used ({error})") from None


def _read_calibration(
    info: ModelInfo, known: dict[str, NDArray[Any]]
) -> tuple[dict[bool, Calibration], Familiarity | None]:
    names = {"pooled": True, "single": False}
    calibration = {names[name]: Calibration.from_dict(record) for name, record in info.calibration.items()}
    return calibration, Familiarity.from_arrays(known) if known else None


def build_predictor(network: str, arrays: dict[str, NDArray[Any]], options: dict[str, Any]) -> Predictor:
    """Build a network around its arrays."""
    module, function = MODELS[network].split(":")
    predictor: Predictor = getattr(import_module(module), function)(arrays, options)
    return predictor
