"""Reads the pieces of a file in order, a few of them at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor


def read_ahead(
    read: Callable[[int, int], bytes], spans: Sequence[tuple[int, int]], *, workers: int = 4
) -> Iterator[bytes]:
    """Return the bytes of each span in order; the next few are read meanwhile.

    Parameters
    ----------
    read : callable
        Called with offset and length, on threads of its own; with a single span on the calling thread.
    spans : sequence of (int, int)
        Offset and length of each piece.
    workers : int, default 4
        How many are read, or wait in memory, at a time.
    """
    if len(spans) <= 1:
        yield from (read(first, count) for first, count in spans)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="loops-nb-read")
    try:
        pending: deque[Future[bytes]] = deque()
        for first, count in spans:
            if len(pending) == workers:
                yield pending.popleft().result()
            pending.append(pool.submit(read, first, count))
        while pending:
            yield pending.popleft().result()
    finally:
        # Ctrl-C must not wait for requests that are under way.
        pool.shutdown(wait=False, cancel_futures=True)
