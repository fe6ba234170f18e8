"""The example programs: all are notebooks in percent format, and the first runs. `make docs-check` runs all."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_a_notebook_in_percent_format_and_in_the_documentation(path):
    text = path.read_text(encoding="utf-8")
    assert "format_name: percent" in text.split("# %%")[0]
    assert re.search(r"^# %% \[markdown\]\n# # [A-Z]", text, flags=re.MULTILINE)
    page = (path.parents[1] / "docs" / "examples.md").read_text(encoding="utf-8")
    assert f'--8<-- "examples/{path.name}"' in page


def test_the_first_example_maps_the_sample_and_exports_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (first,) = (path for path in EXAMPLES if path.stem == "map_and_export")
    runpy.run_path(str(first))
    assert "RU: 47%" in capsys.readouterr().out
    assert {path.suffix for path in (tmp_path / "example-map").iterdir()} == {".h5", ".png", ".csv"}
