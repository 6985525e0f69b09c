"""Trouble that concerns a connection as a whole: a refused key, a service that is away, a wait that it asks for."""

from __future__ import annotations

from loops_nb.errors import APIError, AuthenticationError, LoopsError, RateLimitError, ServiceUnreachableError
from loops_nb.live.pace import AFTER_A_REFUSED_KEY, LONGEST_ASKED, backoff

_NEVER = float("-inf")


class Connection:
    """How it stands with a connection.

    Attributes
    ----------
    error
        What is wrong; None when nothing is.
    since
        Since when, in epoch milliseconds.
    hold_until
        Nothing is asked before this time, by the clock of `Clock.now`.
    """

    def __init__(self) -> None:
        self.error: LoopsError | None = None
        self.since: float | None = None
        self.hold_until = _NEVER
        self._failures = 0
        self._held_at = _NEVER

    def holds(self, now: float) -> bool:
        """Tell whether nothing may be asked now."""
        return self.error is not None and now < self.hold_until

    def hurry(self, now: float) -> None:
        """Let somebody who cannot wait try at once, unless it was the service that asked for the wait."""
        if self.holds(now) and not _asked_to_wait(self.error):
            self.hold_until = now

    def works(self, *, asked_at: float) -> None:
        """Take in a good answer; one to a request from before the trouble says nothing of now."""
        if asked_at > self._held_at:
            self.error = self.since = None
            self._failures = 0

    def failed(self, error: LoopsError, *, asked_at: float, now: float, at_ms: float, interval: float) -> bool:
        """Take in an error; tell whether it concerns the whole connection."""
        hold = self._hold_for(error, interval)
        if hold is None:
            return False
        if asked_at > self._held_at or self.error is None:
            self._failures += 1
            self._held_at = now
            self.since = self.since if self.since is not None else at_ms
            self.error, self.hold_until = error, now + hold
        elif _asked_to_wait(error):
            # The request was under way when the trouble began: that is one trouble, not two.
            self.hold_until = max(self.hold_until, now + hold)
        return True

    def _hold_for(self, error: LoopsError, interval: float) -> float | None:
        if isinstance(error, AuthenticationError):
            return AFTER_A_REFUSED_KEY
        if isinstance(error, APIError) and error.retry_after is not None:
            return min(LONGEST_ASKED, max(error.retry_after, interval))
        if isinstance(error, RateLimitError) or (isinstance(error, ServiceUnreachableError) and error.nobody_listens):
            return backoff(interval, self._failures + 1)
        return None


def _asked_to_wait(error: LoopsError | None) -> bool:
    return isinstance(error, APIError) and error.retry_after is not None
