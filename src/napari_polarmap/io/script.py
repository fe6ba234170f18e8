"""A Python script, or notebook, that repeats the run behind a result."""

from __future__ import annotations

import json
from pathlib import Path
from pprint import pformat
from typing import Any, Final

from napari_polarmap.core.calibration import Calibration, known_changes
from napari_polarmap.core.whole_file import whole_file
from napari_polarmap.io.result import PolarizationMap

_PLAIN: Final = ("origin",)
"""Entries of a calibration that change nothing."""


def write_script(result: PolarizationMap, folder: Path, stem: str) -> list[Path]:
    """Write a script that repeats the run of a result and says whether it comes out the same."""
    text = "\n\n".join(["#!/usr/bin/env python3", *(code for _, code in _parts(result, stem))]) + "\n"
    return [_write(folder / f"{stem}.py", text)]


def write_notebook(result: PolarizationMap, folder: Path, stem: str) -> list[Path]:
    """Write the same as a Jupyter notebook, with a figure at the end."""
    cells: list[dict[str, Any]] = []
    for index, (words, code) in enumerate([*_parts(result, stem), ("The map.", _SHOW)]):
        if words:
            cells.append({"cell_type": "markdown", "metadata": {}, "source": words})
        cells.append({"cell_type": "code", "metadata": {}, "source": code, "outputs": [], "execution_count": None})
        for cell in cells[-2:]:
            cell.setdefault("id", f"{cell['cell_type']}-{index}")
    metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    book = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return [_write(folder / f"{stem}.ipynb", json.dumps(book, indent=1, ensure_ascii=False) + "\n")]


_SHOW: Final = """\
from napari_polarmap.io.figure import draw_map

draw_map(result)"""


def _parts(result: PolarizationMap, stem: str) -> list[tuple[str, str]]:
    """Return words and code of each part."""
    provenance = result.provenance
    source, model = provenance.get("input") or {}, provenance.get("model") or {}
    made = provenance.get("versions", {}).get("napari-polarmap", "?")
    # what a file says must not become code
    head = " ".join(f"Repeats the run behind {stem}.h5: napari-polarmap {made}, {provenance.get('date', '?')}".split())
    return [
        (f"# {stem}\n\n{head}.", f"# {head}\n\n{_IMPORTS}"),
        ("Where the scan is, and how it is opened.", _opening(source)),
        ("How it was taken, and the options of the run.", _options(provenance)),
        (
            "The run.",
            _RUN.format(
                model=model.get("name", ""), sha256=model.get("sha256", ""), source_sha256=source.get("sha256", "")
            ),
        ),
        ("Is it the same?", _SAME.format(again=f"{stem}_again.h5", first=f"{stem}.h5")),
    ]


_IMPORTS: Final = """\
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_polarmap import PolarizationMap, load_classifier, map_polarization, open_scan
from napari_polarmap.core.axes import AxisOrder
from napari_polarmap.core.calibration import Calibration
from napari_polarmap.io import RawLayout
from napari_polarmap.pipeline.mapping import MapParams"""

_RUN: Final = """\
MODEL = {model!r}  # a name that `polarmap models` lists, or the path of a .safetensors file
MODEL_SHA256 = {sha256!r}
SCAN_SHA256 = {source_sha256!r}

classifier = load_classifier(MODEL)
if classifier.info.sha256 != MODEL_SHA256:
    print("this is another version of the classifier; the map will differ")
with open_scan(SCAN, **HOW) as scan:
    result = map_polarization(replace(scan, calibration=CALIBRATION), classifier, PARAMS, reference=REFERENCE)
if result.provenance["input"].get("sha256", SCAN_SHA256) != SCAN_SHA256:
    print("this is another scan than that of the first run")"""

_SAME: Final = """\
result.save({again!r})
first = Path({first!r})
if first.is_file():
    before = PolarizationMap.load(first)
    same = np.mean(before.domain == result.domain)
    print(f"{{same:.2%}} of the positions have the same direction as in {{first}}")"""


def _opening(source: dict[str, Any]) -> str:
    path, options, axes = source.get("path"), source.get("options") or {}, source.get("axes")
    how: dict[str, str] = {}
    if source.get("dataset"):
        how["dataset"] = repr(source["dataset"])
    if options.get("scan_shape"):
        how["scan_shape"] = repr(tuple(options["scan_shape"]))
    if options.get("allow_external"):
        how["allow_external"] = "True"
    if raw := options.get("raw"):
        how["raw"] = f"RawLayout(**{ ({**raw, 'detector_shape': tuple(raw['detector_shape'])})!r})"
    if axes:
        how["axes"] = f"AxisOrder(stored={tuple(axes['stored'])!r}, mirrored={tuple(axes['mirrored'])!r})"
    place = "scan.h5" if not path else str(Path(path).resolve()) if Path(path).exists() else str(path)
    note = "" if path else "  # the scan was in memory; name its file here"
    return f"SCAN = {place!r}{note}\nHOW = dict({', '.join(f'{name}={text}' for name, text in how.items())})"


def _options(provenance: dict[str, Any]) -> str:
    unset = Calibration()
    fields = Calibration.__dataclass_fields__
    stored = known_changes(provenance.get("calibration") or {})
    known = {
        name: value
        for name, value in stored.items()
        if name in fields and name not in _PLAIN and value != getattr(unset, name)
    }
    params = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in (provenance.get("parameters") or {}).items()
        if value is not None and name.isidentifier()
    }
    reference = provenance.get("reference")
    compared = reference if isinstance(reference, int) else None
    texts = [f"CALIBRATION = {_call('Calibration', known)}", f"PARAMS = {_call('MapParams', params)}"]
    return "\n".join([*texts, f"REFERENCE = {compared!r}  # a class, or an array of classes"])


def _call(name: str, arguments: dict[str, Any]) -> str:
    lines = [f"    {key}={pformat(value, width=100)}," for key, value in arguments.items()]
    return "\n".join([f"{name}(", *lines, ")"]) if lines else f"{name}()"


def _write(path: Path, text: str) -> Path:
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path
