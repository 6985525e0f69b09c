"""How a process ends: what was logged is written before, in each of the ways in which Python ends one.

An interpreter calls what was registered with `atexit`.  A child of `multiprocessing` does not: it calls the finalizers of
``multiprocessing.util`` and then ``os._exit``; and a pool that is left with ``with`` terminates its children by a signal.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import signal
import sys
import threading
from _thread import start_new_thread
from collections.abc import Callable
from time import sleep
from types import FrameType
from typing import Any

from loops_nb.tracking.notices import say

_LOG = logging.getLogger(__name__)
# Lower ones are called later: what the finalizers of others log is written too.
_PRIORITY = -1000

_TRIES = 3

_REPEAT_SECONDS = 0.05

_is_over = False
_is_closing = False
_is_terminated = False
# What Python's own C handler writes the numbers of signals to, and what is read from it, in this process.
_signals: tuple[int, int] | None = None
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
        _repeat_signal()
        signal.signal(signal.SIGTERM, _terminated)


def _repeat_signal() -> None:
    # A signal that comes just before a wait in C (for the semaphore of a pool, say) interrupts nothing, and its handler would never run.
    global _signals  # noqa: PLW0603 - one a process
    if not hasattr(signal, "pthread_kill"):
        return
    read, write = os.pipe()
    os.set_blocking(write, False)
    former = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    if former != -1:
        # An event loop of the program has it, and runs handlers itself.
        signal.set_wakeup_fd(former)
        os.close(read)
        os.close(write)
        return
    _signals = read, write
    start_new_thread(_repeat, (read,))


def _repeat(read: int) -> None:
    main = threading.main_thread().ident
    while signal.SIGTERM not in os.read(read, 512):
        pass
    while main is not None and not _is_terminated and signal.getsignal(signal.SIGTERM) is _terminated:
        signal.pthread_kill(main, signal.SIGTERM)
        sleep(_REPEAT_SECONDS)


def _terminated(number: int, frame: FrameType | None) -> None:
    global _is_terminated  # noqa: PLW0603 - one a process
    del frame
    if _is_terminated:
        return
    _is_terminated = True
    if _is_closing:
        # It interrupts what writes all, on this thread: that goes on first.
        return
    for flush in _flushing:
        try:
            flush()
        except Exception:  # noqa: BLE001 - the process ends as it was told to
            _LOG.exception("What was logged last may be lost.")
    _die(number)


def _die(number: int) -> None:
    # The parent sees what it would have seen without this handler.
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _end() -> None:
    global _is_over, _is_closing  # noqa: PLW0603 - one a process
    _is_over = _is_closing = True
    for close in _closing:
        _uninterrupted(close)
    _is_closing = False
    if _is_terminated:
        _die(signal.SIGTERM)


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
    global _is_over, _is_closing, _is_terminated, _finalizer, _signals  # noqa: PLW0603 - one a process
    _is_over = _is_closing = _is_terminated = False
    _finalizer = None
    if _signals is None:
        return
    # The parent's pipe: a signal of this process written into it would end the parent.
    pipe, _signals = _signals, None
    with contextlib.suppress(ValueError, OSError):
        signal.set_wakeup_fd(-1)
        for end in pipe:
            os.close(end)
        # Set again, with a pipe of its own, when this process logs.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


atexit.register(_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
