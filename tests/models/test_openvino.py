"""OpenVINO, where it is installed, gives the answers of PyTorch."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from napari_polarmap.models import network
from napari_polarmap.models.registry import load_classifier

POOLED = Path(__file__).parents[1] / "data" / "pooled.npz"


@pytest.fixture(scope="module")
def patterns():
    return np.load(POOLED)["patterns"].astype(np.float32)


@pytest.fixture(scope="module")
def pytorch():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "find_spec", lambda _: None)
        return load_classifier("cnn-niobate")


@pytest.mark.filterwarnings("ignore")
def test_openvino_gives_the_same_answers(pytorch, patterns):
    pytest.importorskip("openvino")
    other = load_classifier("cnn-niobate")
    assert type(other.predictor.networks[True]).__name__ == "OpenVINONetwork"
    assert sys.modules["openvino_telemetry"] is None, "the converter of OpenVINO would tell its makers of every use"
    one, two = (classifier.predict(patterns, pooled=True) for classifier in (pytorch, other))
    np.testing.assert_array_equal(two.probability.argmax(axis=1), one.probability.argmax(axis=1))
    np.testing.assert_allclose(two.probability, one.probability, atol=1e-4)
    with ThreadPoolExecutor(3) as threads:
        for answer in threads.map(lambda _: other.predict(patterns, pooled=True), range(6)):
            np.testing.assert_array_equal(answer.probability, two.probability)
