"""Files that a reader of the documentation has: small stand-ins, made from what is packaged."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import tomllib
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from docs_blocks import ROOT

from napari_polarmap.cli import main
from napari_polarmap.io.hdf5 import write_scan

SAMPLES = ROOT / "src" / "napari_polarmap" / "sample_data"

_NUMERICS = {"gpts": 96, "crop_px": 64, "phonons": 0}

SMALL: dict[str, dict[str, dict[str, Any]]] = {
    "specimens": {
        "specimen": {"count": 20, "unpolarised_fraction": 0.2, "amplitude": 1.2},
        "cell": {"box_A": [12, 18]},
        "thickness": {"low_nm": 4, "high_nm": 5, "count": 1},
        "multislice": _NUMERICS,
        "probe": {"spread_cells": 1},
    },
    "scan": {
        "cell": {"box_A": [12, 18]},
        "scene": {"rows": 14, "columns": 24, "step_A": 1.0},
        "thickness": {"low_nm": 4.5, "high_nm": 4.5},
        "multislice": _NUMERICS,
    },
}
"""What simulations of each kind are made smaller by."""

SMALL_TRAINING = {"epochs": 1, "patience": 0, "components": 6, "neighbours": 3, "singles": 1, "batch": 4}


class Here(Executor):
    """Runs at once what it is given: starting processes takes longer than these simulations."""

    def __init__(self, *_words: object, **_options: object) -> None: ...

    def submit(self, function: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        """Return the result, wrapped."""
        done: Future[Any] = Future()
        done.set_result(function(*args, **options))
        return done


def make(name: str, folder: Path, store: Path) -> None:
    """Put the file `name` into `folder`; `store` keeps what has been made before."""
    if (folder / name).exists():
        return
    kept = store / name
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        _recipe(name)(kept)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (shutil.copytree if kept.is_dir() else shutil.copy)(kept, folder / name)


def _recipe(name: str) -> Callable[[Path], object]:
    if name in RECIPES:
        return RECIPES[name]
    if re.fullmatch(r"[\w/]+\.h5", name):  # any other scan of the page
        return RECIPES["scan.h5"]
    raise ValueError(f"{name!r} is no file that can be given; known: {', '.join(RECIPES)}, and any other .h5 is a scan")


def cut_scan(path: Path, source: str = "two_domains", rows: int = 24, columns: int = 32) -> None:
    """Cut the middle out of a packaged scan."""
    with h5py.File(SAMPLES / f"{source}.h5") as file:
        middle = tuple(
            slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip(file["data"].shape, (rows, columns), strict=False)
        )
        truth = {name: file[name][middle] for name in ("label", "defect") if name in file}
        write_scan(path, file["data"][middle], attrs=dict(file["data"].attrs), **truth)


def _stack(path: Path) -> None:
    """Patterns one after the other without a header."""
    header = np.zeros(1024, np.uint8).tobytes()
    path.write_bytes(header + np.random.default_rng(0).poisson(3, (32, 32, 64, 64)).astype(np.uint16).tobytes())


def _run(*words: object) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        if main([str(word) for word in words]):
            raise RuntimeError(f"a given file could not be made: polarmap {' '.join(map(str, words))}")


def _result(path: Path) -> None:
    scan = path.with_name("for_result.h5")
    cut_scan(scan)
    _run("map", scan, "--out", path)


def _labels(path: Path) -> None:
    with h5py.File(path, "w") as file, h5py.File(SAMPLES / "two_domains.h5") as source:
        file["label"] = source["label"][16:40, 24:56]


def _trained(path: Path) -> None:
    config = path.with_name("for_mine.toml")
    config.write_text(smaller((ROOT / "benchmarks" / "models" / "pca_knn.toml").read_text(encoding="utf-8")))
    data = path.with_name("specimens.h5")
    RECIPES["specimens.h5"](data)
    _run("train", config, "--data", data, "--out", path)


def _batch(path: Path) -> None:
    for name in ("first.h5", "second.h5"):
        path.mkdir(exist_ok=True)
        cut_scan(path / name)


RECIPES: dict[str, Callable[[Path], object]] = {
    "scan.h5": cut_scan,
    "scene_vacancy.h5": lambda path: cut_scan(path, "defect"),
    "scan.raw": _stack,
    "result.h5": _result,
    "labels.h5": _labels,
    "scans": _batch,
    "specimens.h5": lambda path: shutil.copy(ROOT / "tests" / "data" / "training_slice.h5", path),
    "mine.safetensors": _trained,
    "benchmarks": lambda path: _small_benchmarks(path),
}


def _small_benchmarks(path: Path) -> None:
    shutil.copytree(ROOT / "benchmarks", path)
    for file in path.rglob("*.toml"):
        text = smaller(file.read_text(encoding="utf-8"))
        # a set for scoring is not split into parts, so it can be smaller still
        for many in ("count = 20", "count = 160") if file.stem == "holdout" else ():
            text = text.replace(many, "count = 6")
        file.write_text(text, encoding="utf-8")


def smaller(text: str) -> str:
    """Return a configuration of a simulation or training that takes seconds in place of hours."""
    config = tomllib.loads(text)
    if "kind" in config:
        for table, values in SMALL[config["kind"]].items():
            if table in config or table != "cell":
                config[table] = {**config.get(table, {}), **values}
        if "cell" not in config:  # a perovskite needs few cells, and few positions on each
            config.setdefault("specimen", {})["cells"] = 3
            config.setdefault("probe", {})["per_cell"] = 4
    elif "network" in config:
        config |= SMALL_TRAINING | {"binning": 2 if config["network"].startswith("vgg") else 4}
    return "".join(_toml(config))


def _toml(table: dict[str, Any], name: str = "") -> list[str]:
    plain = [f"{key} = {_value(value)}\n" for key, value in table.items() if name or not isinstance(value, dict)]
    nested = [(key, value) for key, value in table.items() if not name and isinstance(value, dict)]
    return plain + [line for key, value in nested for line in (f"\n[{key}]\n", *_toml(value, key))]


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    return str(value).lower() if isinstance(value, bool) else str(value)
