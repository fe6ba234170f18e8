"""The documentation: its code blocks are runnable, and the quick pages run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def docs(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import docs_blocks

    return docs_blocks


def test_every_code_block_names_its_language_and_a_skipped_one_its_reason(docs):
    found = [block for page in docs.pages() for block in docs.blocks(page)]
    assert len(found) > 40
    code = [block for block in found if block.language in ("sh", "python")]
    assert sum(bool(block.skip) for block in code) < len(code) / 5


def test_a_block_without_language_or_reason_is_told(docs, tmp_path, monkeypatch):
    monkeypatch.setattr(docs, "ROOT", tmp_path)
    page = tmp_path / "page.md"
    for text, message in (("```\nx\n```\n", "language ''"), ("<!-- skip: no -->\n```sh\nx\n```\n", "says why")):
        page.write_text(text)
        with pytest.raises(ValueError, match=message):
            list(docs.blocks(page))


def test_blocks_keep_their_lines_titles_and_remarks(docs, tmp_path, monkeypatch):
    monkeypatch.setattr(docs, "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        '# A\n<!-- given: scan.h5 -->\n    ```toml title="a.toml"\n    x = 1\n    ```\n```sh\na \\\n b # c\n```\n'
    )
    first, second = docs.blocks(page)
    assert (first.title, first.given, first.text, first.line) == ("a.toml", ("scan.h5",), "x = 1\n", 3)
    assert (second.given, second.commands) == ((), ["a   b"])


def inline_commands() -> list[tuple[str, str]]:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    found = {
        (page.name, " ".join(command.split()))
        for page in pages
        for command in re.findall(r"`(python benchmarks/[^`]+)`", page.read_text(encoding="utf-8"))
    }
    return sorted(found)


def test_every_benchmark_named_in_the_text_is_there_and_knows_its_options():
    for page, command in inline_commands():
        script, *words = command.split()[1:]
        text = (ROOT / script).read_text(encoding="utf-8")
        options = [word for word in words if word.startswith("--")]
        assert [option for option in options if f'"{option}"' not in text] == [], f"{page}: {command}"


def test_the_quick_pages_run_block_by_block():
    run = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "check_docs.py"), "--quick"],
        capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
