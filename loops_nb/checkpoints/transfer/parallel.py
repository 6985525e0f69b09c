"""Calls in several threads; Ctrl-C does not wait for them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")
U = TypeVar("U")
logger: logging.Logger = logging.getLogger(__name__)

#: A wait without timeout cannot be interrupted on every system.
_POLL_SECONDS = 0.5


class _Outcome(Generic[U]):
    """Result or error of one item."""

    def __init__(self, index: int, result: list[U], error: BaseException | None = None) -> None:
        self.index = index
        self.result = result
        self.error = error


def map_in_threads(work: Callable[[T], U], items: Sequence[T], *, workers: int) -> list[U]:
    """Return the results of a function for each item, in their order; the first error is raised at once.

    Parameters
    ----------
    work : callable
        Called in threads of its own; with a single item in the calling thread.
    items : sequence
        Its arguments.
    workers : int
        How many threads there are at most.
    """
    if len(items) == 1:
        return [work(items[0])]
    todo: SimpleQueue[int] = SimpleQueue()
    done: SimpleQueue[_Outcome[U]] = SimpleQueue()
    stopped = threading.Event()
    for index in range(len(items)):
        todo.put(index)

    def run() -> None:
        while not stopped.is_set():
            try:
                index = todo.get_nowait()
            except Empty:
                return
            try:
                done.put(_Outcome(index, [work(items[index])]))
            except BaseException as error:
                logger.debug("One of several requests failed.", exc_info=True)
                done.put(_Outcome(index, [], error))

    for _ in range(min(workers, len(items))):
        threading.Thread(target=run, name="loops-map", daemon=True).start()
    try:
        return _collect(done, len(items))
    finally:
        stopped.set()


def _collect(done: SimpleQueue[_Outcome[U]], count: int) -> list[U]:
    found: dict[int, U] = {}
    while len(found) < count:
        try:
            one = done.get(timeout=_POLL_SECONDS)
        except Empty:
            continue
        if one.error is not None:
            raise one.error
        found[one.index] = one.result[0]
    return [found[index] for index in range(count)]
