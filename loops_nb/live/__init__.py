"""Live data of the service: one poller a connection, shared by panels and waiting calls.

Each listing is requested once an interval, however many subscribers need it.  Snapshots are delivered on one thread
that never prints or raises; what goes wrong is part of the snapshot (`Health`).

Where to look: `scheduler` (when a listing is requested, where polling slows down), `listings` (decoded objects),
`snapshot` and `history` (what subscribers receive), `poller` and `runtime` (threads), `wait` (blocking until a state).
"""

from __future__ import annotations

from loops_nb.live.history import Span, stuck_spans
from loops_nb.live.poller import Poller, poller_for, running_poller
from loops_nb.live.queries import Priority, Query
from loops_nb.live.snapshot import Health, Snapshot
from loops_nb.live.subscription import Subscription

__all__ = [
    "Health",
    "Poller",
    "Priority",
    "Query",
    "Snapshot",
    "Span",
    "Subscription",
    "poller_for",
    "running_poller",
    "stuck_spans",
]
