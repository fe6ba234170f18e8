"""Classifiers: what is packaged, what every one of them promises, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from napari_polarmap.core.directions import N_DIRECTIONS
from napari_polarmap.core.symmetry import OPERATIONS
from napari_polarmap.models.registry import BUNDLED, MODELS, default_model, list_models, load_classifier
from napari_polarmap.models.weights import FORMAT, ModelFileError, ModelInfo, read_info, save_model

FILES = sorted(BUNDLED.glob("*.safetensors"))
NAMES = [info.name for info in list_models()]


def some_patterns(n: int = 6) -> np.ndarray:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64] - 31.5
    disk = np.hypot(y, x) < 22
    return (disk * (1 + 0.05 * rng.standard_normal((n, 64, 64)))).astype(np.float32)


def test_one_classifier_of_every_kind_is_packaged_together_below_60_mb():
    assert {"template", "cnn", "pca_knn", "resnet18", "vgg11"} == {read_info(path).network for path in FILES}
    assert sum(path.stat().st_size for path in FILES) < 60e6


def test_there_is_one_recommended_model_and_it_is_the_default():
    assert [info.name for info in list_models() if info.recommended] == [default_model()]


@pytest.mark.parametrize("name", NAMES)
def test_every_model_says_where_it_comes_from(name):
    info = load_classifier(name).info
    assert info.licence
    assert "specimens" in info.training_set
    assert info.thickness_nm[0] < info.thickness_nm[1]
    assert {"accuracy_pooled_exact", "accuracy_single_1000", "unpolarised_told"} <= info.scores.keys()
    assert len(info.sha256) == 64


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("pooled", [False, True])
def test_every_model_returns_probabilities_of_eight_directions(name, pooled):
    answer = load_classifier(name).predict(some_patterns(), pooled=pooled)
    assert answer.probability.shape == (6, N_DIRECTIONS)
    np.testing.assert_allclose(answer.probability.sum(axis=1), 1, rtol=1e-5)
    assert ((answer.informed >= 0) & (answer.informed <= 1)).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_scale_of_the_counts_does_not_matter(name):
    classifier = load_classifier(name)
    small, large = (classifier.predict(scale * some_patterns(), pooled=True).probability for scale in (1, 1000))
    np.testing.assert_allclose(small, large, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("pooled", [False, True])
def test_no_answer_depends_on_how_many_are_asked_for_at_once(name, pooled):
    classifier, patterns = load_classifier(name), some_patterns(21)
    together = classifier.predict(patterns, pooled=pooled)
    parts = [classifier.predict(patterns[start:stop], pooled=pooled) for start, stop in ((0, 1), (1, 6), (6, 21))]
    for part in ("probability", "informed"):
        apart = np.concatenate([getattr(answer, part) for answer in parts])
        np.testing.assert_allclose(apart, getattr(together, part), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_dark_pattern_says_nothing(name):
    answer = load_classifier(name).predict(np.zeros((2, 64, 64), np.float32), pooled=True)
    assert (answer.informed == 0).all()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_network_commutes_with_the_operations_of_the_square(operation):
    classifier = load_classifier(default_model())
    patterns = some_patterns()
    straight = classifier.predict(patterns, pooled=True)
    turned = classifier.predict(np.ascontiguousarray(operation.images(patterns)), pooled=True)
    np.testing.assert_allclose(turned.probability, operation.probabilities(straight.probability), atol=1e-4)
    np.testing.assert_allclose(turned.informed, straight.informed, atol=1e-4)


def test_patterns_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"takes \(n, 64, 64\)"):
        load_classifier(default_model()).predict(np.ones((1, 32, 32)), pooled=True)


def test_an_unknown_model_lists_the_known_ones():
    with pytest.raises(ModelFileError, match=f"unknown model 'resnet-99'; choose one of .*{default_model()}"):
        load_classifier("resnet-99")


def test_files_that_are_no_models_are_refused_by_name(tmp_path):
    empty = tmp_path / "empty.safetensors"
    empty.write_bytes(b"")
    other = tmp_path / "other.safetensors"
    from safetensors.numpy import save_file

    save_file({"x": np.zeros(3)}, other)
    wrong = save_model(
        tmp_path / "wrong.safetensors", ModelInfo(name="w", title="w", network="cnn"), {"x": np.zeros(3, np.float32)}
    )
    strange = save_model(
        tmp_path / "strange.safetensors", ModelInfo(name="s", title="s", network="oracle"), {"x": np.zeros(3)}
    )
    for path, message in (
        (empty, "not a safetensors file"),
        (other, "not a model of napari-polarmap"),
        (wrong, "do not fit the network 'cnn'"),
        (strange, f"network 'oracle' is not one of {', '.join(MODELS)}"),
        (tmp_path / "none.safetensors", "no such model file"),
    ):
        with pytest.raises(ModelFileError, match=f"{path.name}: .*{message}"):
            load_classifier(path)


def test_the_description_survives_the_file(tmp_path):
    info = ModelInfo(name="a", title="A", network="cnn", scores={"x": 0.5}, thickness_nm=(5.0, 60.0), licence="GPL")
    loaded = read_info(save_model(tmp_path / "a.safetensors", info, {"x": np.zeros(2)}))
    assert (loaded.scores, loaded.thickness_nm, loaded.title) == ({"x": 0.5}, (5.0, 60.0), "A")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid_px": "64"}, "a whole number fits"),
        ({"grid_px": 10**6}, "a grid of 1000000 px"),
        ({"grid_px": True}, "a whole number fits"),
        ({"scores": {"accuracy": "all"}}, "scores must be numbers"),
        ({"options": []}, "a table fits"),
        ({"thickness_nm": [1, 2, 3]}, "two numbers fit"),
        ({"network": None}, "a text fits"),
    ],
)
def test_a_description_of_another_kind_is_refused_by_name(tmp_path, change, message):
    info = read_info(BUNDLED / "pca_knn.safetensors")
    record = {key: value for key, value in vars(info).items() if key not in ("path", "sha256")} | change
    metadata = {"format": FORMAT, "info": json.dumps(record)}
    save_file({"a": np.zeros(1, np.float32)}, tmp_path / "a.safetensors", metadata=metadata)
    with pytest.raises(ModelFileError, match=message):
        read_info(tmp_path / "a.safetensors")
