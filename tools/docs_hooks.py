"""What MkDocs does while it builds the site: it fills in what is written elsewhere.

``<!-- commands -->`` becomes the ``--help`` of every command, ``<!-- include NAME.md -->`` a text at the top
of the repository, ``<!-- unreleased -->`` the fragments of the change log. Formulas become MathML, which browsers
draw by themselves: no script, no request to another server. A picture leads to itself in full size.
"""

from __future__ import annotations

import argparse
import html
import os
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return the page with its marks filled in."""
    markdown = re.sub(r"<!-- include (\S+) -->", lambda found: _text(found[1]), markdown)
    for mark, make in (("<!-- commands -->", _commands), ("<!-- unreleased -->", _unreleased)):
        if mark in markdown:
            markdown = markdown.replace(mark, make())
    return markdown


def on_page_content(content: str, **_: Any) -> str:
    """Return the page with formulas drawn, pictures that can be enlarged, and options that stay on one line."""
    content = re.sub(r'<img [^>]*src="([^"]+)"[^>]*>', r'<a href="\1">\g<0></a>', content)
    content = re.sub(r"<code>(-[^\s<]{1,24})</code>", r'<code class="option">\1</code>', content)
    return re.sub(r'(?s)<(div|span) class="arithmatex">\\[\[(](.*?)\\[\])]</\1>', _formula, content)


def _formula(found: re.Match[str]) -> str:
    from latex2mathml.converter import convert

    return convert(html.unescape(found[2]), display="block" if found[1] == "div" else "inline")


def _text(name: str) -> str:
    """Return a text at the top, with links as seen from the pages."""
    return (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")


def _unreleased() -> str:
    items: dict[str, list[str]] = {}
    for path in sorted((ROOT / "changes").glob("*.*.md")):
        items.setdefault(path.name.split(".")[1].capitalize(), []).append(path.read_text(encoding="utf-8").strip())
    return "\n".join(
        f"### {kind}\n\n" + "".join(f"- {each.replace(chr(10), chr(10) + '  ')}\n" for each in texts)
        for kind, texts in sorted(items.items())
    )


def _commands() -> str:
    from napari_polarmap.cli import build_parser

    os.environ["COLUMNS"] = "100"
    parser = build_parser()
    (known,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    parts = [("polarmap", parser), *((f"polarmap {name}", command) for name, command in known.choices.items())]
    return "\n".join(f"## {name}\n\n```text\n{command.format_help()}```\n" for name, command in parts)
