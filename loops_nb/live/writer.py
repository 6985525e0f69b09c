"""The one thread on which everything happens, one thing after the other; it is there only while there is something to do."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Protocol, TypeVar

from loops_nb import faults
from loops_nb.faults import Fault
from loops_nb.live.clock import Clock
from loops_nb.live.turns import TURNS

T = TypeVar("T")

_LOG = logging.getLogger(__name__)
_DOING = "keeping what is watched up to date"
#: Seconds without anything to do after which the thread ends.
LINGER = 3.0
_LONGEST_WAIT = 3600.0
#: A turn that failed is not made again at once: whatever it is, it must not keep a processor busy.
_AFTER_A_FAULT = 1.0
_NAME = "loops-nb-live-poller"


class Later:
    """Something that will be done later.

    Parameters
    ----------
    at
        When, by the clock of the writer.
    do
        What.
    """

    def __init__(self, at: float, do: Callable[[], None]) -> None:
        self.at = at
        self._do: Callable[[], None] | None = do

    def cancel(self) -> None:
        """Do it never."""
        self._do = None

    @property
    def is_pending(self) -> bool:
        """Whether it is still to be done."""
        return self._do is not None

    def run(self) -> None:
        """Do it, unless it was cancelled."""
        do, self._do = self._do, None
        if do is not None:
            do()


class Duty(Protocol):
    """What the thread does besides what is posted to it."""

    def next_turn(self) -> float:
        """Return when the next turn is due; infinity if nothing will be by itself."""

    def turn(self) -> None:
        """Do what is due."""

    def is_idle(self) -> bool:
        """Tell whether the thread may end."""

    def rest(self) -> None:
        """Let go of what is not needed while the thread is gone."""


class Writer:
    """A thread that ends when it is not needed and starts again when it is.

    What is done on it may raise: that is logged and kept by `loops_nb.faults`, and nothing is ever printed.

    Parameters
    ----------
    duty
        What it does by itself.
    clock
        Tells the time.

    Attributes
    ----------
    fault
        The traceback of what was raised last; empty for nothing.
    trouble
        The fault that keeps the duty from being done now; None while it is done.
    linger
        Seconds without anything to do after which the thread ends.
    """

    def __init__(self, duty: Duty, clock: Clock) -> None:
        self.fault = ""
        self.trouble: Fault | None = None
        self.linger = LINGER
        self._duty = duty
        self._clock = clock
        self._life = threading.Lock()
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._timers: list[tuple[float, int, Later]] = []
        self._order = itertools.count()
        self._idle_since: float | None = None

    @property
    def is_running(self) -> bool:
        """Whether there is a thread."""
        return self._thread is not None

    def post(self, do: Callable[[], None]) -> None:
        """Have something done soon, after what was posted before.  Any thread may call it."""
        self._inbox.put(do)
        with self._life:
            if self._thread is None:
                self._idle_since = None
                self._thread = _started(self._run)

    def call_later(self, seconds: float, do: Callable[[], None]) -> Later:
        """Have something done after some seconds.  Any thread may call it."""
        later = Later(self._clock.now() + seconds, do)
        self.post(lambda: heapq.heappush(self._timers, (later.at, next(self._order), later)))
        return later

    def guarded(self, do: Callable[[], None]) -> bool:
        """Do something, and record what it raises; tell whether it went well."""
        return self._fault_of(do) is None

    def _fault_of(self, do: Callable[[], object]) -> Fault | None:
        try:
            do()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it would be printed under an unrelated cell
            fault = faults.record(_LOG, _DOING, error)
            self.fault = fault.traceback
            return fault
        return None

    def _asked(self, ask: Callable[[], T], otherwise: T) -> T:
        """Return what the duty answers; after a fault, what stands for it."""
        answers: list[T] = []
        fault = self._fault_of(lambda: answers.append(ask()))
        if fault is not None:
            self.trouble = fault
        return answers[0] if answers else otherwise

    def _run(self) -> None:
        pause = 0.0
        with TURNS.short():
            while not self._may_end():
                self._read(max(pause, self._wait()))
                self._ring()
                self.trouble = self._fault_of(self._duty.turn)
                pause = 0.0 if self.trouble is None else _AFTER_A_FAULT

    def _read(self, seconds: float) -> None:
        try:
            do = self._inbox.get(timeout=seconds) if seconds > 0 else self._inbox.get_nowait()
            self.guarded(do)
            # What these post in turn waits for the next round, so that nobody can keep the others from theirs.
            for _ in range(self._inbox.qsize()):
                do = self._inbox.get_nowait()
                self.guarded(do)
        except Empty:
            return

    def _ring(self) -> None:
        now = self._clock.now()
        while self._timers and self._timers[0][0] <= now:
            self.guarded(heapq.heappop(self._timers)[2].run)

    def _wait(self) -> float:
        at = self._asked(self._duty.next_turn, self._clock.now() + _AFTER_A_FAULT)
        if self._timers:
            at = min(at, self._timers[0][0])
        if self._idle_since is not None:
            at = min(at, self._idle_since + self.linger)
        return max(0.0, min(at - self._clock.now(), _LONGEST_WAIT))

    def _may_end(self) -> bool:
        while self._timers and not self._timers[0][2].is_pending:
            heapq.heappop(self._timers)
        if self._timers or not self._inbox.empty() or not self._asked(self._duty.is_idle, otherwise=False):
            self._idle_since = None
            return False
        now = self._clock.now()
        if self._idle_since is None:
            self._idle_since = now
        if now < self._idle_since + self.linger:
            return False
        self.guarded(self._duty.rest)
        with self._life:
            if not self._inbox.empty():
                return False
            self._thread = None
        return True


def _started(target: Callable[[], None]) -> threading.Thread | None:
    thread = threading.Thread(target=target, name=_NAME, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        # The interpreter is shutting down: nobody waits for this any more.
        return None
    return thread
