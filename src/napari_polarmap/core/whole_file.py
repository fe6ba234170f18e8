"""Files that are there whole, or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NO_ROOM = ("No space left on device", "Disk quota exceeded", "File too large")


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
        If there is no room for it, whichever way the writer says so.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield partial
        if path.is_dir():
            shutil.rmtree(path)
        partial.replace(path)
    except Exception as error:
        if _no_room(error):
            reason = "there is no room for it on its disk; what was there before is as it was"
            raise OSError(errno.ENOSPC, reason, str(path)) from error
        raise
    finally:
        with suppress(OSError):  # a folder that may no longer be written to keeps it
            if partial.is_dir():
                shutil.rmtree(partial)
            partial.unlink(missing_ok=True)


def _no_room(error: BaseException | None) -> bool:
    """Tell whether a full disk is behind an error, however far."""
    while error is not None:
        if any(text in str(error) for text in _NO_ROOM):
            return True
        error = error.__cause__ or error.__context__
    return False
