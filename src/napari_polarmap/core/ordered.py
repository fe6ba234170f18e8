"""Work done by several at once, with the results in order."""

from __future__ import annotations

import os
import queue
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from threading import Thread
from typing import Any, Final, ParamSpec, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Given = ParamSpec("Given")

_LOOK_UP_S: Final = 0.5
_LEAVING_S: Final = 5.0
"""Longest wait for threads that are no longer needed: a disk that does not answer may hold them for ever."""

WORTH_TELLING_S: Final = 15.0
"""A wait that may be a disk or share that does not answer."""

_LEFT: Final[list[Thread]] = []

while_waiting: ContextVar[Callable[[float], None] | None] = ContextVar("while_waiting", default=None)
"""Called again and again with the seconds that a result has been waited for; may raise to give up."""


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Threads(Executor):
    """Threads that do not keep the process alive: one that hangs in a read can be left behind.

    Parameters
    ----------
    n : int
    name : str
    begin : callable, optional
        Called in each thread first.
    """

    def __init__(self, n: int, name: str, begin: Callable[[], None] | None = None) -> None:
        self._waiting: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._threads = [
            Thread(target=self._work, args=(begin,), name=f"{name}-{index}", daemon=True) for index in range(n)
        ]
        for thread in self._threads:
            thread.start()

    def _work(self, begin: Callable[[], None] | None) -> None:
        if begin is not None:
            begin()
        while (job := self._waiting.get()) is not None:
            future, function = job
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function())
                except BaseException as error:  # noqa: BLE001 -- it belongs to who asks for the result
                    future.set_exception(error)
            del future, function, job

    def submit(self, fn: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs) -> Future[Result]:
        """See `concurrent.futures.Executor.submit`."""
        future: Future[Result] = Future()
        self._waiting.put((future, lambda: fn(*args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the threads end after the work they have; wait for them, but not for ever."""
        del cancel_futures
        for _ in self._threads:
            self._waiting.put(None)
        end = time.monotonic() + _LEAVING_S
        for thread in self._threads if wait else ():
            thread.join(max(0.0, end - time.monotonic()))
        _LEFT[:] = [thread for thread in (*_LEFT, *self._threads) if thread.is_alive()]


def left_behind() -> bool:
    """Tell whether threads hang that nobody waits for any more."""
    return any(thread.is_alive() for thread in _LEFT)


@contextmanager
def waiting(hook: Callable[[float], None]) -> Iterator[None]:
    """Have `while_waiting` call `hook` inside the block."""
    token = while_waiting.set(hook)
    try:
        yield
    finally:
        with suppress(ValueError):  # closed by another thread, which has nothing to reset
            while_waiting.reset(token)


def waiting_text(seconds: float) -> str:
    """Return what to tell of a long wait."""
    return f"waiting for {seconds:.0f} s: does the disk or share answer?"


def in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[tuple[Item, Result], None, None]:
    """Apply a function in as many threads as there are processors; see `in_order`."""
    n = processors()
    with Threads(n, "polarmap") as threads:
        yield from in_order(threads, function, items, ahead=n)


def in_order(
    executor: Executor, function: Callable[[Item], Result], items: Iterable[Item], *, ahead: int
) -> Iterator[tuple[Item, Result]]:
    """Yield items and what the function makes of them, in their order, while the next are being worked on.

    While a result is waited for, `while_waiting` is called.

    Parameters
    ----------
    executor : Executor
    function : callable
    items : iterable
        Asked for only `ahead` beyond the one that is waited for, so that memory is bounded.
    ahead : int

    Examples
    --------
    >>> with Threads(2, "squares") as threads:
    ...     [square for _, square in in_order(threads, lambda n: n * n, range(4), ahead=2)]
    [0, 1, 4, 9]
    """
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    try:
        for item in items:
            waiting.append((item, executor.submit(function, item)))
            if len(waiting) > ahead:
                first, future = waiting.popleft()
                yield first, _result(future)
        while waiting:
            first, future = waiting.popleft()
            yield first, _result(future)
    finally:
        for _, future in waiting:
            future.cancel()


def _result(future: Future[Result]) -> Result:
    """Wait for a result."""
    hook, start = while_waiting.get(), time.monotonic()
    while hook is not None and not future.done():
        try:
            return future.result(timeout=_LOOK_UP_S)
        except FutureTimeoutError:
            if not future.done():
                hook(time.monotonic() - start)
    return future.result()
