"""Parts of memory-mapped files, brought into memory before they are used."""

from __future__ import annotations

import ctypes
import errno
import mmap
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_POPULATE_READ: Final = 22
"""``MADV_POPULATE_READ`` of Linux 5.14 and later."""
_LIBRARY: Final = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def fetch(part: NDArray[Any], name: str | Path) -> None:
    """Bring a part of a memory map into memory, so that using it waits for no disk.

    The wait takes place here, where other threads go on meanwhile, and what cannot be read is an error here; where
    a map is first looked into when it is used, a disk that does not answer holds all threads, and one that fails
    ends the process. Without effect on other systems than Linux.

    Parameters
    ----------
    part : ndarray
    name : str or Path
        Of the file, for the message.

    Raises
    ------
    OSError
        If the disk cannot read it, or the file has become shorter.
    """
    if _LIBRARY is None or part.size == 0:
        return
    if part.ndim > 3 and not part.flags.c_contiguous:  # rows of the scan that do not follow each other
        for row in part:
            fetch(row, name)
        return
    low, high = np.lib.array_utils.byte_bounds(part)
    start = low - low % mmap.PAGESIZE
    if _LIBRARY.madvise(ctypes.c_void_p(start), ctypes.c_size_t(high - start), _POPULATE_READ) == 0:
        return
    if ctypes.get_errno() in (errno.EFAULT, errno.EIO):
        raise OSError(f"{name}: cannot be read; the disk fails, or the file has become shorter since it was opened")
