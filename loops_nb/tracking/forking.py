"""Forks: no connection to SQLite is open, and no statement runs, in the moment in which a process is copied.

SQLite keeps its locks of a file by process and inode.  A child that inherits an open connection believes to hold locks that it does not
have: it may wait for ever for a lock of its parent, or write into a log that the parent deletes as it closes the file.  So every
connection is closed before a fork, and opened again by parent and child, each at its next use.
"""

from __future__ import annotations

import contextlib
import os
import threading
from threading import get_ident
from time import monotonic, sleep
from typing import Any, Protocol
from weakref import WeakSet

#: A fork waits no longer than this for a statement that runs.
PATIENCE_SECONDS = 5.0
_LOOK_SECONDS = 0.001


class Forkable(Protocol):
    """What has connections, locks or threads."""

    def before_fork(self, seconds: float) -> None:
        """Take its lock and close its connection; wait no longer than that."""

    def after_fork(self) -> None:
        """Let go of the lock, in the parent."""

    def in_child(self) -> None:
        """Begin with new locks, without threads and connections."""


_forkables: WeakSet[Forkable] = WeakSet()
# The threads that fork at this moment; usually none.
_forking: set[int] = set()
# Two threads that fork at the same time take the locks of all in turn.
_turn = threading.RLock()


def reset_on_fork(forkable: Forkable) -> None:
    """Have something prepared for forks for as long as it lives."""
    _forkables.add(forkable)


def is_forking() -> bool:
    """Tell whether this thread is within a fork: then it may hold what other threads wait for."""
    return get_ident() in _forking


def let_forks_pass() -> None:
    """Wait until no thread is about to fork; for threads that would otherwise take their lock again and again."""
    until = monotonic() + PATIENCE_SECONDS
    while _forking and monotonic() < until:
        sleep(_LOOK_SECONDS)


def _before() -> None:
    until = monotonic() + PATIENCE_SECONDS
    _forking.add(get_ident())
    _turn.acquire(timeout=PATIENCE_SECONDS)
    for forkable in list(_forkables):
        forkable.before_fork(max(0.0, until - monotonic()))


def _after_in_parent() -> None:
    for forkable in list(_forkables):
        forkable.after_fork()
    release(_turn)
    _forking.discard(get_ident())


def _after_in_child() -> None:
    global _turn  # noqa: PLW0603 - a lock that another thread of the parent waits for would never be free here
    _turn = threading.RLock()
    _forking.clear()
    for forkable in list(_forkables):
        forkable.in_child()


def release(lock: Any) -> None:
    """Release a lock if this thread has it: an interrupt may have come before it was taken."""
    with contextlib.suppress(RuntimeError):
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
