"""How long one piece of work is tried again; no I/O here."""

from __future__ import annotations

import time

from loops_nb.client.retry import RetryPolicy
from loops_nb.storage.faults import StorageFault


class Patience:
    """Counts the attempts of one piece of work.

    Parameters
    ----------
    policy
        How often, and how long.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self.attempts = 0
        self._since: float | None = None

    def progressed(self) -> None:
        """Begin anew: bytes came since the last fault, so the server is not at its end."""
        self.attempts = 0
        self._since = None

    def wait(self, fault: StorageFault) -> float | None:
        """Return the seconds to wait before the next attempt, or None when there is to be none."""
        self.attempts += 1
        now = time.monotonic()
        self._since = self._since if self._since is not None else now
        if not fault.passing or self.attempts >= self._policy.attempts:
            return None
        seconds = self._policy.wait(self.attempts, fault.asked)
        if now - self._since + seconds > self._policy.total_seconds:
            return None
        return seconds

    @property
    def tried(self) -> str:
        """How often, in words; empty for once."""
        return f" ({self.attempts} tries)" if self.attempts > 1 else ""
