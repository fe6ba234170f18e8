"""Files that are there whole, or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_REASONS: Final = {
    "No space left on device": "there is no room for it on its disk; what was there before is as it was",
    "Disk quota exceeded": "there is no room for it within the quota; what was there before is as it was",
    "Read-only file system": "its disk can only be read; choose another folder",
    "Permission denied": "not allowed to write it; check the permissions of the folder, or choose another",
}
"""What writers say somewhere in their errors, each in its own way, and what it means."""


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside `path` that becomes `path` when the block ends well.

    Whatever happens in between, what was at `path` before stays as it was.

    Parameters
    ----------
    path : str or Path
        Of the file, or folder, to write.

    Raises
    ------
    OSError
        If its disk does not take it, whichever way the writer says so.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield partial
        if path.is_dir():
            shutil.rmtree(path)
        partial.replace(path)
    except Exception as error:
        reason = _reason(error)
        if reason is None:
            raise
        raise OSError(errno.EIO, reason, str(path)) from error
    finally:
        with suppress(OSError):  # a folder that may no longer be written to keeps it
            if partial.is_dir():
                shutil.rmtree(partial)
            partial.unlink(missing_ok=True)


def _reason(error: BaseException | None) -> str | None:
    """Return why a disk did not take a file, however far that lies behind an error; None for other errors."""
    while error is not None:
        for text, meaning in _REASONS.items():
            if text in str(error):
                return meaning
        error = error.__cause__ or error.__context__
    return None
