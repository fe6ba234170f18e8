"""The README as PyPI shows it: links lead into the repository, or are left out while it has no address.

PyPI keeps the text without the files beside it, so a relative link or picture would be broken there.
Hatchling asks for it when it builds; see ``[tool.hatch.metadata.hooks.custom]`` in ``pyproject.toml``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_PICTURE = re.compile(r'<img src="(?!https?:)([^"]+)"([^>]*)>\n*')
_LINK = re.compile(r"\[([^\]]*)\]\((?!https?:|#)([^)\s]+)\)")


def for_pypi(text: str, source: str | None) -> str:
    """Return the text without relative links.

    Parameters
    ----------
    text : str
        In Markdown.
    source : str or None
        Address of the repository on GitHub. Without one, pictures are left out, and links keep their words.
    """
    if source is None:
        return _LINK.sub(r"\1", _PICTURE.sub("", text))
    text = _PICTURE.sub(rf'<img src="{source.rstrip("/")}/raw/HEAD/\1"\2>\n\n', text)
    return _LINK.sub(rf"[\1]({source.rstrip('/')}/blob/HEAD/\2)", text)


class ReadmeHook(MetadataHookInterface):
    """Fills in the readme of the project."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the long description to the metadata."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        source = metadata.get("urls", {}).get("Source")
        metadata["readme"] = {"content-type": "text/markdown", "text": for_pypi(text, source)}
