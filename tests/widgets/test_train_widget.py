"""The dock that trains: what it refuses, what it shows, and that its model can be chosen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_polarmap.models.registry import BUNDLED
from napari_polarmap.models.weights import ModelInfo, save_model
from napari_polarmap.pipeline.training import TrainProgress, state_files
from napari_polarmap.widgets import train_widget
from napari_polarmap.widgets.classifier_panel import ClassifierPanel
from napari_polarmap.widgets.train_widget import TrainWidget

SLICE = Path(__file__).parents[1] / "data" / "training_slice.h5"
HISTORY = {"loss": [2.0, 1.5], "validation_loss": [2.1, 1.8], "validation_accuracy": [0.2, 0.4]}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty folder of user models."""
    for place in ("napari_polarmap.models.registry.user_models", "napari_polarmap.widgets.train_widget.user_models"):
        monkeypatch.setattr(place, lambda: tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def dock(qtbot, viewer, folder) -> TrainWidget:
    widget = TrainWidget(viewer)
    qtbot.addWidget(widget)
    return widget


@pytest.fixture
def stand_in(monkeypatch):
    """Training in no time; `calls` are its arguments."""
    calls = []

    def steps(config, paths, out, *, resume):
        calls.append((config, paths, out, resume))
        yield TrainProgress("averages over the cell", 1, 2, HISTORY)
        info = ModelInfo(name=config.name, title=config.name, network="pca_knn", licence="CC0")
        save_model(out, info, {"single.mean": np.zeros(1, np.float32)})
        return info

    monkeypatch.setattr(train_widget, "train_steps", steps)
    return calls


def test_it_asks_for_a_training_set_first_and_tells_what_is_in_it(dock):
    assert not dock.train_button.isEnabled()
    assert "Choose a training set" in dock.reason.text()
    dock.choose([SLICE])
    assert "(K,Na)NbO3, 16 specimens" in dock.facts.text()
    assert dock.train_button.isEnabled()


@pytest.mark.parametrize(
    ("name", "reason"), [("cnn-niobate", "already"), ("../away", "letters"), ("", "letters"), (".x", "letters")]
)
def test_a_name_that_is_taken_or_no_file_name_is_refused(dock, name, reason):
    assert BUNDLED.exists()
    dock.choose([SLICE])
    dock.name.setText(name)
    assert not dock.train_button.isEnabled()
    assert reason in dock.reason.text()


def test_a_scan_is_no_training_set(dock, scan_file, monkeypatch):
    told = []
    monkeypatch.setattr(train_widget, "tell_error", told.append)
    dock.choose([scan_file])
    assert "not a training set" in str(told[0])
    assert not dock.paths


def test_what_is_chosen_reaches_the_training_and_the_model_the_list(dock, qtbot, stand_in, folder):
    panel = ClassifierPanel()
    qtbot.addWidget(panel)
    dock.choose([SLICE])
    dock.name.setText("mine")
    dock.network.setCurrentIndex(dock.network.findData("resnet18"))
    dock.objective.setCurrentIndex(dock.objective.findData("prototype"))
    dock.augmented.setChecked(True)
    dock.train()
    assert dock.cancel_button.isEnabled()
    qtbot.waitUntil(lambda: not dock.cancel_button.isEnabled())
    config, paths, out, resume = stand_in[0]
    assert (config.network, config.objective, config.published.used) == ("resnet18", "prototype", 1)
    assert (paths, out, resume) == ([SLICE], folder / "mine.safetensors", False)
    assert "mine" in [panel.model.itemText(index) for index in range(panel.model.count())]
    assert not dock.train_button.isEnabled()  # the name is taken now


def test_the_loss_curve_grows_with_the_epochs(dock):
    dock._on_progress(TrainProgress("averages over the cell", 3, 9, HISTORY))
    above, below = dock.figure.axes
    assert [len(line.get_xdata()) for line in above.lines] == [2, 2]
    assert below.lines[0].get_ydata().tolist() == HISTORY["validation_accuracy"]
    assert dock.progress.value() == 3


def test_cancelling_stops_at_the_next_step(dock, qtbot, monkeypatch, folder):
    def endless(*_, **__):
        while True:
            yield TrainProgress("averages over the cell", 1, 2, {})

    monkeypatch.setattr(train_widget, "train_steps", endless)
    monkeypatch.setattr(train_widget, "show_info", lambda text: None)
    dock.choose([SLICE])
    dock.train()
    qtbot.waitUntil(lambda: dock.progress.value() == 1)
    dock.cancel_button.click()
    qtbot.waitUntil(lambda: dock.train_button.isEnabled())


def test_a_stopped_run_is_offered_to_go_on(dock, folder):
    folder.mkdir()
    assert dock.resume.isHidden()
    state_files(dock.out)[True].touch()
    dock.refresh()
    assert not dock.resume.isHidden()


def test_networks_that_know_classes_only_have_no_objective_to_choose(dock):
    dock.network.setCurrentIndex(dock.network.findData("pca_knn"))
    assert not dock.objective.isEnabled()
    assert dock.config().objective == "classification"
