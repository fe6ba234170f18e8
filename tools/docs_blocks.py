"""The code blocks of the documentation, and what is said about them in the pages.

A remark in the line before a block, which no reader sees, says how it is checked:

    <!-- given: scan.h5 result.h5 -->   files that lie in the reader's folder (`docs_given`)
    <!-- skip: WHY -->                  the next block is not run here, and why
    <!-- background -->                 the lines of the next block go on running until the page ends
    <!-- slow -->                       the next block is left out by ``check_docs.py --no-slow``
    <!-- output -->                     the next block, a `text`, is what the commands before it print, but
                                        for the numbers; a line ``...`` stands for others

`title="name"` in the first line of a block makes it a file of that name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LANGUAGES = ("sh", "python", "toml", "json", "yaml", "text")
"""Of these, `text` is what a program says or a drawing, and nothing to run."""

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)(?P<rest>.*)$")
_REMARK = re.compile(r"^ *<!-- (?P<word>given|skip|background|slow|output)(?:: (?P<text>.+?))? -->$")
_SNIPPET = re.compile(r'^--8<-- "(?P<path>.+)"$', flags=re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Block:
    """A code block: its place, its text and how it is checked."""

    page: Path
    line: int
    language: str
    text: str
    title: str = ""
    given: tuple[str, ...] = ()
    skip: str = ""
    background: bool = False
    slow: bool = False
    output: bool = False

    @property
    def place(self) -> str:
        """``docs/page.md:12``."""
        return f"{self.page.relative_to(ROOT).as_posix()}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """Lines of a shell block without remarks; a line that ends in a backslash goes on."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [command for line in lines if (command := re.sub(r"(^|\s)#.*", "", line).strip())]


def pages() -> list[Path]:
    """Return what is read by people: the pages, and the texts at the top of the repository."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md")]
    return [path for path in [*top, *sorted((ROOT / "docs").rglob("*.md"))] if path.exists()]


def blocks(page: Path) -> Iterator[Block]:
    """Yield the code blocks of a page, top to bottom.

    Raises
    ------
    ValueError
        If a block names no known language, or a skipped one gives no reason.
    """
    lines = page.read_text(encoding="utf-8").splitlines()
    remarks: dict[str, str] = {}
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if remark := _REMARK.match(line):
            word, text = remark["word"], remark["text"] or ""
            remarks[word] = f"{remarks.get(word, '')} {text}".strip()
        elif fence := _FENCE.match(line):
            start, indent = number, fence["indent"]
            while not lines[number].startswith(f"{indent}```"):
                number += 1
            text = "".join(f"{each.removeprefix(indent)}\n" for each in lines[start:number])
            number += 1
            title = re.search(r'title="([^"]+)"', fence["rest"])
            block = Block(
                page=page,
                line=start,
                language=fence["language"],
                text=_SNIPPET.sub(lambda found: (ROOT / found["path"]).read_text(encoding="utf-8"), text),
                title=title[1] if title else "",
                given=tuple(remarks.get("given", "").split()),
                skip=remarks.get("skip", ""),
                background="background" in remarks,
                slow="slow" in remarks,
                output="output" in remarks,
            )
            if block.language not in LANGUAGES:
                raise ValueError(f"{block.place}: language {block.language!r}; choose one of {', '.join(LANGUAGES)}")
            if "skip" in remarks and len(block.skip) < 10:
                raise ValueError(f"{block.place}: a skipped block says why")
            yield block
            remarks = {}
