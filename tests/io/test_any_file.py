"""Facts that hold for every shape, type, chunking and content, tried on many that are drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_polarmap.core.data import Calibration, Scan4D
from napari_polarmap.core.survey import scan_statistics
from napari_polarmap.io import READERS, AxisOrder, RawLayout, ScanFileError, open_scan
from napari_polarmap.io.calibration_file import load_calibration, save_calibration
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.models.registry import BUNDLED
from napari_polarmap.models.weights import read_info

SOME = settings(max_examples=30, deadline=None, derandomize=True)
TYPES = ("u1", ">u2", "<u2", "<i4", "<f4", ">f8", "<f2", "?")
SIZES = st.tuples(*[st.integers(1, 6)] * 4)


def numbers(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return (np.arange(np.prod(shape)) % 127).reshape(shape).astype(dtype)


def write(kind: str, path: Path, data: np.ndarray, chunks: tuple[int, ...]) -> dict[str, Any]:
    """Write a scan; return the options that open it."""
    if kind == "npy":
        np.save(path, data)
    elif kind == "fortran.npy":
        np.save(path, np.asfortranarray(data))
    elif kind == "npz":
        np.savez_compressed(path, scan=data)
    elif kind == "zarr":
        zarr.create_array(path, data=data, chunks=chunks)
    elif kind == "raw":
        path.write_bytes(data.tobytes())
        shape = ",".join(map(str, data.shape[2:]))
        return {"raw": RawLayout.parse(f"{data.dtype.str},{shape}"), "scan_shape": data.shape[:2]}
    else:
        with h5py.File(path, "w") as file:
            file.create_dataset("scan", data=data, **({"chunks": chunks} if kind == "chunked.h5" else {}))
    return {}


@pytest.mark.parametrize("kind", ["npy", "fortran.npy", "npz", "zarr", "raw", "h5", "chunked.h5"])
@SOME
@given(drawn=st.data())
def test_any_shape_type_and_chunking_comes_back_in_any_block(kind, drawn):
    shape = drawn.draw(SIZES)
    dtype = drawn.draw(st.sampled_from(TYPES[:-1] if kind == "raw" else TYPES))
    chunks = tuple(drawn.draw(st.integers(1, size)) for size in shape)
    data = numbers(shape, dtype)
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"scan.{kind}"
        options = write(kind, path, data, chunks)
        with open_scan(path, **options) as scan:
            assert (scan.shape, scan.dtype.kind) == (shape, data.dtype.kind)
            top, left = (drawn.draw(st.integers(0, size - 1)) for size in shape[:2])
            rows, columns = slice(top, drawn.draw(st.integers(top, 9))), slice(left, drawn.draw(st.integers(left, 9)))
            np.testing.assert_array_equal(scan.read(rows, columns), data[rows, columns])
            np.testing.assert_array_equal(scan.pattern(top, left), data[top, left])
            eager = scan_statistics(Scan4D(data))
            lazy = scan_statistics(scan)
            for name in ("mean_pattern", "total", "com_px", "bright"):
                np.testing.assert_array_equal(getattr(lazy, name), getattr(eager, name))


@SOME
@given(content=st.binary(max_size=3000), suffix=st.sampled_from([s for r in READERS.values() for s in r.suffixes]))
@pytest.mark.filterwarnings("ignore")
def test_any_bytes_under_any_suffix_are_refused_in_one_sentence(content, suffix):
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"scan_000{suffix}"
        path.write_bytes(content)
        with pytest.raises(ScanFileError) as error:
            open_scan(path)
        assert "\n" not in str(error.value)
        assert folder in str(error.value)


def refusal(function: Callable[[Any], object], argument: object) -> str | None:
    """Return the sentence in which an argument is refused; None where it is taken."""
    try:
        function(argument)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize("parse", [RawLayout.parse, AxisOrder.parse])
@SOME
@given(text=st.text(max_size=60) | st.from_regex(r"[<>]?[a-z]\d(,-?\d{1,30}){0,5}", fullmatch=True))
def test_any_text_is_an_option_or_a_value_error(parse, text):
    assert refusal(parse, text) != ""


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@SOME
@given(name=st.sampled_from(sorted(Calibration().record())), value=JSON)
def test_any_value_in_a_calibration_file_is_taken_or_refused_in_one_sentence(name, value):
    with TemporaryDirectory() as folder:
        path = save_calibration(Calibration(), Path(folder) / "calibration.json")
        record = json.loads(path.read_text())
        record["calibration"][name] = value
        path.write_text(json.dumps(record))
        said = refusal(lambda path: Calibration(**load_calibration(path)), path)
        assert said is None or str(path) in said


PLACES = st.lists(st.tuples(st.integers(0, 2000) | st.integers(0, 10**5), st.integers(0, 255)), max_size=20)


def damaged(whole: bytes, length: float, places: list[tuple[int, int]]) -> bytes:
    """Cut a file short and change some of its bytes, mostly at its beginning."""
    content = bytearray(whole[: round(length * len(whole))])
    for at, value in places:
        if at < len(content):
            content[at] = value
    return bytes(content)


@pytest.fixture(scope="module")
def result_file(tmp_path_factory):
    zero = np.zeros((3, 4), np.float32)
    classes = zero.astype(np.uint8)
    maps = {"angle_deg": zero, "confidence": zero, "irregularity": zero, "direction": classes, "domain": classes}
    pairs = {"com_px": np.zeros((3, 4, 2), np.float32), "probability": np.zeros((3, 4, 8), np.float32)}
    result = PolarizationMap(**maps, **pairs, irregular=classes > 0, provenance={"notes": []})
    return result.save(tmp_path_factory.mktemp("result") / "result.h5")


@pytest.mark.parametrize("kind", ["result", "model"])
@settings(max_examples=150, deadline=None, derandomize=True)
@given(length=st.just(1.0) | st.floats(0, 1), places=PLACES)
def test_a_damaged_result_or_model_is_read_or_refused_in_one_sentence(kind, result_file, length, places):
    whole = (result_file if kind == "result" else BUNDLED / "pca_knn.safetensors").read_bytes()
    with TemporaryDirectory() as folder:
        path = Path(folder) / kind
        path.write_bytes(damaged(whole, length, places))
        said = refusal(PolarizationMap.load if kind == "result" else read_info, path)
        assert said is None or (str(path) in said and "\n" not in said)
