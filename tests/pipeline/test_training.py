"""Training learns what is there to learn, keeps specimens apart and repeats itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_polarmap.core.config import ConfigError, load_table
from napari_polarmap.io.errors import ScanFileError
from napari_polarmap.io.hdf5 import write_scan
from napari_polarmap.models.registry import load_classifier
from napari_polarmap.models.weights import read_info
from napari_polarmap.pipeline.train_config import TrainConfig
from napari_polarmap.pipeline.training import train, train_steps
from napari_polarmap.pipeline.training_data import NONE, load_training_data
from training_files import training_set

CONFIG = """
name = "tiny"
network = "{network}"
epochs = 12
single_epochs = 1
batch = 8
singles = 1
components = 12
neighbours = 3
"""


@pytest.fixture(scope="module")
def data_file(tmp_path_factory) -> Path:
    return training_set(tmp_path_factory.mktemp("data") / "set.h5")


def trained(folder: Path, data_file: Path, network: str, name: str = "tiny") -> Path:
    config = folder / "train.toml"
    config.write_text(CONFIG.format(network=network))
    out = folder / f"{name}.safetensors"
    train(config, [data_file], out)
    return out


@pytest.mark.parametrize("network", ["cnn", "pca_knn", "template"])
def test_a_trained_model_tells_directions_of_specimens_it_has_not_seen(tmp_path, data_file, network):
    info = read_info(trained(tmp_path, data_file, network))
    assert info.scores["accuracy_pooled_exact"] >= 0.75
    assert info.scores["opposite_pooled"] == 0
    assert info.network == network
    assert "set.h5" in info.training_set


@pytest.mark.parametrize("network", ["cnn", "pca_knn", "template"])
def test_training_twice_gives_the_same_answers(tmp_path, data_file, network):
    patterns = np.random.default_rng(1).random((5, 64, 64), dtype=np.float32)
    answers = [
        load_classifier(trained(tmp_path, data_file, network, name)).predict(patterns, pooled=True).probability
        for name in ("first", "second")
    ]
    np.testing.assert_array_equal(*answers)


def test_a_split_never_cuts_a_specimen(data_file):
    data = load_training_data([data_file, data_file])
    assert len(np.unique(data.specimen)) == 60
    parts = data.split(0)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(60))
    seen = [set(data.specimen[rows].tolist()) for rows in parts.values()]
    assert sum(len(part) for part in seen) == len(set.union(*seen))
    assert (data.label == NONE).sum() == 12


def test_a_plain_scan_is_no_training_set(tmp_path):
    path = write_scan(tmp_path / "scan.h5", np.ones((2, 2, 64, 64), np.uint16))
    with pytest.raises(ScanFileError, match="not a training set"):
        load_training_data([path])


def test_a_model_file_must_be_safetensors(tmp_path, data_file):
    config = tmp_path / "train.toml"
    config.write_text(CONFIG.format(network="cnn"))
    with pytest.raises(ConfigError, match=r"ends in \.safetensors"):
        train(config, [data_file], tmp_path / "model.pt")


def test_an_unknown_key_of_the_configuration_is_named(tmp_path, data_file):
    config = tmp_path / "train.toml"
    config.write_text("epoch = 3")
    with pytest.raises(ConfigError, match="unknown key epoch"):
        train(config, [data_file], tmp_path / "m.safetensors")


SLICE = Path(__file__).parents[1] / "data" / "training_slice.h5"


def test_a_slice_of_the_training_set_of_the_packaged_classifiers_trains_and_names_its_material(tmp_path):
    """Cut by tools/cut_training_set.py; too small to learn from, real in every other respect."""
    info = read_info(trained(tmp_path, SLICE, "pca_knn"))
    assert (info.material, info.zone_axis, info.voltage_kV) == ("(K,Na)NbO3", "[001]pc", 200)
    assert "16 specimens of training_slice.h5 (664d60021dca" in info.training_set
    assert 21.9 < info.convergence_mrad[0] < info.convergence_mrad[1] < 26.1
    assert 4.9 < info.thickness_nm[0] < info.thickness_nm[1] < 60.1


def test_real_training_patterns_are_normalised_centred_and_of_both_families():
    data = load_training_data([SLICE])
    total = data.pooled.sum(axis=(1, 2)) / data.intensity_scale
    assert ((total > 0.5) & (total <= 1)).all()
    inner = data.pooled[:, 1:, 1:]
    rows = np.arange(63) - 31
    offset_px = [float((inner.mean(axis=0).sum(axis=axis) * rows).sum() / inner.mean(axis=0).sum()) for axis in (0, 1)]
    assert np.abs(offset_px).max() < 0.5
    assert set(np.unique(data.label).tolist()) == {0, 1, NONE}


def test_sets_of_two_materials_are_not_trained_on_together(tmp_path, data_file):
    with pytest.raises(ScanFileError, match=r"its material is .*NbO3, that of the first set not stated; sets of one"):
        load_training_data([data_file, SLICE])


def test_a_network_is_trained_as_the_configuration_says(tmp_path):
    """ResNet by regression, single patterns filtered and changed as published."""
    config = tmp_path / "train.toml"
    config.write_text(
        CONFIG.format(network="resnet18").replace("epochs = 12", "epochs = 1")
        + 'objective = "regression"\ncom_filter = 1\nbinning = 2\n[published]\nused = 1\n'
    )
    seen = []
    info = train(config, [SLICE], tmp_path / "m.safetensors", progress=seen.append)
    assert (info.network, info.objective) == ("resnet18", "regression")
    assert {"averages over the cell", "single patterns", "calibrating"} <= {at.stage for at in seen}
    assert len(info.options["history"]["single"]["validation_loss"]) == 1
    assert info.options["architecture"]["single"]["channels"] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.safetensors", "train.toml"]


def test_a_stopped_run_goes_on_where_it_was(tmp_path, data_file):
    config = tmp_path / "train.toml"
    config.write_text(CONFIG.format(network="cnn") + 'patterns = "pooled"')
    out = tmp_path / "m.safetensors"
    for at in train_steps(config, [data_file], out):
        if len(at.history.get("loss", [])) == 5:
            break
    assert (tmp_path / ".m.safetensors.pooled.training").exists()
    assert not out.exists()
    done = []
    for at in train_steps(config, [data_file], out, resume=True):
        assert not out.exists(), "who stops here would have a whole model that is called unfinished"
        done += [at.done] if at.stage.startswith("averages") else []
    assert done[0] > 5 * 2
    assert out.exists()
    assert not (tmp_path / ".m.safetensors.pooled.training").exists()


def test_a_network_that_halves_more_often_than_the_pattern_allows_is_refused(tmp_path):
    path = tmp_path / "deep.toml"
    path.write_text('network = "vgg11"\nbinning = 4\n')
    with pytest.raises(ConfigError, match=r"deep.toml: binning = 4 .* choose 1 or 2"):
        load_table(TrainConfig, path)
