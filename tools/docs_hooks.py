"""What MkDocs does while it builds the site: the page of commands is made from their ``--help``."""

from __future__ import annotations

import argparse
import os
from typing import Any


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return the page with the help of every command in place of ``<!-- commands -->``."""
    return markdown.replace("<!-- commands -->", _commands()) if "<!-- commands -->" in markdown else markdown


def _commands() -> str:
    from napari_polarmap.cli import build_parser

    os.environ["COLUMNS"] = "100"
    parser = build_parser()
    (known,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    parts = [("polarmap", parser), *((f"polarmap {name}", command) for name, command in known.choices.items())]
    return "\n".join(f"## {name}\n\n```text\n{command.format_help()}```\n" for name, command in parts)
