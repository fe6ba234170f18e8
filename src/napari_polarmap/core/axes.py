"""Which stored axis is which, where a file says it wrongly or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.data import LazyArray

AXES: Final = ("scan_y", "scan_x", "det_y", "det_x")


@dataclass(frozen=True, kw_only=True)
class AxisOrder:
    """What the four stored axes are.

    Attributes
    ----------
    stored : tuple of str
        The names in `AXES`, in the order in which they are stored.
    mirrored : tuple of str
        Those that are stored from right to left or from bottom to top.
    """

    stored: tuple[str, ...] = AXES
    mirrored: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if sorted(self.stored) != sorted(AXES):
            raise ValueError(f"axes {','.join(self.stored)!r}: {','.join(AXES)} in any order fits")
        unknown = [name for name in self.mirrored if name not in AXES]
        if unknown:
            raise ValueError(f"axis {unknown[0]!r} cannot be mirrored; choose of {', '.join(AXES)}")

    @classmethod
    def parse(cls, text: str) -> AxisOrder:
        """Read the axes in stored order; a minus in front mirrors one.

        Examples
        --------
        >>> AxisOrder.parse("scan_x,scan_y,-det_y,det_x").mirrored
        ('det_y',)
        """
        names = [name.strip() for name in text.split(",")]
        mirrored = tuple(name[1:] for name in names if name.startswith("-"))
        return cls(stored=tuple(name.removeprefix("-") for name in names), mirrored=mirrored)

    @property
    def usual(self) -> bool:
        """Nothing has to be changed."""
        return self.stored == AXES and not self.mirrored

    @property
    def columns_first(self) -> bool:
        """The scan runs column by column."""
        return self.stored.index("scan_x") < self.stored.index("scan_y")

    def apply(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Return a stored array with the axes in the order of `AXES`; a view.

        Examples
        --------
        >>> order = AxisOrder(stored=("det_y", "det_x", "scan_y", "scan_x"))
        >>> order.apply(np.zeros((2, 3, 4, 5))).shape
        (4, 5, 2, 3)
        """
        turned = stored.transpose([self.stored.index(name) for name in AXES])
        return turned[tuple(slice(None, None, -1) if name in self.mirrored else slice(None) for name in AXES)]


class Reordered:
    """A lazy array whose axes are put in order when it is read.

    Parameters
    ----------
    data : LazyArray, with four axes
    order : AxisOrder
    """

    ndim = 4

    def __init__(self, data: LazyArray, order: AxisOrder) -> None:
        self.data, self.order = data, order
        self._places = [order.stored.index(name) for name in AXES]
        self.shape = tuple(int(data.shape[place]) for place in self._places)
        self.dtype = np.dtype(data.dtype)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Read what `key` names: integers, slices and lists, as for an array of this shape."""
        keys = _four(key)
        wanted: list[Any] = [slice(None)] * 4
        then: list[Any] = []
        for name, place, part, size in zip(AXES, self._places, keys, self.shape, strict=True):
            wanted[place], after = _forward(part, size, mirrored=name in self.order.mirrored)
            then.append(after)
        block = np.asarray(self.data[tuple(wanted)]).transpose(self._places)
        for axis, after in enumerate(then):
            if not isinstance(after, int):
                block = np.take(block, after, axis=axis) if isinstance(after, np.ndarray) else block
        return block[tuple(0 if isinstance(after, int) else slice(None) for after in then)]


def _four(key: Any) -> list[Any]:
    keys = list(key) if isinstance(key, tuple) else [key]
    places = [index for index, part in enumerate(keys) if part is Ellipsis]
    for place in places[:1]:
        keys[place : place + 1] = [slice(None)] * (5 - len(keys))
    if len(keys) > 4:
        raise IndexError(f"{len(keys)} indices were given; a scan has four axes")
    return keys + [slice(None)] * (4 - len(keys))


def _forward(part: Any, size: int, *, mirrored: bool) -> tuple[slice, Any]:
    """Return an increasing slice of the stored axis that holds `part`, and what to take of it: 0, all or these."""
    if isinstance(part, (int, np.integer)):
        if not -size <= part < size:
            raise IndexError(f"index {part} is outside an axis of {size}")
        index = int(part) % size
        index = size - 1 - index if mirrored else index
        return slice(index, index + 1), 0
    places = np.arange(size)[part]
    places = size - 1 - places if mirrored else places
    if not places.size:
        return slice(0, 0), None
    low, high = int(places.min()), int(places.max())
    if len(places) == high - low + 1 and (np.diff(places) == 1).all():
        return slice(low, high + 1), None
    return slice(low, high + 1), places - low
