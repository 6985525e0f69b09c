"""What the service shows, kept fresh for whoever watches: one poller a connection.

However many panels and waiting scripts there are, each listing is asked for once an interval.  What came is handed to all of them on one
thread, which neither prints nor raises; what goes wrong is a state that they can show.
"""

from __future__ import annotations

from loops_nb.live.board import Board, Health
from loops_nb.live.history import Span
from loops_nb.live.needs import Attention, Need
from loops_nb.live.poller import Poller
from loops_nb.live.registry import poller_for, running_poller
from loops_nb.live.subscription import Subscription

__all__ = ["Attention", "Board", "Health", "Need", "Poller", "Span", "Subscription", "poller_for", "running_poller"]
