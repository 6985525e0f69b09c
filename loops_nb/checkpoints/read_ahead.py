"""Reads some items in order, a few of them at a time: pieces of a file, or a module of several checkpoints."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Content = TypeVar("Content")


def read_ahead(read: Callable[[Item], Content], items: Sequence[Item], *, workers: int = 4) -> Iterator[Content]:
    """Return what is read of each item in order; the next few are read meanwhile.

    Parameters
    ----------
    read : callable
        Called on threads of its own; with a single item or worker on the calling thread.
    items : sequence
        Its arguments.
    workers : int, default 4
        How many are read, or wait in memory, at a time.
    """
    if len(items) <= 1 or workers <= 1:
        yield from map(read, items)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="loops-nb-read")
    try:
        pending: deque[Future[Content]] = deque()
        for item in items:
            if len(pending) == workers:
                yield pending.popleft().result()
            pending.append(pool.submit(read, item))
        while pending:
            yield pending.popleft().result()
    finally:
        # Ctrl-C must not wait for requests that are under way.
        pool.shutdown(wait=False, cancel_futures=True)
