"""What handing out a block costs by each way of working on several at once: ``python benchmarks/schedulers.py``.

The blocks are empty, so all that is measured is the handing out. Dask's scheduler for threads returns when all that it
was given is done; with four blocks at a time memory is bounded as it is with the other two.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dask.threaded
from distributed import Client

from napari_polarmap.core.ordered import Threads, in_order

BLOCKS, WORKERS, AHEAD = 1000, 2, 2


def nothing(number: int) -> int:
    """Work on a block."""
    return number


def by_threads() -> None:
    """As maps are made here."""
    with Threads(WORKERS, "block") as threads:
        for _ in in_order(threads, nothing, range(BLOCKS), ahead=AHEAD):
            pass


def by_dask_threads(at_once: int) -> None:
    """By Dask's scheduler for threads, waiting after every so many blocks."""
    for first in range(0, BLOCKS, at_once):
        numbers = range(first, min(first + at_once, BLOCKS))
        keys = [("block", number) for number in numbers]
        dask.threaded.get({key: (nothing, key[1]) for key in keys}, keys, num_workers=WORKERS)


@contextmanager
def own_cluster() -> Iterator[Callable[[], None]]:
    """Have the threads of a dask.distributed cluster inside this process."""
    options = {"n_workers": 1, "threads_per_worker": WORKERS, "dashboard_address": None}
    with Client(processes=False, set_as_default=False, **options) as client:

        def hand_out() -> None:
            with client.get_executor(pure=False) as executor:
                for _ in in_order(executor, nothing, range(BLOCKS), ahead=AHEAD * WORKERS):
                    pass

        yield hand_out


def measure(name: str, hand_out: Callable[[], None]) -> None:
    """Print the cost of one block, after one run that does not count."""
    hand_out()
    start = time.perf_counter(), time.process_time()
    hand_out()
    wall, processor = time.perf_counter() - start[0], time.process_time() - start[1]
    print(f"| {name} | {1000 * wall / BLOCKS:.2f} ms | {1000 * processor / BLOCKS:.2f} ms |", flush=True)


def main() -> None:
    """Print a table."""
    print("| a block handed out by | wall time | processor time |\n|---|---|---|")
    measure("threads of our own", by_threads)
    measure("dask.threaded, all in one graph", lambda: by_dask_threads(BLOCKS))
    measure("dask.threaded, four at a time", lambda: by_dask_threads(4))
    with own_cluster() as hand_out:
        measure("dask.distributed in this process", hand_out)


if __name__ == "__main__":
    main()
