"""Train a classifier on simulated specimens, whole specimens held out for validation and test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from napari_polarmap.core.config import ConfigError, Uniform, choice, load_table, number, whole
from napari_polarmap.core.symmetry import OPERATIONS
from napari_polarmap.models import pca_knn
from napari_polarmap.models.cnn import N_OUTPUTS, PolarizationCNN
from napari_polarmap.models.registry import Classifier, build_predictor
from napari_polarmap.models.weights import ModelInfo
from napari_polarmap.pipeline.augmentation import Augmentation, augment, to_grid
from napari_polarmap.pipeline.calibrating import calibrate, save_calibrated, training_set_name
from napari_polarmap.pipeline.held_out import held_out_scores
from napari_polarmap.pipeline.template_training import TemplateOptions, fit_templates
from napari_polarmap.pipeline.training_data import TrainingData, load_training_data, turn_labels

ReportEpoch = Callable[[str, int, int, dict[str, float]], None]
GRID_PX: Final = 64
GRID_MRAD: Final = 1.05
_SINGLE_DOSE: Final = Uniform(2.5, 5.0)
_NUISANCE_WEIGHT: Final = 0.3


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The TOML file of ``polarmap train``."""

    name: str = "my-model"
    title: str = ""
    network: str = choice("cnn", "cnn", "pca_knn", "template")
    licence: str = "GPL-3.0-or-later"
    description: str = ""
    seed: int = whole(0, 0, 2**31)
    epochs: int = whole(40, 1, 10_000)
    single_epochs: int = whole(8, 1, 10_000)
    batch: int = whole(64, 2, 4096)
    learning_rate: Uniform = number(2e-3, 1e-6, 1.0)
    weight_decay: Uniform = number(1e-3, 0.0, 1.0)
    label_smoothing: Uniform = number(0.02, 0.0, 0.5)
    singles: int = whole(4, 1, 64)
    components: int = whole(150, 2, 2000)
    neighbours: int = whole(15, 1, 100)
    discriminant: bool = True
    recommended: int = whole(0, 0, 1)
    augmentation: Augmentation = field(default_factory=Augmentation)


def _silent(_stage: str, _epoch: int, _epochs: int, _figures: dict[str, float]) -> None:
    """Report nothing."""


def train(
    config_path: str | Path, data_paths: list[Path], out: str | Path, *, progress: ReportEpoch = _silent
) -> ModelInfo:
    """Train one classifier, for single patterns and for averages over the cell, and write its file.

    Parameters
    ----------
    config_path : path
        TOML file, see `TrainConfig`.
    data_paths : list of path
        Training sets made by ``polarmap simulate``.
    out : path
        Model file, ``.safetensors``.
    progress : callable
        Called with the stage, epochs done, epochs in all and figures of the epoch.

    Returns
    -------
    ModelInfo
        With scores on the held-out specimens.

    Raises
    ------
    ConfigError
        If the configuration cannot be used.
    """
    config, out = load_table(TrainConfig, config_path), Path(out)
    if out.suffix != ".safetensors":
        raise ConfigError(f"{out}: a model file ends in .safetensors")
    if not out.parent.is_dir():
        raise ConfigError(f"{out.parent}: no such folder to write {out.name} into")
    data = load_training_data([Path(path) for path in data_paths], singles=config.singles, seed=config.seed)
    if data.pooled.shape[1:] != (GRID_PX, GRID_PX):
        raise ConfigError(f"training patterns are {data.pooled.shape[1:]} px; {GRID_PX} x {GRID_PX} fits")
    rows = data.split(config.seed)
    arrays, options = _FITS[config.network](config, data, rows, progress)
    raw = Classifier(_describe(config, data, options), build_predictor(config.network, arrays, options))

    def report(stage: str, done: int, total: int) -> None:
        progress(f"calibrating, {stage}", done, total, {})

    classifier = calibrate(raw, data, rows, seed=config.seed, report=report)
    scores = held_out_scores(classifier, data, rows["test"])
    return save_calibrated(out, replace(classifier, info=replace(classifier.info, scores=scores)), arrays)


