"""How soon a thread of ours gets its turn while a cell computes.

A thread that wants the interpreter waits until the one that has it was running for `sys.getswitchinterval`, 5 ms by default, and that again
after each time it read or wrote something: a look at the service and its message to the page take a dozen of such waits.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from loops_nb.live.forks import mind

#: Where nobody waits nothing is switched more often than before, so this costs the cell next to nothing.
SECONDS = 0.001


class Turns:
    """The interpreter's one setting, and for how many of our threads it is short."""

    def __init__(self) -> None:
        self._former: float | None = None
        self.forked()
        mind(self)

    def forked(self) -> None:
        """Begin anew in a forked child, which has none of the threads."""
        self._lock = threading.Lock()
        self._holders = 0
        self._restore()

    @contextmanager
    def short(self) -> Iterator[None]:
        """Have threads wait for their turn no longer than `SECONDS`, as long as anybody is within; then it is as it was.

        What somebody else sets in the meantime stays.
        """
        with self._lock:
            self._holders += 1
            if self._holders == 1 and sys.getswitchinterval() > SECONDS:
                self._former = sys.getswitchinterval()
                sys.setswitchinterval(SECONDS)
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                if not self._holders:
                    self._restore()

    def _restore(self) -> None:
        former, self._former = self._former, None
        if former is not None and abs(sys.getswitchinterval() - SECONDS) < SECONDS / 1000:
            sys.setswitchinterval(former)


TURNS = Turns()
