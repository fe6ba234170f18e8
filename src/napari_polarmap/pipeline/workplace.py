"""Where blocks of a scan are worked on: in threads of this process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from threadpoolctl import threadpool_limits

from napari_polarmap.core import ordered
from napari_polarmap.core.ordered import in_order, processors
from napari_polarmap.core.own_modes import OwnModes
from napari_polarmap.pipeline.frame import Frame
from napari_polarmap.pipeline.windows import WindowPlan

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Setting:
    """What all work on a scan shares.

    Attributes
    ----------
    frame : Frame
    plan : WindowPlan, optional
        Windows to evaluate; without, single patterns only.
    singles : bool
        Classify single patterns too.
    modes : OwnModes, optional
        Of the scan; their strengths follow the classifier's outputs in the embedding.
    """

    frame: Frame
    plan: WindowPlan | None
    singles: bool = True
    modes: OwnModes | None = None


class Workplace(Protocol):
    """Applies a function of a setting and an item to many items at once."""

    def each(
        self, work: Callable[[Setting, Item], Result], setting: Setting, items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result]]:
        """Yield items with what `work` makes of them, in their order; see `core.ordered.in_order`."""
        ...


class Threads:
    """As many threads as there are processors, each doing its sums alone.

    Numbers then do not depend on how many there are, and they do not take the processors from each other.
    """

    def each(
        self, work: Callable[[Setting, Item], Result], setting: Setting, items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result]]:
        """See `Workplace.each`."""
        n = processors()
        torch = sys.modules.get("torch")
        before = torch.get_num_threads() if torch else 1
        try:
            with threadpool_limits(1), ordered.Threads(n, "polarmap", alone) as threads:
                yield from in_order(threads, partial(work, setting), items, ahead=n)
        finally:
            if torch:
                torch.set_num_threads(before)


def alone() -> None:
    """Let sums in this thread use one processor."""
    torch = sys.modules.get("torch")
    if torch:
        torch.set_num_threads(1)
