"""Exponential backoff with jitter; honours ``Retry-After``."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from loops_nb.errors import InvalidArgumentError

#: Enough doublings for any wait; more would overflow a float.
_MAX_DOUBLINGS = 60
#: Not the generator of the module, whose state belongs to the user's program; it has none to share with forks either.
_JITTER = random.SystemRandom()


def backoff_seconds(attempt: int, *, first: float, longest: float) -> float:
    """Return the seconds to wait after a failed attempt: doubled each time, with jitter in [0.5, 1).

    Parameters
    ----------
    attempt : int
        Number of the attempt that failed; the first is 1.
    first, longest : float
        Seconds of the first wait and of the longest one, before jitter.

    Returns
    -------
    float
        Seconds.
    """
    doubled = min(longest, first * 2.0 ** min(attempt - 1, _MAX_DOUBLINGS))
    return doubled * _JITTER.uniform(0.5, 1.0)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How reads are retried.  Requests that change something are repeated only if they cannot have been sent.

    Parameters
    ----------
    attempts : int, default 5
        How often a request is sent at most.
    total_seconds : float, default 45
        No new attempt starts later than this after the first one; a longer ``Retry-After`` ends the attempts at once.
    first_wait_seconds : float, default 0.4
        The first wait; each following one is twice as long, all with random jitter over their upper half.
    longest_wait_seconds : float, default 8
        No wait is longer, except where ``Retry-After`` asks for it.

    Raises
    ------
    InvalidArgumentError
        If ``attempts`` is below 1 or a number of seconds is negative.

    Examples
    --------
    >>> import loops_nb
    >>> policy = loops_nb.RetryPolicy(attempts=3, total_seconds=10)
    >>> loops = loops_nb.Loops(retry=policy)  # doctest: +SKIP
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

    def wait(self, attempt: int, retry_after: float | None) -> float:
        """Return the seconds to wait after an attempt.

        Parameters
        ----------
        attempt : int
            Number of the attempt that failed; the first is 1.
        retry_after : float or None
            Seconds that the service asked to wait.

        Returns
        -------
        float
            Seconds, at least ``retry_after``.
        """
        seconds = backoff_seconds(attempt, first=self.first_wait_seconds, longest=self.longest_wait_seconds)
        return seconds if retry_after is None else max(retry_after, seconds * 0.1)


class RetryState:
    """Counts the attempts of one piece of work; starts over whenever it makes progress.

    Parameters
    ----------
    policy : RetryPolicy
        How often and how long is retried.
    clock : callable, default time.monotonic
        Returns the time in seconds.
    """

    def __init__(self, policy: RetryPolicy, clock: Callable[[], float] = time.monotonic) -> None:
        self._policy = policy
        self._clock = clock
        self.attempts: int = 0
        self._since: float | None = None

    def reset(self) -> None:
        """Start over: there was progress since the last failure."""
        self.attempts = 0
        self._since = None

    def next_wait(self, *, is_transient: bool, retry_after: float | None = None) -> float | None:
        """Count a failure and return the seconds to wait before the next attempt, or None to give up.

        Parameters
        ----------
        is_transient : bool
            Whether another attempt may go better.
        retry_after : float, optional
            Seconds that the server asked to wait.
        """
        self.attempts += 1
        now = self._clock()
        if self._since is None:
            self._since = now
        if not is_transient or self.attempts >= self._policy.attempts:
            return None
        seconds = self._policy.wait(self.attempts, retry_after)
        if now - self._since + seconds > self._policy.total_seconds:
            return None
        return seconds

    @property
    def summary(self) -> str:
        """Number of tries, to append to a message; empty after a single one."""
        return f" ({self.attempts} tries)" if self.attempts > 1 else ""


NO_RETRY = RetryPolicy(attempts=1)
#: For a service on this machine: it is there at once or not at all, and the user waits for the answer.
NEAR = RetryPolicy(total_seconds=5.0, first_wait_seconds=0.1, longest_wait_seconds=1.0)
