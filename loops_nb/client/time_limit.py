"""Time limit of an answer: a token bucket that waiting drains and bytes refill; no I/O."""

from __future__ import annotations

import math


class TimeLimit:
    """Seconds of waiting that an answer has left.

    A server that sends a byte now and then would never hit a time limit for silence.  Only waiting counts: a reader
    that pauses between two reads loses nothing.

    Parameters
    ----------
    first : float
        Seconds until the first byte.
    rest : float
        From the first byte on, at most this many seconds are left.
    rate : float
        Bytes that add one second.
    most : float, default inf
        Seconds of waiting in total, however fast the bytes arrive.
    """

    def __init__(self, first: float, rest: float, *, rate: float, most: float = math.inf) -> None:
        self._rest = rest
        self._rate = rate
        self._most = most
        #: Whether a byte has arrived.
        self.begun: bool = False
        #: Seconds left; the time is over at 0 or below.
        self.left: float = min(first, most)

    def spend(self, seconds: float, count: int) -> None:
        """Record a wait and the number of bytes that it brought."""
        left = self.left - seconds
        self._most -= seconds
        if count and not self.begun:
            self.begun = True
            left = self._rest
        self.left = min(left + count / self._rate, self._rest if self.begun else left, self._most)
