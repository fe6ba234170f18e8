"""What the keys of a lazy scan name."""

from __future__ import annotations

from typing import Any

import numpy as np


def expanded(key: Any) -> tuple[Any, Any, Any, Any]:
    """Return one part of a key for each of the four axes."""
    keys = list(key) if isinstance(key, tuple) else [key]
    if any(part is Ellipsis for part in keys):
        place = next(index for index, part in enumerate(keys) if part is Ellipsis)
        keys[place : place + 1] = [slice(None)] * (5 - len(keys))
    if len(keys) > 4:
        raise IndexError(f"{len(keys)} indices were given; a scan has four axes")
    keys += [slice(None)] * (4 - len(keys))
    return keys[0], keys[1], keys[2], keys[3]


def positions(part: Any, size: int) -> range | list[int]:
    """Return the indices along an axis that an integer, a slice or a list names."""
    if isinstance(part, (int, np.integer)):
        if not -size <= part < size:
            raise IndexError(f"index {part} is outside an axis of {size}")
        return range(int(part) % size, int(part) % size + 1)
    if isinstance(part, slice):
        return range(size)[part]
    return [int(index) for index in np.arange(size)[part]]
