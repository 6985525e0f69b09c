"""How a process ends: what was logged is written before, in each of the ways in which Python ends one.

An interpreter calls what was registered with `atexit`.  A child of `multiprocessing` does not: it calls the finalizers of
``multiprocessing.util`` and then ``os._exit``; and a pool that is left with ``with`` terminates its children by a signal.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from loops_nb.tracking.notices import say

_LOG = logging.getLogger(__name__)
# Lower ones are called later: what the finalizers of others log is written too.
_PRIORITY = -1000

_TRIES = 3

_is_over = False
_finalizer: Any = None
_closing: list[Callable[[], None]] = []
_flushing: list[Callable[[], None]] = []


def call_at_end(*, close: Callable[[], None], flush: Callable[[], None]) -> None:
    """Have something called when the process ends.

    Parameters
    ----------
    close
        Called once at a normal end; what is logged later must be written at once.
    flush
        Called where the process is terminated by a signal.
    """
    _closing.append(close)
    _flushing.append(flush)


def is_over() -> bool:
    """Tell whether the end has begun: no thread is there to write later."""
    return _is_over


def prepare() -> None:
    """Prepare for the end of a child of ``multiprocessing``.

    It is cheap, and must be called again and again: a child forgets its finalizers as it begins.
    """
    global _finalizer  # noqa: PLW0603 - one a process
    if _is_over or not _is_child():
        return
    util: Any = sys.modules["multiprocessing.util"]
    if getattr(util, "_exiting", False):
        # The finalizers were called, and a thread of the child still logs: nothing else will be called.
        _end()
        return
    if _finalizer is None or not _finalizer.still_active():
        _finalizer = util.Finalize(None, _end, exitpriority=_PRIORITY)
    _mind_signal()


def _is_child() -> bool:
    process = sys.modules.get("multiprocessing.process")
    return process is not None and "multiprocessing.util" in sys.modules and process.parent_process() is not None


def _mind_signal() -> None:
    # Where the program has a handler of its own, that one says what is to be done.
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminated)


def _terminated(number: int, frame: FrameType | None) -> None:
    del frame
    for flush in _flushing:
        try:
            flush()
        except Exception:  # noqa: BLE001 - the process ends as it was told to
            _LOG.exception("What was logged last may be lost.")
    # The parent sees what it would have seen without this handler.
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _end() -> None:
    global _is_over  # noqa: PLW0603 - one a process
    _is_over = True
    for close in _closing:
        _uninterrupted(close)


def _uninterrupted(close: Callable[[], None]) -> None:
    # What an impatient Ctrl-C ends here is only a wait, and the process ends anyway.
    for _ in range(_TRIES):
        try:
            close()
        except KeyboardInterrupt:
            continue
        except Exception as error:  # noqa: BLE001 - the others are closed all the same
            _LOG.exception("What was logged last may be lost.")
            say(f"What was logged last may be lost ({type(error).__name__}: {error}).")
        return


def _in_child() -> None:
    global _is_over, _finalizer
    _is_over, _finalizer = False, None


atexit.register(_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
