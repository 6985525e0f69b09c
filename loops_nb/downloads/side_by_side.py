"""Several slow things at a time, which Ctrl-C does not have to wait for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")
U = TypeVar("U")
_LOG = logging.getLogger(__name__)

#: A wait without any end cannot be interrupted everywhere.
_BREATH = 0.5


class _Done(Generic[U]):
    """What became of one item."""

    def __init__(self, place: int, result: list[U], error: BaseException | None = None) -> None:
        self.place = place
        self.result = result
        self.error = error


def side_by_side(work: Callable[[T], U], items: Sequence[T], *, at_a_time: int) -> list[U]:
    """Return what a function gives for each item, in their order; the first error is raised at once.

    Parameters
    ----------
    work
        Called in threads of its own, but for a single item in this one.
    items
        What it is called with.
    at_a_time
        How many threads there are at most.
    """
    if len(items) == 1:
        return [work(items[0])]
    todo: SimpleQueue[int] = SimpleQueue()
    done: SimpleQueue[_Done[U]] = SimpleQueue()
    over = threading.Event()
    for place in range(len(items)):
        todo.put(place)

    def run() -> None:
        while not over.is_set():
            try:
                place = todo.get_nowait()
            except Empty:
                return
            try:
                done.put(_Done(place, [work(items[place])]))
            except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
                _LOG.debug("One of several requests failed.", exc_info=True)
                done.put(_Done(place, [], error))

    for _ in range(min(at_a_time, len(items))):
        threading.Thread(target=run, name="loops-side-by-side", daemon=True).start()
    try:
        return _gathered(done, len(items))
    finally:
        over.set()


def _gathered(done: SimpleQueue[_Done[U]], count: int) -> list[U]:
    found: dict[int, U] = {}
    while len(found) < count:
        try:
            one = done.get(timeout=_BREATH)
        except Empty:
            continue
        if one.error is not None:
            raise one.error
        found[one.place] = one.result[0]
    return [found[place] for place in range(count)]
