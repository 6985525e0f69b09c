"""Threads and time of the poller: an event loop thread with timers, a pool of daemon threads, the switch interval."""

from __future__ import annotations

import heapq
import itertools
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, Protocol, TypeVar

from loops_nb import faults
from loops_nb.config.fork_safety import ForkAware, reset_on_fork
from loops_nb.faults import Fault

P = ParamSpec("P")
T = TypeVar("T")

logger: logging.Logger = logging.getLogger(__name__)
_ACTIVITY = "keeping what is watched up to date"
#: Seconds without work after which a thread ends.
LINGER = 3.0
#: After an exception the event loop pauses, so that a fault that stays does not keep a processor busy.
_PAUSE_AFTER_FAULT = 1.0
_LONGEST_WAIT = 3600.0
_THREAD_NAME = "loops-nb-live"
#: Loggers of the HTTP client; records of background threads would be printed under an unrelated cell.
_HTTP_LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
)


class Clock:
    """The system's clocks; tests use one that they set."""

    def now(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    def epoch_ms(self) -> float:
        """Return the time of day in epoch milliseconds."""
        return time.time() * 1000.0


class DaemonThreadPool(Executor):
    """An executor of daemon threads that end when they are idle.

    A ``ThreadPoolExecutor`` does not fit here: the interpreter joins its threads at exit, so the end of a kernel would
    wait for requests that are in flight.

    Parameters
    ----------
    max_workers : int
        How many jobs run at once.
    linger : float
        Idle seconds after which a thread ends.
    """

    def __init__(self, max_workers: int, linger: float = LINGER) -> None:
        self.linger = linger
        self._max_workers = max_workers
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._pending = 0
        for name in _HTTP_LOGGERS:
            logging.getLogger(name).addFilter(_is_of_other_thread)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a function on a thread of the pool."""
        future: Future[T] = Future()
        self._jobs.put((future, lambda: fn(*args, **kwargs)))
        with self._lock:
            self._pending += 1
            if self._pending > self._threads and self._threads < self._max_workers:
                self._threads += bool(_start_thread(self._run, "worker"))
        return future

    def _run(self) -> None:
        while True:
            try:
                future, job = self._jobs.get(timeout=self.linger)
            except Empty:
                with self._lock:
                    if self._jobs.empty():
                        self._threads -= 1
                        return
                continue
            try:
                future.set_result(job())
            except BaseException as error:  # noqa: BLE001 - as every executor: the exception is the future's
                future.set_exception(error)
            with self._lock:
                self._pending -= 1
            # While this thread waits for its next job it must not keep the last one alive.
            del future, job


class SwitchInterval(ForkAware):
    """Shortens the interpreter's switch interval while threads of this package run.

    A thread that needs the interpreter waits until the running one has had it for `sys.getswitchinterval`, 5 ms by
    default, and again after each read and write.  A poll and its message to the page take a dozen of these waits.
    """

    #: Where no thread waits, the interpreter is not switched more often, so this costs the running cell next to
    #: nothing.
    SECONDS = 0.001

    def __init__(self) -> None:
        self._former: float | None = None
        self.after_fork_in_child()
        reset_on_fork(self)

    def after_fork_in_child(self) -> None:
        """Restore the interval: the threads that needed the short one are the parent's."""
        self._lock = threading.Lock()
        self._users = 0
        self._restore()

    @contextmanager
    def shortened(self) -> Iterator[None]:
        """Keep the interval short within the block; a value that is set elsewhere meanwhile stays."""
        with self._lock:
            self._users += 1
            if self._users == 1 and sys.getswitchinterval() > self.SECONDS:
                self._former = sys.getswitchinterval()
                sys.setswitchinterval(self.SECONDS)
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._restore()

    def _restore(self) -> None:
        former, self._former = self._former, None
        if former is not None and abs(sys.getswitchinterval() - self.SECONDS) < self.SECONDS / 1000:
            sys.setswitchinterval(former)


SWITCH_INTERVAL = SwitchInterval()


class TimerHandle:
    """A callback that an `EventLoopThread` calls later.

    Parameters
    ----------
    at : float
        When, by the clock of the loop.
    callback : callable
        What is called.
    """

    def __init__(self, at: float, callback: Callable[[], None]) -> None:
        self.at = at
        self._callback: Callable[[], None] | None = callback

    @property
    def is_pending(self) -> bool:
        """Whether it is neither called nor cancelled yet."""
        return self._callback is not None

    def cancel(self) -> None:
        """Do not call it."""
        self._callback = None

    def run(self) -> None:
        """Call it, unless it was cancelled."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class LoopWork(Protocol):
    """What an `EventLoopThread` does besides the callbacks that are posted to it."""

    def next_deadline(self) -> float:
        """Return when `run_once` has something to do; infinity if never."""

    def run_once(self) -> None:
        """Do what is due."""

    def is_idle(self) -> bool:
        """Tell whether the thread may end."""

    def release(self) -> None:
        """Release resources that are not needed while the thread does not run."""


class EventLoopThread:
    """A daemon thread that runs callbacks and timers one after the other; it ends when idle and starts again on demand.

    Exceptions are logged, recorded by `loops_nb.faults`, and never printed.

    Parameters
    ----------
    work : LoopWork
        What it does by itself.
    clock : Clock
        Time of the timers.

    Attributes
    ----------
    last_traceback : str
        Of the newest exception; empty for none.
    current_fault : Fault or None
        The fault that keeps `LoopWork.run_once` from its work now.
    linger : float
        Idle seconds after which the thread ends.
    """

    def __init__(self, work: LoopWork, clock: Clock) -> None:
        self.last_traceback: str = ""
        self.current_fault: Fault | None = None
        self.linger = LINGER
        self._work = work
        self._clock = clock
        self._lifecycle = threading.Lock()
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._timers: list[tuple[float, int, TimerHandle]] = []
        self._timer_ids = itertools.count()
        self._idle_since: float | None = None

    @property
    def is_running(self) -> bool:
        """Whether there is a thread."""
        return self._thread is not None

    def post(self, callback: Callable[[], None]) -> None:
        """Call something soon, after what was posted before; from any thread."""
        self._inbox.put(callback)
        with self._lifecycle:
            if self._thread is None:
                self._idle_since = None
                self._thread = _start_thread(self._run, "poller")

    def call_later(self, seconds: float, callback: Callable[[], None]) -> TimerHandle:
        """Call something after some seconds; from any thread."""
        timer = TimerHandle(self._clock.now() + seconds, callback)
        self.post(lambda: heapq.heappush(self._timers, (timer.at, next(self._timer_ids), timer)))
        return timer

    def call_guarded(self, callback: Callable[[], object]) -> Fault | None:
        """Call something; record and return what it raises."""
        try:
            callback()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it would be printed under an unrelated cell
            fault = faults.record(logger, _ACTIVITY, error)
            self.last_traceback = fault.traceback
            return fault
        return None

    def _ask_work(self, method: Callable[[], T], default: T) -> T:
        answers: list[T] = []
        fault = self.call_guarded(lambda: answers.append(method()))
        if fault is not None:
            self.current_fault = fault
            return default
        return answers[0]

    def _run(self) -> None:
        pause = 0.0
        with SWITCH_INTERVAL.shortened():
            while not self._may_end():
                self._run_posted(max(pause, self._seconds_to_wait()))
                self._run_timers()
                self.current_fault = self.call_guarded(self._work.run_once)
                pause = 0.0 if self.current_fault is None else _PAUSE_AFTER_FAULT

    def _run_posted(self, seconds: float) -> None:
        try:
            callback = self._inbox.get(timeout=seconds) if seconds > 0 else self._inbox.get_nowait()
            self.call_guarded(callback)
            # What these post in turn waits for the next round: no callback can keep the timers from running.
            for _ in range(self._inbox.qsize()):
                callback = self._inbox.get_nowait()
                self.call_guarded(callback)
        except Empty:
            return

    def _run_timers(self) -> None:
        now = self._clock.now()
        while self._timers and self._timers[0][0] <= now:
            self.call_guarded(heapq.heappop(self._timers)[2].run)

    def _seconds_to_wait(self) -> float:
        deadline = self._ask_work(self._work.next_deadline, self._clock.now() + _PAUSE_AFTER_FAULT)
        if self._timers:
            deadline = min(deadline, self._timers[0][0])
        if self._idle_since is not None:
            deadline = min(deadline, self._idle_since + self.linger)
        return max(0.0, min(deadline - self._clock.now(), _LONGEST_WAIT))

    def _may_end(self) -> bool:
        while self._timers and not self._timers[0][2].is_pending:
            heapq.heappop(self._timers)
        if self._timers or not self._inbox.empty() or not self._ask_work(self._work.is_idle, default=False):
            self._idle_since = None
            return False
        now = self._clock.now()
        if self._idle_since is None:
            self._idle_since = now
        if now < self._idle_since + self.linger:
            return False
        self.call_guarded(self._work.release)
        with self._lifecycle:
            if not self._inbox.empty():
                return False
            self._thread = None
        return True


def _start_thread(target: Callable[[], None], name: str) -> threading.Thread | None:
    thread = threading.Thread(target=target, name=f"{_THREAD_NAME}-{name}", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        logger.debug("No thread can be started while the interpreter shuts down.")
        return None
    return thread


def _is_of_other_thread(record: logging.LogRecord) -> bool:
    return not (record.threadName or "").startswith(_THREAD_NAME)
