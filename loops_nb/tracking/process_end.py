"""Writes everything that was logged when a process ends, in each of the ways in which Python ends one.

An interpreter calls the functions registered with `atexit`.  A child of ``multiprocessing`` does not: it calls the
finalizers of ``multiprocessing.util`` and then ``os._exit``; and a pool in a ``with`` statement terminates its children
by a signal.
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

from loops_nb.config.fork_safety import ForkAware, reset_on_fork
from loops_nb.tracking.warn import print_warning

logger: logging.Logger = logging.getLogger(__name__)
# Finalizers with lower priorities are called later: what others log is written, too.
_PRIORITY = -1000
_ATTEMPTS = 3
_REPEAT_SECONDS = 0.05


class _ProcessEnd(ForkAware):
    """State of the end of this process."""

    def __init__(self) -> None:
        self.close_callbacks: list[Callable[[], None]] = []
        self.flush_callbacks: list[Callable[[], None]] = []
        self.is_over = False
        self._is_closing = False
        self._is_terminated = False
        self._finalizer: Any = None
        # Python's C signal handler writes signal numbers into this pipe, and `_repeat_signals` reads them.
        self._wakeup_pipe: tuple[int, int] | None = None
        reset_on_fork(self)

    def after_fork_in_child(self) -> None:
        self.is_over = self._is_closing = self._is_terminated = False
        self._finalizer = None
        if self._wakeup_pipe is None:
            return
        # The parent's pipe: a signal of this process written into it would end the parent.
        pipe, self._wakeup_pipe = self._wakeup_pipe, None
        with contextlib.suppress(ValueError, OSError):
            signal.set_wakeup_fd(-1)
            for end in pipe:
                os.close(end)
            # Handled again, with a pipe of its own, when this process logs.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def prepare_child(self) -> None:
        if self.is_over or not _is_multiprocessing_child():
            return
        util: Any = sys.modules["multiprocessing.util"]
        if getattr(util, "_exiting", False):
            # The finalizers were called, and a thread of the child still logs: nothing else will be called.
            self.end()
            return
        if self._finalizer is None or not self._finalizer.still_active():
            self._finalizer = util.Finalize(None, self.end, exitpriority=_PRIORITY)
        self._handle_sigterm()

    def end(self) -> None:
        self.is_over = self._is_closing = True
        # As with `atexit`, the callback that was registered last is called first.
        for close in reversed(self.close_callbacks):
            _call_uninterrupted(close)
        self._is_closing = False
        if self._is_terminated:
            _die(signal.SIGTERM)

    def _handle_sigterm(self) -> None:
        # A handler of the program itself has precedence.
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            self._start_repeating()
            signal.signal(signal.SIGTERM, self._on_sigterm)

    def _start_repeating(self) -> None:
        # A signal that comes just before a wait in C (for the semaphore of a pool, say) interrupts nothing, and its
        # handler would never run.
        if not hasattr(signal, "pthread_kill"):
            return
        read, write = os.pipe()
        os.set_blocking(write, False)
        former = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        if former != -1:
            # An event loop of the program uses it, and runs handlers itself.
            signal.set_wakeup_fd(former)
            os.close(read)
            os.close(write)
            return
        self._wakeup_pipe = read, write
        start_new_thread(self._repeat_signals, (read,))

    def _repeat_signals(self, read: int) -> None:
        main = threading.main_thread().ident
        while signal.SIGTERM not in os.read(read, 512):
            pass
        while main is not None and not self._is_terminated and signal.getsignal(signal.SIGTERM) == self._on_sigterm:
            signal.pthread_kill(main, signal.SIGTERM)
            sleep(_REPEAT_SECONDS)

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self._is_terminated:
            return
        self._is_terminated = True
        if self._is_closing:
            # It interrupts `end` on this thread, which continues first.
            return
        for flush in self.flush_callbacks:
            try:
                flush()
            except Exception:
                logger.exception("What was logged last may be lost.")
        _die(number)


_process = _ProcessEnd()


def call_at_end(*, close: Callable[[], None], flush: Callable[[], None]) -> None:
    """Register functions that are called when the process ends.

    Parameters
    ----------
    close : callable
        Called once at a normal end; what is logged later must be written at once.
    flush : callable
        Called when the process is terminated by a signal.
    """
    _process.close_callbacks.append(close)
    _process.flush_callbacks.append(flush)


def is_over() -> bool:
    """Whether the end has begun: no thread will write later."""
    return _process.is_over


def prepare() -> None:
    """Prepare for the end of a child of ``multiprocessing``.

    Cheap, and must be called again and again: a child drops its finalizers when it begins.
    """
    _process.prepare_child()


def _is_multiprocessing_child() -> bool:
    process = sys.modules.get("multiprocessing.process")
    return process is not None and "multiprocessing.util" in sys.modules and process.parent_process() is not None


def _die(number: int) -> None:
    # The parent sees the same exit code as without this handler.
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _call_uninterrupted(close: Callable[[], None]) -> None:
    # Ctrl-C ends only a wait in there, and the process ends anyway.
    for _ in range(_ATTEMPTS):
        try:
            close()
        except KeyboardInterrupt:
            continue
        except Exception as error:
            logger.exception("What was logged last may be lost.")
            print_warning(f"What was logged last may be lost ({type(error).__name__}: {error}).")
        return


atexit.register(_process.end)
