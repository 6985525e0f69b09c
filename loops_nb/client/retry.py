"""When to try again, how long to wait, and when to give up; no I/O here."""

from __future__ import annotations

import random
from dataclasses import dataclass

from loops_nb.errors import InvalidArgumentError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How reads are retried.  What changes things is sent again only when it cannot have left this machine.

    Parameters
    ----------
    attempts
        How often a request is sent at most.
    total_seconds
        No new attempt starts later than this after the first one; a longer ``Retry-After`` ends the attempts at once.
    first_wait_seconds, longest_wait_seconds
        Waits double from the first to the longest, each with random jitter over its upper half.
    """

    attempts: int = 5
    total_seconds: float = 45.0
    first_wait_seconds: float = 0.4
    longest_wait_seconds: float = 8.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise InvalidArgumentError("attempts must be at least 1.", argument="attempts")
        if min(self.total_seconds, self.first_wait_seconds, self.longest_wait_seconds) < 0:
            raise InvalidArgumentError("The seconds of a RetryPolicy must not be negative.", argument="total_seconds")

    def wait(self, attempt: int, asked: float | None) -> float:
        """Return the seconds to wait after an attempt (the first is 1), at least what the service asked for."""
        doubled = min(self.longest_wait_seconds, self.first_wait_seconds * 2.0 ** (attempt - 1))
        jittered = doubled * random.uniform(0.5, 1.0)  # noqa: S311 - spreading load, not guarding a secret
        return jittered if asked is None else max(asked, jittered * 0.1)


NO_RETRY = RetryPolicy(attempts=1)
#: For a service on this machine: it is there at once or not at all, and a person waits for the answer.
NEAR = RetryPolicy(total_seconds=5.0, first_wait_seconds=0.1, longest_wait_seconds=1.0)
