"""What the command line shows: lines on standard output, progress on standard error."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from napari_polarmap.core.ordered import WORTH_TELLING_S, waiting_text

if TYPE_CHECKING:
    from napari_polarmap.pipeline.mapping import Progress


class UsageError(ValueError):
    """Options that do not fit."""


def say(*lines: str) -> None:
    """Write lines to standard output."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def complain(line: str) -> None:
    """Write one line to standard error, whatever it holds."""
    sys.stderr.write(f"polarmap: {' '.join(line.split())}\n")


class ProgressLine:
    """One line on standard error that tells how far a run has come; silent where no one watches."""

    def __init__(self) -> None:
        self._watched = sys.stderr.isatty()
        self._last = 0.0
        self._told = False

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show `stage` with a bar."""
        now = time.monotonic()
        if not self._watched or (now - self._last < 0.1 and done < total):
            return
        self._last = now
        share = min(1.0, done / total) if total else 0.0
        bar = "█" * round(24 * share)
        self._write(f"{stage:<42.42} {bar:░<24} {share:4.0%}")

    def step(self, progress: Progress) -> None:
        """Show a step of a pipeline."""
        self(progress.stage, progress.done, progress.total)

    def waiting(self, seconds: float) -> None:
        """Say that nothing has come for a while: on the line, or once where no one watches."""
        if seconds < WORTH_TELLING_S:
            self._told = False
        elif self._watched:
            self(waiting_text(seconds), 0, 0)
        elif not self._told:
            complain(f"{waiting_text(seconds)} Ctrl-C stops")
            self._told = True

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *_: object) -> None:
        if self._watched:
            self._write("")

    def _write(self, text: str) -> None:
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()