def _describe(config: TrainConfig, data: TrainingData, options: dict[str, Any]) -> ModelInfo:
    def span(values: NDArray[np.float64]) -> tuple[float, float]:
        return round(float(values.min()), 2), round(float(values.max()), 2)

    return ModelInfo(
        name=config.name,
        title=config.title or config.name,
        network=config.network,
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


@dataclass(frozen=True)
class _Samples:
    """Patterns to train on with what is known of each."""

    patterns: NDArray[np.floating]
    row: NDArray[np.int64]


def _samples(data: TrainingData, rows: NDArray[np.int64], *, pooled: bool) -> _Samples:
    if pooled:
        return _Samples(data.pooled[rows], rows)
    k = data.singles.shape[1]
    return _Samples(data.singles[rows].reshape(-1, *data.singles.shape[2:]), np.repeat(rows, k))


def _options(config: TrainConfig, *, pooled: bool) -> Augmentation:
    if pooled:
        return config.augmentation
    values = {name: getattr(config.augmentation, name) for name in Augmentation.__dataclass_fields__}
    return Augmentation(**{**values, "log10_dose": _SINGLE_DOSE})


def _fit_cnn(
    config: TrainConfig, data: TrainingData, rows: dict[str, NDArray[np.int64]], progress: ReportEpoch
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    for pooled, name in ((True, "pooled"), (False, "single")):
        network = _train_network(config, data, rows, progress, pooled=pooled)
        for key, value in network.state_dict().items():
            array = value.numpy()
            halved = array.dtype == np.float32 and array.ndim > 1
            arrays[f"{name}.{key}"] = array.astype(np.float16) if halved else array
    return arrays, {"architecture": {}}


def _train_network(
    config: TrainConfig,
    data: TrainingData,
    rows: dict[str, NDArray[np.int64]],
    progress: ReportEpoch,
    *,
    pooled: bool,
) -> PolarizationCNN:
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    options = _options(config, pooled=pooled)
    samples = _samples(data, rows["train"], pooled=pooled)
    epochs = config.epochs if pooled else config.single_epochs
    stage = "averages over the cell" if pooled else "single patterns"
    network = PolarizationCNN()
    steps = len(samples.row) // config.batch
    if steps == 0:
        raise ConfigError(f"batch = {config.batch} is more than the {len(samples.row)} training patterns")
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate.low, weight_decay=config.weight_decay.low
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate.low, total_steps=epochs * steps)
    for epoch in range(epochs):
        network.train()
        order, total = rng.permutation(len(samples.row)), 0.0
        for step in range(steps):
            chosen = order[step * config.batch : (step + 1) * config.batch]
            patterns, label, nuisance = _batch(samples, chosen, data, options, rng)
            out = network(patterns)
            loss = functional.cross_entropy(out[:, :N_OUTPUTS], label, label_smoothing=config.label_smoothing.low)
            loss = loss + _NUISANCE_WEIGHT * functional.mse_loss(out[:, N_OUTPUTS:], nuisance)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        progress(stage, epoch + 1, epochs, {"loss": total / steps})
    return network.eval()


def _batch(
    samples: _Samples, chosen: NDArray[np.int64], data: TrainingData, options: Augmentation, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    row = samples.row[chosen]
    patterns = augment(
        samples.patterns[chosen],
        data.mrad_per_px[row],
        options,
        grid_mrad=GRID_MRAD,
        intensity_scale=data.intensity_scale,
        rng=rng,
    ).numpy()
    label, tilt = data.label[row].copy(), data.tilt_mrad[row].copy()
    which = np.where(rng.random(len(row)) < options.symmetry.low, rng.integers(len(OPERATIONS), size=len(row)), 0)
    for index, operation in enumerate(OPERATIONS):
        turned = np.flatnonzero(which == index)
        patterns[turned] = operation.images(patterns[turned])
        label[turned] = turn_labels(operation, label[turned])
        tilt[turned] = operation.vectors(tilt[turned])
    nuisance = np.column_stack([tilt / 2, np.log(data.thickness_nm[row] / 25)])
    return torch.from_numpy(patterns), torch.from_numpy(label), torch.from_numpy(nuisance).float()


def _fit_knn(
    config: TrainConfig, data: TrainingData, rows: dict[str, NDArray[np.int64]], progress: ReportEpoch
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    rng = np.random.default_rng(config.seed)
    for step, (pooled, name) in enumerate(((True, "pooled"), (False, "single"))):
        samples = _samples(data, rows["train"], pooled=pooled)
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
        progress("principal components", step + 1, 2, {})
    return arrays, {"neighbours": config.neighbours}


def _fit_template(
    config: TrainConfig, data: TrainingData, rows: dict[str, NDArray[np.int64]], progress: ReportEpoch
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    options = TemplateOptions()
    arrays = fit_templates(data, rows["train"], config.augmentation, options, grid_mrad=GRID_MRAD, seed=config.seed)
    progress("templates", 1, 1, {})
    return arrays, {}


_FITS: Final = {"cnn": _fit_cnn, "pca_knn": _fit_knn, "template": _fit_template}
