"""How long to wait between two looks; pure functions of the time."""

from __future__ import annotations

import random

from loops_nb.live.needs import Attention

DEFAULT_INTERVAL = 2.0
SLOWEST = 5.0
#: Seconds for which a change keeps the pace up.
FAST_AFTER_A_CHANGE = 60.0
#: The same while something is on its way to another state; what has been on its way for longer is stuck.
FAST_WHILE_UNDER_WAY = 1800.0
#: Seconds over which it then slows down.
SLOWING = 240.0
LONGEST_BACKOFF = 30.0
AFTER_A_REFUSED_KEY = 60.0
#: A longer Retry-After is a mistake of somebody's, and nobody would wait for it.
LONGEST_ASKED = 3600.0


def seconds_between(interval: float, attention: Attention, *, still: float, under_way: bool) -> float:
    """Return the seconds between two looks.

    Parameters
    ----------
    interval
        The shortest time.
    attention
        The greatest of those who want to know.
    still
        Seconds since the last change.
    under_way
        Whether something is in a state that leads to another one.
    """
    if attention is Attention.WAITING:
        return interval
    if attention is not Attention.WATCHED:
        return interval * SLOWEST
    calm = still - (FAST_WHILE_UNDER_WAY if under_way else FAST_AFTER_A_CHANGE)
    return interval * min(SLOWEST, max(1.0, 1.0 + (SLOWEST - 1.0) * calm / SLOWING))


def backoff(interval: float, failures: int) -> float:
    """Return the seconds before it is tried again after so many failures in a row: doubling, the upper half at random."""
    doubled = min(LONGEST_BACKOFF, interval * 2.0 ** min(failures - 1, 30))
    return max(interval, doubled) * random.uniform(0.5, 1.0)  # noqa: S311 - spreading load, not guarding a secret
