"""Work done by several at once, with the results in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result]]:
    """Apply a function in as many threads as there are processors; see `in_order`."""
    n = processors()
    with ThreadPoolExecutor(n, "polarmap") as threads:
        yield from in_order(threads, function, items, ahead=n)


def in_order(
    executor: Executor, function: Callable[[Item], Result], items: Iterable[Item], *, ahead: int
) -> Iterator[tuple[Item, Result]]:
    """Yield items and what the function makes of them, in their order, while the next are being worked on.

    Parameters
    ----------
    executor : Executor
    function : callable
    items : iterable
        Asked for only `ahead` beyond the one that is waited for, so that memory is bounded.
    ahead : int

    Examples
    --------
    >>> with ThreadPoolExecutor(2) as threads:
    ...     [square for _, square in in_order(threads, lambda n: n * n, range(4), ahead=2)]
    [0, 1, 4, 9]
    """
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    try:
        for item in items:
            waiting.append((item, executor.submit(function, item)))
            if len(waiting) > ahead:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        for _, future in waiting:
            future.cancel()
