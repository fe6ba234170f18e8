"""The TOML file of ``polarmap train``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from napari_polarmap.core.config import ConfigError, Uniform, choice, number, whole
from napari_polarmap.pipeline.augmentation import Augmentation
from napari_polarmap.pipeline.fitting import FitOptions
from napari_polarmap.pipeline.published import PublishedAugmentation

NETWORKS = ("cnn", "published_cnn", "resnet18", "resnet50", "vgg11", "vgg16", "pca_knn", "template")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """What to train, on what, and how.

    Attributes
    ----------
    name, title, licence, description : str
        Of the model file.
    network : str
        One of `NETWORKS`.
    objective : {"classification", "regression", "prototype"}
        Of the networks; `pca_knn` and `template` know classes only.
    patterns : {"both", "pooled", "single"}
        Train for averages over the cell, for single patterns, or a network for each.
    seed : int
    epochs, single_epochs : int
        For averages and for single patterns.
    patience : int
        Epochs without a lower validation loss after which to stop; 0 for never.
    batch : int
    learning_rate, weight_decay, label_smoothing : number
    optimizer, schedule : str
    precision : {"auto", "float32", "bfloat16"}
        auto: bfloat16 where a short trial says that it is faster.
    device : {"auto", "cpu", "cuda"}
    binning : {1, 2, 4}
        Pixels along an edge that are averaged at the entrance.
    batch_norm : {0, 1}
        Of VGG; without it and without pretrained weights it hardly learns.
    keep_px : int
        Parts along an edge that the last picture of ResNet and VGG is averaged to.
    dropout : number
    singles : int
        Single patterns used of each specimen and thickness.
    com_filter : {0, 1}
        Train on single patterns only whose centre of mass deviates more than the mean, as published.
    components, neighbours, discriminant
        Of `pca_knn`.
    recommended : {0, 1}
    augmentation : Augmentation
    published : PublishedAugmentation
        Blur, brightness, contrast and noise as published, on top.
    """

    name: str = "my-model"
    title: str = ""
    network: str = choice("cnn", *NETWORKS)
    objective: str = choice("classification", "classification", "regression", "prototype")
    patterns: str = choice("both", "both", "pooled", "single")
    licence: str = "GPL-3.0-or-later"
    description: str = ""
    seed: int = whole(0, 0, 2**31)
    epochs: int = whole(40, 1, 10_000)
    single_epochs: int = whole(8, 1, 10_000)
    patience: int = whole(0, 0, 1000)
    batch: int = whole(128, 2, 4096)
    learning_rate: Uniform = number(2e-3, 1e-6, 1.0)
    weight_decay: Uniform = number(1e-3, 0.0, 1.0)
    label_smoothing: Uniform = number(0.02, 0.0, 0.5)
    optimizer: str = choice("adamw", "adamw", "adam")
    schedule: str = choice("one-cycle", "one-cycle", "constant")
    precision: str = choice("auto", "auto", "float32", "bfloat16")
    device: str = choice("auto", "auto", "cpu", "cuda")
    binning: int = whole(1, 1, 4)
    batch_norm: int = whole(1, 0, 1)
    keep_px: int = whole(1, 1, 4)
    dropout: Uniform = number(0.2, 0.0, 0.9)
    singles: int = whole(4, 1, 64)
    com_filter: int = whole(0, 0, 1)
    components: int = whole(150, 2, 2000)
    neighbours: int = whole(15, 1, 100)
    discriminant: bool = True
    recommended: int = whole(0, 0, 1)
    augmentation: Augmentation = field(default_factory=Augmentation)
    published: PublishedAugmentation = field(default_factory=PublishedAugmentation)

    def __post_init__(self) -> None:
        if self.network.startswith("vgg") and self.binning > 2:
            raise ConfigError(
                f"binning = {self.binning} leaves too little of a pattern for {self.network}, "
                "which halves it five times; choose 1 or 2"
            )

    @property
    def kinds(self) -> tuple[bool, ...]:
        """Whether to train for averages (True) and for single patterns (False)."""
        return {"both": (True, False), "pooled": (True,), "single": (False,)}[self.patterns]

    def architecture(self, *, pooled: bool) -> dict[str, Any]:
        """Return the arguments of `DirectionNetwork`; single patterns enter as one channel, averages as two."""
        own: dict[str, Any] = {}
        if self.network in ("resnet18", "resnet50", "vgg11", "vgg16"):
            own["keep_px"] = self.keep_px
        if self.network.startswith("vgg"):
            own["batch_norm"] = bool(self.batch_norm)
        if self.network != "published_cnn":
            own["dropout"] = self.dropout.low
        # The small network was made for even and odd part, also of single patterns.
        channels = 2 if pooled or self.network == "cnn" else 1
        return {
            "backbone": self.network,
            "objective": self.objective,
            "channels": channels,
            "binning": self.binning,
            **own,
        }

    def fit_options(self, *, pooled: bool) -> FitOptions:
        """Return the options of the training loop."""
        return FitOptions(
            epochs=self.epochs if pooled else self.single_epochs,
            learning_rate=self.learning_rate.low,
            weight_decay=self.weight_decay.low,
            optimizer=self.optimizer,
            schedule=self.schedule,
            patience=self.patience,
            smoothing=self.label_smoothing.low,
            precision=self.precision,
            device=self.device,
            seed=self.seed,
        )
