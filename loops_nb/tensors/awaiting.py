"""Waiting for many things at a time, and telling now and then how far they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TypeVar

#: How long nothing is heard at most.
GLANCE_SECONDS = 0.2

Result = TypeVar("Result")


def as_ended(begun: Sequence[Future[Result]]) -> Iterator[Future[Result] | None]:
    """Give each future when it has ended; None, a few times a second, while none ends.

    Parameters
    ----------
    begun
        What is waited for.  However many there are, one that ends costs the same.
    """
    ended: SimpleQueue[Future[Result]] = SimpleQueue()
    for future in begun:
        future.add_done_callback(ended.put)
    left = len(begun)
    while left:
        try:
            future = ended.get(timeout=GLANCE_SECONDS)
        except Empty:
            yield None
        else:
            left -= 1
            yield future
