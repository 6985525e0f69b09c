"""Reset of locks, threads and connections around ``os.fork``: one registry for the whole package.

Threads do not exist in a forked child, a lock that another thread held stays locked there for ever, and a socket or
SQLite connection must not be used by two processes.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable
from threading import get_ident
from time import monotonic, sleep
from typing import Any
from weakref import WeakSet

logger: logging.Logger = logging.getLogger(__name__)

#: All `ForkAware.before_fork` together delay a fork by no more than this.
MAX_DELAY_SECONDS = 5.0
_POLL_SECONDS = 0.001


class ForkAware:
    """Base class of objects that hold locks, threads or connections; all three methods do nothing by default."""

    def before_fork(self, seconds: float) -> None:
        """Prepare in the forking thread: take locks, close what must not be open in two processes.

        Parameters
        ----------
        seconds : float
            How long this may wait.
        """

    def after_fork_in_parent(self) -> None:
        """Release what `before_fork` took."""

    def after_fork_in_child(self) -> None:
        """Start over with new locks, without threads and connections."""


_registered: WeakSet[ForkAware] = WeakSet()
# Threads that are inside ``os.fork`` now; usually none.
_forking: set[int] = set()
# Two threads that fork at the same time would wait for the locks that the other one took.
_turn = threading.RLock()
_inherited: list[object] = []


def reset_on_fork(instance: ForkAware) -> None:
    """Call the three methods of an object around each fork for as long as the object lives.

    While another thread forks, an object with a `before_fork` of its own waits here: that may have been called for all
    others already, and what the object opens next would be open in the child, too.

    Parameters
    ----------
    instance : ForkAware
        It is referenced weakly.
    """
    _registered.add(instance)
    # In this order: a fork that begins between the two finds the object.
    if type(instance).before_fork is not ForkAware.before_fork and not is_forking():
        wait_for_forks()


def keep_inherited(connection: object) -> None:
    """Keep an object of the parent process alive in a child.

    Closing it there, which its deletion may do, would shut the parent's connection down (TLS sends a close alert,
    SQLite drops the locks of the file).

    Parameters
    ----------
    connection : object
        What was inherited and must never be closed by this process.
    """
    _inherited.append(connection)


def is_forking() -> bool:
    """Tell whether the calling thread is inside a fork; it may then hold locks that other threads wait for."""
    return get_ident() in _forking


def wait_for_forks() -> None:
    """Wait until no thread is about to fork; for loops that would otherwise take their lock again at once."""
    until = monotonic() + MAX_DELAY_SECONDS
    while _forking and monotonic() < until:
        sleep(_POLL_SECONDS)


def release_if_held(lock: Any) -> None:
    """Release a lock if the calling thread holds it: an interrupt may have come before it was taken.

    Parameters
    ----------
    lock : threading.RLock
        A lock that belongs to the thread that took it.
    """
    with contextlib.suppress(RuntimeError):
        lock.release()


def _before() -> None:
    until = monotonic() + MAX_DELAY_SECONDS
    _forking.add(get_ident())
    _turn.acquire(timeout=MAX_DELAY_SECONDS)
    for instance in list(_registered):
        _call(instance.before_fork, max(0.0, until - monotonic()))


def _after_in_parent() -> None:
    for instance in list(_registered):
        _call(instance.after_fork_in_parent)
    release_if_held(_turn)
    _forking.discard(get_ident())


def _after_in_child() -> None:
    global _turn  # noqa: PLW0603 - a lock that another thread of the parent waits for would never be free here
    _turn = threading.RLock()
    _forking.clear()
    for instance in list(_registered):
        _call(instance.after_fork_in_child)


def _call(method: Callable[..., None], *arguments: Any) -> None:
    # An exception here would keep the other objects from their reset, and be printed to stderr.
    try:
        method(*arguments)
    except Exception:
        logger.exception("Reset around a fork failed in %s", getattr(method, "__qualname__", method))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
