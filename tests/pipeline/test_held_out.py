"""The packaged classifiers on specimens they have not seen: as often right as they say, and wary of the unknown.

``tests/data/held_out.npz`` holds averages over the cell of 60 specimens; ``benchmarks/confidence.py --slice`` makes it.
The deep networks take minutes each; they are asked where ``ALL_CLASSIFIERS`` is set, as in the workflow `tests`.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from napari_polarmap.core.metrics import expected_calibration_error, roc_auc, set_coverage
from napari_polarmap.models.registry import list_models, load_classifier
from napari_polarmap.models.weights import read_arrays, read_info, save_model
from napari_polarmap.pipeline.calibrating import ConfigError, calibrate_file
from napari_polarmap.pipeline.held_out import Answers, ask, exchangeable_coverage
from napari_polarmap.pipeline.sets import set_map
from napari_polarmap.pipeline.training_data import TrainingData
from napari_polarmap.pipeline.unfamiliar import unfamiliar_patterns

DEEP = ("resnet", "vgg")
NAMES = [info.name for info in list_models() if os.environ.get("ALL_CLASSIFIERS") or not info.network.startswith(DEEP)]
ROWS = np.arange(180)


@cache
def held_out() -> TrainingData:
    with np.load(Path(__file__).parents[1] / "data" / "held_out.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays["pooled"] = arrays["pooled"].astype(np.float32)
    singles = np.zeros((len(ROWS), 0, 64, 64), np.float16)
    return TrainingData(
        **{**arrays, "intensity_scale": float(arrays["intensity_scale"])},
        amplitude=np.ones(len(ROWS)),
        singles=singles,
        sources=[],
    )


@cache
def answers(name: str) -> dict[str, Answers]:
    return ask(load_classifier(name), held_out(), ROWS, patterns=180)


def together(name: str, field: str) -> np.ndarray:
    return np.concatenate([getattr(answer, field) for answer in answers(name).values()])


@pytest.mark.parametrize("name", NAMES)
def test_stated_probabilities_are_right_within_five_per_cent(name):
    told = together(name, "polarised")
    probability = np.concatenate([answer.prediction.probability for answer in answers(name).values()])
    assert expected_calibration_error(probability[told], together(name, "truth")[told], bins=10) <= 0.05


@pytest.mark.parametrize("name", NAMES)
def test_sets_at_ninety_per_cent_hold_the_direction_of_nine_in_ten(name):
    told = together(name, "polarised")
    assert set_coverage(together(name, "sets")[told], together(name, "truth")[told]) == pytest.approx(0.9, abs=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_confidence_tells_the_crystal_from_everything_else(name):
    known = together(name, "confidence")[together(name, "polarised")]
    strange = np.concatenate([part for answer in answers(name).values() for part in answer.unfamiliar.values()])
    assert roc_auc(np.concatenate([known, strange]), np.arange(len(known) + len(strange)) < len(known)) >= 0.95


@pytest.mark.parametrize("dose", ["1e7", "1e6", "1e5"])
@pytest.mark.parametrize("name", NAMES)
def test_confidence_tells_them_apart_at_every_dose(name, dose):
    answer = answers(name)[dose]
    known, strange = answer.confidence[answer.polarised], np.concatenate(list(answer.unfamiliar.values()))
    assert roc_auc(np.concatenate([known, strange]), np.arange(len(known) + len(strange)) < len(known)) >= 0.95


@pytest.mark.parametrize("name", NAMES)
def test_sets_cover_as_asked_where_specimens_are_recorded_as_for_the_calibration(name):
    found = exchangeable_coverage(load_classifier(name), held_out(), ROWS)
    # 54 specimens, whose thicknesses err together, are good to two or three per cent.
    assert found["coverage"] == pytest.approx(0.9, abs=0.045)


@pytest.mark.parametrize("name", NAMES)
def test_specimens_of_its_kind_are_familiar(name):
    familiarity = load_classifier(name).familiarity
    assert familiarity is not None
    patterns = held_out().pooled
    counts = np.random.default_rng(0).poisson(patterns * (1e6 / held_out().intensity_scale)).astype(np.float32)
    centred = (counts[:, :-1, :-1] + counts[:, 1:, :-1] + counts[:, :-1, 1:] + counts[:, 1:, 1:]) / 4
    centred = np.pad(centred, ((0, 0), (0, 1), (0, 1)))[:, :64, :64]
    assert (familiarity(centred) < 0.5).mean() <= 0.03


def test_exact_patterns_of_other_crystals_get_no_direction():
    classifier = load_classifier(NAMES[0])
    strange = unfamiliar_patterns(None, None, np.random.default_rng(0))
    assert {"SrTiO3 [001]", "niobate [110]", "glass", "vacuum", "blank"} <= strange.keys()
    for kind, patterns in strange.items():
        assert (classifier.predict(patterns, pooled=True).informed < 0.5).all(), kind


def test_sets_turn_with_the_crystal():
    classifier = load_classifier(NAMES[0])
    evidence = np.log(np.full((1, 2, 9), 1e-6))
    evidence[0, 0, 1], evidence[0, 1, 8] = 0, 0
    sets = set_map(evidence, np.full((1, 2), 1e7), classifier.calibration[True], turn=2)
    assert sets.tolist() == [[1 << 3, 1 << 8]]


def test_a_file_that_was_never_calibrated_still_answers_but_has_no_sets(tmp_path):
    info = read_info(next(entry.path for entry in list_models() if entry.network == "pca_knn"))
    record = {key: value for key, value in vars(info).items() if key not in ("calibration", "path", "sha256")}
    old = load_classifier(save_model(tmp_path / "old.safetensors", type(info)(**record), read_arrays(info.path)))
    answer = old.predict(held_out().pooled[:2], pooled=True)
    np.testing.assert_allclose(answer.probability.sum(axis=1), 1, rtol=1e-5)
    with pytest.raises(ValueError, match="polarmap calibrate makes them"):
        old.prediction_sets(answer, pooled=True)


def test_electrons_that_do_not_fit_the_patterns_are_refused():
    classifier = load_classifier(NAMES[0])
    for wrong in (np.ones(3), -1.0):
        with pytest.raises(ValueError, match="2 patterns need one number each"):
            classifier.predict(np.ones((2, 64, 64)), pooled=True, electrons=wrong)


def test_calibration_asks_for_the_split_and_for_the_training_set(tmp_path, monkeypatch):
    info = read_info(next(entry.path for entry in list_models() if entry.network == "pca_knn"))
    assert info.seed is not None
    record = {key: value for key, value in vars(info).items() if key not in ("seed", "path", "sha256")}
    unsaid = save_model(tmp_path / "unsaid.safetensors", type(info)(**record), read_arrays(info.path))
    with pytest.raises(ConfigError, match=r"unsaid.safetensors: does not say how .*--seed"):
        calibrate_file(unsaid, [tmp_path / "any.h5"], tmp_path / "out.safetensors")
    with pytest.raises(ConfigError, match=r"unsaid.safetensors: needs its training set .--data.*--more"):
        calibrate_file(unsaid, [], tmp_path / "out.safetensors")
    other = {"specimens": 3, "file": "other.h5", "config_sha256": "abcdef"}
    data = TrainingData(**{**vars(held_out()), "sources": [other]})
    monkeypatch.setattr("napari_polarmap.pipeline.calibrating.load_training_data", lambda *_, **__: data)
    with pytest.raises(ConfigError, match=r"other.h5: 3 specimens of other.h5 .abcdef. is not what"):
        calibrate_file(info.path, [tmp_path / "other.h5"], tmp_path / "out.safetensors")


def test_specimens_it_has_not_seen_are_enough_to_put_its_probabilities_right(tmp_path, monkeypatch):
    path = next(entry.path for entry in list_models() if entry.network == "pca_knn")
    before, source = load_classifier(path), {"file": "other.h5", "material": "(K,Na)NbO3"}
    singles = held_out().pooled[:, None].astype(np.float16)
    whole = TrainingData(**{**vars(held_out()), "singles": singles, "sources": [source]})
    third = whole.specimen % 3
    sets = {"more.h5": part(whole, third == 1), "test.h5": part(whole, third == 2)}
    loading = "napari_polarmap.pipeline.calibrating.load_training_data"
    monkeypatch.setattr(loading, lambda paths, **_: sets[paths[0].name])
    out = tmp_path / "out.safetensors"
    calibrate_file(path, [], out, more_paths=[Path("more.h5")], test_paths=[Path("test.h5")])
    after = load_classifier(out)
    assert after.calibration[True].specimens == 20
    assert after.calibration[True] != before.calibration[True]
    assert after.info.scores["specimens"] == 20
    assert after.info.scores["ece_pooled"] < 0.1
    patterns = sets["test.h5"].pooled[:8]
    for name, array in before.familiarity.arrays().items():
        np.testing.assert_array_equal(after.familiarity.arrays()[name], array, err_msg=name)
    np.testing.assert_array_equal(*(each.predictor.predict_logits(patterns, pooled=True) for each in (before, after)))
    calibrate_file(path, [], tmp_path / "scored.safetensors", test_paths=[Path("test.h5")])
    scored = load_classifier(tmp_path / "scored.safetensors")
    assert scored.calibration == before.calibration
    assert scored.info.scores["specimens"] == 20
    assert scored.info.scores["ece_pooled"] != after.info.scores["ece_pooled"]
    source["material"] = "AlN"
    with pytest.raises(ConfigError, match=r"other.h5: is of AlN; pca-knn-niobate is for \(K,Na\)NbO3"):
        calibrate_file(path, [], out, more_paths=[Path("more.h5")])


def part(data: TrainingData, chosen: np.ndarray) -> TrainingData:
    rows = {name: value[chosen] for name, value in vars(data).items() if isinstance(value, np.ndarray)}
    return TrainingData(**{**vars(data), **rows})
