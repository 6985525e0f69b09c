"""How long the bytes of an answer may be waited for; pure, no I/O here."""

from __future__ import annotations

import math


class Allowance:
    """Seconds of waiting that an answer has left: a bucket that waiting drains and bytes refill.

    A server that sends a byte now and then never goes silent, so a limit on silence alone would never end it.  Only the time spent
    waiting counts: a reader that pauses between two reads loses nothing.

    Parameters
    ----------
    first
        Seconds until the first byte.
    rest
        From the first byte on, never more than this many seconds are left.
    rate
        Bytes that earn one more second: who sends faster may go on.
    most
        Seconds of waiting altogether, however fast the bytes come.
    """

    def __init__(self, first: float, rest: float, *, rate: float, most: float = math.inf) -> None:
        self._rest = rest
        self._rate = rate
        self._most = most
        #: Whether a byte has come.
        self.begun = False
        #: Seconds left; none are when it is not above 0.
        self.left = min(first, most)

    def spend(self, seconds: float, count: int) -> None:
        """Take note of a wait, and of how many bytes ended it."""
        left = self.left - seconds
        self._most -= seconds
        if count and not self.begun:
            self.begun = True
            left = self._rest
        self.left = min(left + count / self._rate, self._rest if self.begun else left, self._most)
