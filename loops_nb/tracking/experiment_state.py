"""Whether an experiment is logged to, and how it ended."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import timedelta

from loops_nb.config.local_services import is_alive
from loops_nb.tracking.rows import SessionRow

#: States of an experiment.
STATES = ("running", "finished", "crashed", "stale")
#: An experiment without a recorded end is stale if nothing was written to it for so long.
STALE_AFTER = timedelta(minutes=30)
_STALE_MILLIS = STALE_AFTER // timedelta(milliseconds=1)


def state_of(last_at: int, sessions: Sequence[SessionRow], now: int, host: str) -> str:
    """Return the state of an experiment.

    Parameters
    ----------
    last_at : int
        When its newest point or mark was recorded; milliseconds since 1970.
    sessions : sequence of SessionRow
        The processes that wrote to it, the latest last.
    now : int
        The time in milliseconds since 1970.
    host : str
        Name of this machine.
    """
    unended = [of for of in sessions if of.outcome is None]
    if sessions and not any(of.host != host or is_alive(of.pid) for of in unended):
        return sessions[-1].outcome or "crashed"
    # Its process is alive, or on another machine, or unknown.
    newest = max(last_at, sessions[-1].at if sessions else 0)
    return "running" if now - newest < _STALE_MILLIS else "stale"


def live_process(sessions: Sequence[SessionRow]) -> int | None:
    """Return the id of a process on this machine that has the experiment open, however long it has been silent."""
    host = platform.node()
    found = [of.pid for of in sessions if of.outcome is None and of.host == host and is_alive(of.pid)]
    return found[-1] if found else None
