"""The dock "Train a classifier": choose data, network and objective, watch the loss, find the model in the list."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from napari.components import ViewerModel
from napari.utils.notifications import show_info
from qtpy.QtCore import Qt
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_polarmap.io.training_figure import draw_losses
from napari_polarmap.models.registry import list_models, user_models
from napari_polarmap.models.weights import ModelInfo
from napari_polarmap.pipeline.published import PublishedAugmentation
from napari_polarmap.pipeline.train_config import TrainConfig
from napari_polarmap.pipeline.training import TrainProgress, state_files, train_steps
from napari_polarmap.pipeline.training_data import describe_training_set
from napari_polarmap.widgets.dock import Dock
from napari_polarmap.widgets.model_news import NEWS
from napari_polarmap.widgets.section import Form, fit_width, note
from napari_polarmap.widgets.workers import Jobs, tell_error

NETWORKS = {
    "cnn": "small CNN",
    "resnet18": "ResNet-18",
    "resnet50": "ResNet-50",
    "vgg11": "VGG-11",
    "vgg16": "VGG-16",
    "published_cnn": "CNN as published",
    "pca_knn": "PCA and kNN",
    "template": "physical templates",
}
OBJECTIVES = {
    "classification": "classification",
    "regression": "regression of the direction vector",
    "prototype": "prototypes",
}
PATTERNS = {"pooled": "averages over the cell", "both": "averages and single patterns", "single": "single patterns"}


class TrainWidget(Dock):
    """Dock widget "Train a classifier".

    Parameters
    ----------
    napari_viewer : napari.components.ViewerModel
        Not used; napari hands it to every dock.
    """

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.paths: list[Path] = []
        self._jobs = Jobs(self)
        self._histories: dict[str, dict[str, list[float]]] = {}
        self._drawn: dict[str, int] = {}
        self._build()
        self.refresh()

    def _build(self) -> None:
        self.data = QLineEdit()
        self.data.setReadOnly(True)
        self.data.setPlaceholderText("none chosen")
        self.data.setToolTip("Training sets made by 'polarmap simulate' with kind = \"specimens\"")
        self.browse = QPushButton("Files…")
        self.browse.setToolTip("Choose training sets")
        self.browse.clicked.connect(self._ask_files)
        self.facts = note()
        self.name = QLineEdit("my-model")
        self.name.setToolTip("Name of the model and of its file")
        self.network = _list(NETWORKS, "Which network to train")
        self.objective = _list(OBJECTIVES, "What the network is trained for")
        self.patterns = _list(
            PATTERNS, "What it will be asked for; single patterns say next to nothing of new specimens"
        )
        self.epochs = _number(1, 10_000, TrainConfig().epochs, "How often every training pattern is seen [epochs]")
        self.patience = _number(0, 1000, 5, "Stop after so many [epochs] without a lower validation loss; 0: never")
        self.batch = _number(2, 4096, TrainConfig().batch, "Size of one step [patterns]")
        self.seed = _number(0, 2**31 - 1, 0, "The same seed [no unit] and data give the same model")
        self.augmented = QCheckBox("Published augmentation")
        self.augmented.setToolTip("Blur of 2 to 5 px, brightness and contrast by 15 %, noise, on top of ours")
        self.filtered = QCheckBox("Published filter")
        self.filtered.setToolTip("Only single patterns whose centre of mass lies farther out than the mean")
        self.resume = QCheckBox("Go on with the stopped run of this name")
        self.resume.setToolTip("A run that was cancelled left its state beside the model; begin there")
        self.form = QWidget()
        form = Form(self.form)
        form.add("Training set", self.data, self.browse)
        form.add_wide(self.facts)
        form.add("Name", self.name)
        form.add("Network", self.network)
        form.add("Objective", self.objective)
        form.add("Patterns", self.patterns)
        form.add("Epochs", self.epochs)
        form.add("Patience", self.patience)
        form.add("Batch", self.batch)
        form.add("Seed", self.seed)
        form.add_wide(self.augmented)
        form.add_wide(self.filtered)
        form.add_wide(self.resume)
        self.train_button = QPushButton("Train")
        self.train_button.setToolTip("Train with what is chosen; it goes on in the background")
        self.train_button.setStyleSheet("QPushButton {font-weight: bold;}")
        self.train_button.clicked.connect(self.train)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop; the run can go on later from its last whole epoch")
        self.cancel_button.setEnabled(False)
        self.cancel_button.clicked.connect(self._jobs.cancel)
        row = QHBoxLayout()
        row.addWidget(self.train_button, 2)
        row.addWidget(self.cancel_button, 1)
        self.progress = QProgressBar()
        self.progress.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.progress.hide()
        self.reason = note()
        self.figure = Figure(layout="constrained")
        self.canvas = FigureCanvasQTAgg(self.figure)
        self.canvas.setMinimumSize(300, 240)
        layout = QVBoxLayout(self)
        layout.addWidget(self.form)
        layout.addLayout(row)
        layout.addWidget(self.progress)
        layout.addWidget(self.reason)
        layout.addWidget(self.canvas, 1)
        self.name.textChanged.connect(self.refresh)
        self.network.currentIndexChanged.connect(self.refresh)
        self.patterns.currentIndexChanged.connect(self.refresh)
        self._draw()

    def detach(self) -> None:
        """Stop all work."""
        self._jobs.stop()

    @property
    def out(self) -> Path:
        """The file of the model, in the user's folder."""
        return user_models() / f"{self.name.text().strip()}.safetensors"

    def config(self) -> TrainConfig:
        """Return what is chosen."""
        epochs = self.epochs.value()
        return TrainConfig(
            name=self.name.text().strip(),
            network=self.network.currentData(),
            objective=self.objective.currentData() if self.objective.isEnabled() else "classification",
            patterns=self.patterns.currentData(),
            epochs=epochs,
            single_epochs=epochs,
            patience=self.patience.value(),
            batch=self.batch.value(),
            seed=self.seed.value(),
            com_filter=int(self.filtered.isChecked()),
            published=PublishedAugmentation(used=int(self.augmented.isChecked())),
        )

    def choose(self, paths: list[Path]) -> None:
        """Take training sets, or tell why they are none."""
        try:
            told = [describe_training_set(path) for path in paths]
        except (ValueError, OSError) as error:
            tell_error(error)
            return
        self.paths = list(paths)
        self.data.setText(", ".join(path.name for path in paths))
        self.facts.setText("\n".join(told))
        self.refresh()

    def refresh(self, *_: Any) -> None:
        """Enable what can be done now and say why the rest cannot."""
        is_network = self.network.currentData() not in ("pca_knn", "template")
        for widget in (self.objective, self.patterns, self.epochs, self.patience, self.batch, self.augmented):
            widget.setEnabled(is_network)
        self.filtered.setEnabled(self.network.currentData() != "template")
        stopped = any(path.exists() for path in state_files(self.out).values())
        self.resume.setVisible(stopped and is_network)
        if not stopped:
            self.resume.setChecked(False)
        problem = self._problem()
        self.train_button.setEnabled(not problem and not self._jobs.busy)
        self.reason.setText(problem)
        self.reason.setVisible(bool(problem))

    def _problem(self) -> str:
        name = self.name.text().strip()
        if not self.paths:
            return "Choose a training set; 'polarmap simulate' makes them."
        if not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", name):
            return "A name is made of letters, digits and - _ . +"
        if name in {info.name for info in list_models()} or self.out.exists():
            return f"There is a model {name} already; choose another name."
        return ""

    def train(self) -> None:
        """Train in the background."""
        user_models().mkdir(parents=True, exist_ok=True)
        self._histories, self._drawn = {}, {}
        self._draw()
        self._jobs.start(
            train_steps,
            self.config(),
            self.paths,
            self.out,
            resume=self.resume.isChecked(),
            yielded=self._on_progress,
            returned=self._on_trained,
            errored=tell_error,
            aborted=lambda: show_info("Training stopped; it can go on from its last whole epoch."),
            finished=self._on_finished,
        )
        self._show_running(True)

    def _show_running(self, running: bool) -> None:
        self.cancel_button.setEnabled(running)
        self.progress.setVisible(running)
        self.progress.setRange(0, 0)
        self.progress.setFormat("starting")
        self.form.setEnabled(not running)
        self.refresh()

    def _on_progress(self, at: TrainProgress) -> None:
        self.progress.setRange(0, at.total if at.done else 0)
        self.progress.setValue(at.done)
        self.progress.setFormat(f"{at.stage}: %p %" if at.done else at.stage)
        epochs = len(at.history.get("loss", ()))
        if epochs and epochs != self._drawn.get(at.stage):
            self._drawn[at.stage] = epochs
            self._histories[at.stage] = {name: list(values) for name, values in at.history.items()}
            self._draw()

    def _on_trained(self, info: ModelInfo) -> None:
        NEWS.models_changed.emit()
        score = info.scores.get("accuracy_pooled_exact")
        told = "" if score is None else f" Held-out specimens: {score:.0%} right from exact averages."
        show_info(f"{info.name} is in the list of classifiers.{told}")

    def _on_finished(self) -> None:
        self._show_running(False)

    def _draw(self) -> None:
        ink = self.palette().color(QPalette.ColorRole.WindowText).name()
        paper = self.palette().color(QPalette.ColorRole.Window).name()
        names = ("xtick.color", "ytick.color", "text.color", "axes.labelcolor", "axes.edgecolor", "axes.titlecolor")
        with rc_context({**dict.fromkeys(names, ink), "axes.facecolor": paper, "font.size": 8}):
            self.figure.set_facecolor(paper)
            draw_losses(self.figure, self._histories)
        self.canvas.draw_idle()

    def _ask_files(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "Open training sets", "", "Training sets (*.h5 *.hdf5)")
        if paths:
            self.choose([Path(path) for path in paths])


def _list(entries: dict[str, str], tooltip: str) -> QComboBox:
    box = QComboBox()
    for key, text in entries.items():
        box.addItem(text, key)
    box.setToolTip(tooltip)
    fit_width(box)
    return box


def _number(low: int, high: int, value: int, tooltip: str) -> QSpinBox:
    box = QSpinBox()
    box.setRange(low, high)
    box.setValue(value)
    box.setToolTip(tooltip)
    return box
