"""A few daemon threads that make requests, so that a silent service never holds up the one who tells the news."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

_NAME = "loops-nb-live"
#: They log every request.  From a thread, that would be printed under a cell that has nothing to do with it.
_TALKATIVE = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy", "httpcore.socks")


class Hands:
    """Threads that carry out jobs; they come when there is work and go when there has been none for a while.

    Parameters
    ----------
    most
        How many at once.
    linger
        Seconds without work after which a thread ends.
    """

    def __init__(self, most: int, linger: float) -> None:
        self.most = most
        self.linger = linger
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._busy = 0

    def do(self, job: Callable[[], None]) -> None:
        """Have a job carried out; it must not raise."""
        _silence()
        with self._lock:
            self._busy += 1
            more = self._busy > self._threads and self._threads < self.most
            self._threads += more
        self._jobs.put(job)
        if more:
            try:
                threading.Thread(target=self._work, name=f"{_NAME}-hand", daemon=True).start()
            except RuntimeError:
                # The interpreter is shutting down: nobody waits for this any more.
                with self._lock:
                    self._threads -= 1

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=self.linger)
            except Empty:
                with self._lock:
                    if not self._jobs.empty():
                        continue
                    self._threads -= 1
                    return
            try:
                job()
            finally:
                with self._lock:
                    self._busy -= 1
                del job


def _silence() -> None:
    # Again and again changes nothing: a logger has the same filter only once.
    for name in _TALKATIVE:
        logging.getLogger(name).addFilter(_not_ours)


def _not_ours(record: logging.LogRecord) -> bool:
    return not (record.threadName or "").startswith(_NAME)
