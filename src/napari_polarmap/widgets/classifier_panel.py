"""Step 3: choose a classifier, run it, cancel it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_polarmap.models.registry import list_models
from napari_polarmap.models.weights import ModelInfo, read_info
from napari_polarmap.pipeline.inspection import Progress
from napari_polarmap.pipeline.mapping import MapParams
from napari_polarmap.pipeline.model_range import in_words
from napari_polarmap.widgets.classifier_list import SHORT, ClassifierList
from napari_polarmap.widgets.model_news import NEWS
from napari_polarmap.widgets.section import Form, State, fit_width, note

POOLING = {
    "auto": "automatic window",
    "cell": "one unit cell",
    "none": "single patterns",
}
MAIN_SCORE = "accuracy_pooled_1e6"
"""Held-out score that the dock shows; the tooltip has them all."""
NETWORKS = {"cnn": "convolutional network", "pca_knn": "PCA and nearest neighbours"}


class ClassifierPanel(QWidget):
    """Lists the classifiers with what is known of them, and holds Run and Cancel.

    Signals
    -------
    run_clicked(), cancel_clicked(), restore_clicked()
    changed()
        Another classifier or pooling was chosen.
    failed(object)
        An exception to tell the user.
    """

    run_clicked = Signal()
    cancel_clicked = Signal()
    restore_clicked = Signal()
    changed = Signal()
    failed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._custom: list[ModelInfo] = []
        self._build()
        self.list_models()
        self.restore()
        NEWS.models_changed.connect(self.list_models)

    def _build(self) -> None:
        self.model = ClassifierList()
        self.model.currentIndexChanged.connect(self._on_model)
        self.details = note()
        self.custom_button = QPushButton("File…")
        self.custom_button.setToolTip("Use a classifier trained by 'polarmap train' (.safetensors)")
        self.custom_button.clicked.connect(self._ask_file)
        self.restore_button = QPushButton("Defaults")
        self.restore_button.setToolTip(
            "Restore the defaults: recommended classifier, automatic window, plane fit, crop that fits the classifier"
        )
        self.restore_button.clicked.connect(self.restore_clicked)
        self.pool = QComboBox()
        for key, text in POOLING.items():
            self.pool.addItem(text, key)
        fit_width(self.pool)
        self.pool.setToolTip(
            "Patterns averaged before they are classified.\n"
            "Automatic: the smallest window of whole unit cells that is sure enough.\n"
            "One unit cell: a sharper map, noisier at low dose.\n"
            "Single patterns: each by itself; misleading on most real data."
        )
        self.pool.currentIndexChanged.connect(self.changed)
        form = Form()
        form.add("Classifier", self.model, self.custom_button)
        form.add_wide(self.details)
        form.add("Pooling", self.pool, self.restore_button)
        self.run_button = QPushButton("Run")
        self.run_button.setDefault(True)
        self.run_button.setStyleSheet("QPushButton {font-weight: bold;}")
        self.run_button.clicked.connect(self.run_clicked)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop the run; the layers stay as they are")
        self.cancel_button.clicked.connect(self.cancel_clicked)
        self.cancel_button.setEnabled(False)
        run_row = QHBoxLayout()
        run_row.setSpacing(4)
        run_row.addWidget(self.run_button, 2)
        run_row.addWidget(self.cancel_button, 1)
        self.progress = QProgressBar()
        self.progress.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.progress.hide()
        self.reason = note()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(form)
        layout.addLayout(run_row)
        layout.addWidget(self.progress)
        layout.addWidget(self.reason)

    def list_models(self) -> None:
        """Read the list of installed classifiers again."""
        chosen = self.info
        self._infos = [*list_models(), *self._custom]
        self.model.blockSignals(True)
        self.model.show_classifiers(self._infos, [describe(info) for info in self._infos])
        names = [info.name for info in self._infos]
        self.model.setCurrentIndex(names.index(chosen.name) if chosen and chosen.name in names else 0)
        self.model.blockSignals(False)
        self._on_model()

    @property
    def info(self) -> ModelInfo | None:
        """The classifier chosen; None where none is installed."""
        index = self.model.currentIndex()
        return self._infos[index] if index >= 0 and self._infos else None

    @property
    def model_name(self) -> str:
        """What `load_classifier` takes for the classifier chosen."""
        info = self.info
        if info is None:
            return ""
        return str(info.path) if info in self._custom else info.name

    def restore(self) -> None:
        """Go back to the recommended classifier and the defaults of `MapParams`."""
        self.model.setCurrentIndex(0 if self.model.count() else -1)
        self.pool.setCurrentIndex(self.pool.findData(MapParams().pool))

    def params(self) -> dict[str, Any]:
        """Return the part of `MapParams` that is chosen here."""
        return {"pool": self.pool.currentData()}

    def add_file(self, path: str | Path) -> None:
        """Add a classifier from a file and choose it; `failed` is emitted where it is none."""
        try:
            info = read_info(path)
        except (ValueError, OSError) as error:
            self.failed.emit(error)
            return
        self._custom.append(info)
        self.list_models()
        self.model.setCurrentIndex(self.model.count() - 1)

    def show_ready(self, reason: str, warning: str = "") -> None:
        """Enable Run, or disable it and say why; a warning does not disable it."""
        self.run_button.setEnabled(not reason)
        self.run_button.setToolTip(reason or "Compute the polarization map of this scan")
        self.reason.setText(reason or (f"▲ {warning}" if warning else ""))
        self.reason.setStyleSheet(f"color: {State.ATTENTION.value[1]};" if warning and not reason else "")
        self.reason.setVisible(bool(reason or warning))

    def show_running(self, running: bool) -> None:
        """Switch between Run and Cancel."""
        self.cancel_button.setEnabled(running)
        self.run_button.setEnabled(not running)
        self.progress.setVisible(running)
        if running:
            self.progress.setRange(0, 0)
            self.progress.setFormat("starting")

    def show_progress(self, progress: Progress) -> None:
        """Show how far the run has come."""
        self.progress.setRange(0, progress.total)
        self.progress.setValue(progress.done)
        self.progress.setFormat(f"{progress.stage}: %p %" if progress.total else progress.stage)

    def _ask_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a classifier", "", "Classifiers (*.safetensors)")
        if path:
            self.add_file(path)

    def _on_model(self) -> None:
        info = self.info
        self.details.setText(summarize(info) if info else "No classifier is installed.")
        text = describe(info) if info else ""
        self.model.setToolTip(text)
        self.details.setToolTip(text)
        self.changed.emit()


def summarize(info: ModelInfo) -> str:
    """Return network, range of thickness and the main held-out score."""
    parts = [SHORT.get(info.network, info.network), info.objective]
    if info.thickness_nm[1] > 0:
        parts.append(f"{in_words(info.thickness_nm)} nm")
    text = ("recommended: " if info.recommended else "") + ", ".join(parts)
    score = info.scores.get(MAIN_SCORE)
    return text if score is None else f"{text}\nheld out: {_score(score)} of windows of 10⁶ electrons right"


def describe(info: ModelInfo) -> str:
    """Return all that is known of a classifier, a line each."""
    lines = [
        info.title,
        info.description,
        f"network: {NETWORKS.get(info.network, SHORT.get(info.network, info.network))}, objective: {info.objective}",
        f"material: {info.material} {info.zone_axis}".rstrip(),
        f"voltage: {info.voltage_kV:g} kV",
        f"convergence: {in_words(info.convergence_mrad)} mrad",
        f"thickness: {in_words(info.thickness_nm)} nm",
        f"specimen tilt: {in_words(info.tilt_mrad)} mrad" if info.tilt_mrad[1] > 0 else "",
        f"training set: {info.training_set}" if info.training_set else "",
        *(
            f"held out, {name.replace('_', ' ')}: {_score(value)}"
            for name, value in info.scores.items()
            if math.isfinite(value)
        ),
        f"licence: {info.licence}",
        f"SHA-256: {info.sha256[:16]}…",
    ]
    return "\n".join(line for line in lines if line)


def _score(value: float) -> str:
    return f"{100 * value:.0f} %" if 0 <= value <= 1 else f"{value:.3g}"
