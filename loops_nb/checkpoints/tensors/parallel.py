"""Waiting for many futures with a progress callback."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any

#: Longest time between two calls of the progress callback.
TICK_SECONDS = 0.2


def wait_for_all(
    futures: Sequence[Future[Any]], progress: Callable[[int, int], None] | None = None
) -> Future[Any] | None:
    """Wait until all futures are done, or one has failed.

    Parameters
    ----------
    futures : sequence of Future
        However many there are, each costs the same: `concurrent.futures.wait` would look at all of them each time.
    progress : callable, optional
        Called on this thread with the numbers of done and of all futures, at least every `TICK_SECONDS`.

    Returns
    -------
    Future or None
        The one that failed, if any.
    """
    done_queue: SimpleQueue[Future[Any]] = SimpleQueue()
    for future in futures:
        future.add_done_callback(done_queue.put)
    done = 0
    while done < len(futures):
        try:
            future = done_queue.get(timeout=TICK_SECONDS)
        except Empty:
            pass
        else:
            if future.exception() is not None:
                return future
            done += 1
        if progress is not None:
            progress(done, len(futures))
    return None
