"""Errors of reading and writing: one sentence that names the file, what was found and what fits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_LONGEST: Final = 900


class ScanFileError(ValueError):
    """A file that cannot be read as a 4D scan; its message is one line, whatever the file holds."""

    def __init__(self, message: str) -> None:
        line = re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]+", " ", message)
        shown = line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} ... {line[-_LONGEST // 3 :]}"
        super().__init__(shown.encode(errors="replace").decode())


class ScanShapeNeededError(ScanFileError):
    """A stack of patterns whose scan shape the file does not tell.

    Attributes
    ----------
    n_patterns : int
        How many patterns the stack holds.
    """

    def __init__(self, message: str, n_patterns: int) -> None:
        super().__init__(message)
        self.n_patterns = n_patterns


class RawLayoutNeededError(ScanFileError):
    """A headless file whose layout is not known."""


class DatasetNeededError(ScanFileError):
    """A file with several data sets to choose from.

    Attributes
    ----------
    choices : tuple of str
        Their places inside the file.
    """

    def __init__(self, message: str, choices: Sequence[str]) -> None:
        super().__init__(message)
        self.choices = tuple(choices)
