"""Train a classifier on simulated specimens, whole specimens held out for validation and test."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from napari_polarmap.core.config import ConfigError, Uniform, load_table
from napari_polarmap.core.symmetry import OPERATIONS
from napari_polarmap.models import pca_knn
from napari_polarmap.models.network import DirectionNetwork, stored
from napari_polarmap.models.registry import Classifier, build_predictor
from napari_polarmap.models.weights import ModelInfo
from napari_polarmap.pipeline.augmentation import Augmentation, to_grid
from napari_polarmap.pipeline.calibrating import calibrate, save_calibrated, training_set_name
from napari_polarmap.pipeline.fitting import History, fit
from napari_polarmap.pipeline.held_out import held_out_scores
from napari_polarmap.pipeline.specimen_source import SpecimenSource, draw_samples
from napari_polarmap.pipeline.template_training import TemplateOptions, fit_templates
from napari_polarmap.pipeline.train_config import TrainConfig
from napari_polarmap.pipeline.training_data import TrainingData, load_training_data, turn_labels

GRID_PX: Final = 64
GRID_MRAD: Final = 1.05
_SINGLE_DOSE: Final = Uniform(2.5, 5.0)
STAGES: Final = {True: "averages over the cell", False: "single patterns"}


@dataclass(frozen=True)
class TrainProgress:
    """How far a training run has come.

    Attributes
    ----------
    stage : str
    done, total : int
        Steps.
    history : dict of str to list of float
        Losses of the epochs that are complete, for networks.
    """

    stage: str
    done: int
    total: int
    history: History = field(default_factory=dict)


ReportProgress = Callable[[TrainProgress], None]
Arrays = dict[str, NDArray[Any]]
Steps = Generator[TrainProgress, None, tuple[Arrays, dict[str, Any]]]


def _silent(_progress: TrainProgress) -> None:
    """Report nothing."""


def train(
    config: str | Path | TrainConfig,
    data_paths: list[Path],
    out: str | Path,
    *,
    resume: bool = False,
    progress: ReportProgress = _silent,
) -> ModelInfo:
    """Train one classifier and write its file; see `train_steps`."""
    steps = train_steps(config, data_paths, out, resume=resume)
    while True:
        try:
            progress(next(steps))
        except StopIteration as done:
            info: ModelInfo = done.value
            return info


def train_steps(
    config: str | Path | TrainConfig, data_paths: list[Path], out: str | Path, *, resume: bool = False
) -> Generator[TrainProgress, None, ModelInfo]:
    """Train one classifier, for single patterns and for averages over the cell, and write its file.

    The state of a network is kept after every epoch in ``.OUT.pooled.training`` and
    ``.OUT.single.training`` beside `out`, and removed when the model is whole.

    Parameters
    ----------
    config : path or TrainConfig
        A path is that of a TOML file.
    data_paths : list of path
        Training sets made by ``polarmap simulate``.
    out : path
        Model file, ``.safetensors``.
    resume : bool
        Go on with a run of the same configuration and data that was stopped or killed.

    Yields
    ------
    TrainProgress

    Returns
    -------
    ModelInfo
        With scores on the held-out specimens.

    Raises
    ------
    ConfigError
        If the configuration cannot be used.
    """
    if not isinstance(config, TrainConfig):
        config = load_table(TrainConfig, config)
    out = Path(out)
    if out.suffix != ".safetensors":
        raise ConfigError(f"{out}: a model file ends in .safetensors")
    if not out.parent.is_dir():
        raise ConfigError(f"{out.parent}: no such folder to write {out.name} into")
    yield TrainProgress("reading the training set", 0, 1)
    data = load_training_data([Path(path) for path in data_paths], singles=config.singles, seed=config.seed)
    if data.pooled.shape[1:] != (GRID_PX, GRID_PX):
        raise ConfigError(f"training patterns are {data.pooled.shape[1:]} px; {GRID_PX} x {GRID_PX} fits")
    rows = data.split(config.seed)
    kept = state_files(out)
    if config.network in _OTHERS:
        arrays, options = yield from _OTHERS[config.network](config, data, rows)
    else:
        arrays, options = yield from _fit_network(config, data, rows, kept, resume)
    raw = Classifier(_describe(config, data, options), build_predictor(config.network, arrays, options))
    yield TrainProgress("calibrating", 0, 1)
    classifier = calibrate(raw, data, rows, seed=config.seed)
    yield TrainProgress("scoring on held-out specimens", 0, 1)
    scores = held_out_scores(classifier, data, rows["test"])
    info = save_calibrated(out, replace(classifier, info=replace(classifier.info, scores=scores)), arrays)
    for path in kept.values():  # no step after this one: who stops there would have a whole model called unfinished
        path.unlink(missing_ok=True)
    return info


_NAMES: Final = {True: "pooled", False: "single"}


def state_files(out: Path) -> dict[bool, Path]:
    """Return where an unfinished run keeps its state, for averages (True) and for single patterns (False)."""
    return {pooled: out.with_name(f".{out.name}.{name}.training") for pooled, name in _NAMES.items()}


def _describe(config: TrainConfig, data: TrainingData, options: dict[str, Any]) -> ModelInfo:
    def span(values: NDArray[np.float64]) -> tuple[float, float]:
        return round(float(values.min()), 2), round(float(values.max()), 2)

    return ModelInfo(
        name=config.name,
        title=config.title or config.name,
        network=config.network,
        objective=config.objective if config.network not in _OTHERS else "classification",
        material=data.sources[0]["material"],
        zone_axis=data.sources[0]["zone_axis"],
        voltage_kV=data.sources[0]["voltage_kV"],
        convergence_mrad=span(data.convergence_mrad),
        thickness_nm=span(data.thickness_nm),
        tilt_mrad=span(np.hypot(*data.tilt_mrad.T)),
        grid_px=GRID_PX,
        grid_mrad=GRID_MRAD,
        options=options,
        training_set="; ".join(map(training_set_name, data.sources)),
        seed=config.seed,
        licence=config.licence,
        description=config.description,
        recommended=bool(config.recommended),
    )


def _single_dose(options: Augmentation, *, pooled: bool) -> Augmentation:
    return options if pooled else replace(options, log10_dose=_SINGLE_DOSE)


def _fit_network(
    config: TrainConfig,
    data: TrainingData,
    rows: dict[str, NDArray[np.int64]],
    kept: dict[bool, Path],
    resume: bool,
) -> Steps:
    arrays: Arrays = {}
    options: dict[str, Any] = {"architecture": {}, "history": {}}
    sources = [(source["file"], source["config_sha256"]) for source in data.sources]
    key = hashlib.sha256(repr((config, sources)).encode()).hexdigest()
    for pooled in config.kinds:
        name = _NAMES[pooled]
        samples = {
            part: draw_samples(data, rows[part], pooled=pooled, filtered=bool(config.com_filter) and part == "train")
            for part in ("train", "validation")
        }
        source = SpecimenSource(
            data,
            samples["train"],
            samples["validation"],
            _single_dose(config.augmentation, pooled=pooled),
            config.published,
            config.batch,
            GRID_MRAD,
        )
        architecture = config.architecture(pooled=pooled)
        torch.manual_seed(config.seed)
        network = DirectionNetwork(**architecture)
        steps = fit(
            network, source, config.fit_options(pooled=pooled), checkpoint=kept[pooled], key=key + name, resume=resume
        )
        while True:
            try:
                at = next(steps)
            except StopIteration as done:
                history = done.value
                break
            yield TrainProgress(STAGES[pooled], at.done, at.total, at.history)
        arrays |= stored(network, name)
        options["architecture"][name] = architecture
        options["history"][name] = history
    return arrays, options


def _fit_knn(config: TrainConfig, data: TrainingData, rows: dict[str, NDArray[np.int64]]) -> Steps:
    arrays: Arrays = {}
    rng = np.random.default_rng(config.seed)
    for step, (pooled, name) in enumerate(((True, "pooled"), (False, "single"))):
        samples = draw_samples(data, rows["train"], pooled=pooled, filtered=bool(config.com_filter))
        grid = to_grid(samples.patterns, data.mrad_per_px[samples.row], grid_mrad=GRID_MRAD).numpy()
        label = data.label[samples.row]
        if pooled:
            turned = [(operation.images(grid), turn_labels(operation, label)) for operation in OPERATIONS]
        else:
            which = rng.integers(len(OPERATIONS), size=len(grid))
            turned = [
                (operation.images(grid[which == i]), turn_labels(operation, label[which == i]))
                for i, operation in enumerate(OPERATIONS)
            ]
        patterns = np.concatenate([part for part, _ in turned])
        table = pca_knn.fit(
            patterns,
            np.concatenate([part for _, part in turned]),
            components=config.components,
            seed=config.seed,
            discriminant=config.discriminant,
        )
        arrays |= {f"{name}.{key}": value for key, value in table.items()}
        yield TrainProgress("principal components", step + 1, 2)
    return arrays, {"neighbours": config.neighbours}


def _fit_template(config: TrainConfig, data: TrainingData, rows: dict[str, NDArray[np.int64]]) -> Steps:
    options = TemplateOptions()
    arrays = fit_templates(data, rows["train"], config.augmentation, options, grid_mrad=GRID_MRAD, seed=config.seed)
    yield TrainProgress("templates", 1, 1)
    return arrays, {}


_OTHERS: Final = {"pca_knn": _fit_knn, "template": _fit_template}
