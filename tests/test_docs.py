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


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("```sh\npolarmap info missing.h5\n```\n", "page.md:1: polarmap info missing.h5\nends with 2"),
        ("```sh\nexit 3\n```\n", "ends with 3"),
        ("```python\nx = 1\n```\n```python\nx / 0\n```\n", "line 5, in <module>\n    x / 0"),
        ("```sh\necho 3 files\n```\n<!-- output -->\n```text\n...\n4 files\n4 folders\n```\n", "'4 folders' is not"),
    ],
    ids=["command", "shell", "python", "output"],
)
def test_a_block_that_does_not_run_is_told_with_its_place(docs, tmp_path, monkeypatch, text, told):
    import check_docs

    if "exit" in text or "echo" in text:
        pytest.importorskip("fcntl", reason="commands of a shell")
    monkeypatch.setattr(docs, "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(check_docs.BlockFailedError) as caught:
        check_docs.check(page, tmp_path / "store")
    assert told in str(caught.value)


def inline(pattern: str) -> list[tuple[str, str]]:
    """Return page and command for what stands in the running text."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
    return sorted(
        {
            (page.name, " ".join(command.split()))
            for page in pages
            for command in re.findall(rf"`({pattern} [^`]+)`", page.read_text(encoding="utf-8"))
        }
    )


def options(words: list[str]) -> list[str]:
    return [word.split("=")[0].rstrip(",;") for word in words if word.startswith("--")]


def test_every_benchmark_named_in_the_text_is_there_and_knows_its_options():
    found = [(page, command) for page, command in inline("python") if "benchmarks/" in command]
    assert len(found) > 5
    for page, command in found:
        script, *words = command.split()[1:]
        text = (ROOT / script).read_text(encoding="utf-8")
        assert [option for option in options(words) if f'"{option}"' not in text] == [], f"{page}: {command}"


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "benchmarks/README.md", "changes/README.md"])
def test_the_links_of_texts_outside_the_site_lead_somewhere(name):
    page = ROOT / name
    found = re.findall(r"\]\(([^)\s#]+)[^)\s]*\)|src=\"([^\"]+)\"", page.read_text(encoding="utf-8"))
    targets = [one or other for one, other in found if "://" not in (one or other)]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_program_of_the_benchmarks_is_in_their_list():
    text = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    programs = [path.name for path in (ROOT / "benchmarks").glob("*.py") if not path.name.startswith("paper_")]
    assert [name for name in programs if f"`{name}`" not in text] == []


def test_every_command_named_in_the_text_is_there_and_knows_its_options(capsys):
    from napari_polarmap.cli import main

    helps: dict[str, str] = {}
    for page, command in inline("polarmap"):
        name, *words = command.split()[1:]
        if name.startswith("--"):
            continue
        if name not in helps:
            assert main([name, "--help"]) == 0, f"{page}: {command}"
            helps[name] = capsys.readouterr().out
        assert [option for option in options(words) if option not in helps[name]] == [], f"{page}: {command}"


def test_the_quick_pages_run_block_by_block():
    run = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "check_docs.py"), "--quick"],
        capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
