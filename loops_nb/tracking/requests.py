"""What is asked of the recorder's thread, and what wakes it: made so that an interrupt or a signal handler can come at any moment.

A signal handler runs on the main thread between two steps of whatever that does.  So nothing here holds a lock for longer than one call
of C takes, and no handler ever waits for a lock that the interrupted code has.
"""

from __future__ import annotations

import contextlib
import enum
import threading


class Wish(enum.Enum):
    """What the recorder's thread shall do."""

    WRITE = "write all that was taken"
    DROP = "forget all that was taken"
    END = "write all that was taken, close the file and end"


class Request:
    """One request; answered once, by the thread that writes."""

    __slots__ = ("_due", "is_done", "wish")

    def __init__(self, wish: Wish) -> None:
        self.wish = wish
        #: The answer: whether all that was taken before is in the file.
        self.is_done = False
        self._due = threading.Lock()
        self._due.acquire()

    def answer(self, *, is_done: bool) -> None:
        """Give the answer; never waits."""
        self.is_done = is_done
        # Answered already, where it was asked again in the moment in which another thread took it.
        with contextlib.suppress(RuntimeError):
            self._due.release()

    def wait(self, seconds: float) -> bool:
        """Wait for the answer; tell whether it came.  An interrupt ends only the wait."""
        return self._due.acquire(timeout=seconds)


class Bell:
    """What one thread waits for and any other rings; rung several times before it is heard, it is heard once."""

    __slots__ = ("_silence",)

    def __init__(self) -> None:
        self._silence = threading.Lock()
        self._silence.acquire()

    def ring(self) -> None:
        """End the wait; never waits itself."""
        # Already rung.
        with contextlib.suppress(RuntimeError):
            self._silence.release()

    def wait(self, seconds: float) -> bool:
        """Wait until it is rung; tell whether it was."""
        return self._silence.acquire(timeout=seconds)
