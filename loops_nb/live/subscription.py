"""A subscriber of a poller."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from loops_nb.live.queries import Priority, Query
from loops_nb.live.snapshot import Snapshot

OnSnapshot = Callable[[Snapshot, bool], None]
#: Longest wait in `Subscription.close` for a call that is running.
_MAX_CLOSE_SECONDS = 5.0


class Subscription:
    """Receives snapshots of some queries; made by `Poller.subscribe`.

    Parameters
    ----------
    queries : iterable of Query
        What the snapshots cover.
    on_snapshot : callable
        Called on the poller's thread with a `Snapshot`, and whether its data differs from the one before.
    priority : Priority
        How often the data is needed.
    on_change : callable
        Called from any thread when queries or priority are set, and when it is closed.
    on_refresh : callable
        Called from any thread by `refresh`.

    Attributes
    ----------
    deadline : float or None
        When the next snapshot is delivered at the latest; for the poller.
    is_refreshing : bool
        Whether snapshots are delivered although the priority is `Priority.NONE`; for the poller.
    """

    def __init__(
        self,
        queries: Iterable[Query],
        on_snapshot: OnSnapshot,
        priority: Priority,
        *,
        on_change: Callable[[Subscription], None],
        on_refresh: Callable[[Subscription], None],
    ) -> None:
        self._queries = tuple(dict.fromkeys(queries))
        self._priority = Priority(priority)
        self._on_snapshot = on_snapshot
        self._on_change = on_change
        self._on_refresh = on_refresh
        self._delivering = threading.RLock()
        self._closed = False
        self._delivered_version: object = None
        self.deadline: float | None = None
        self.is_refreshing = False

    @property
    def queries(self) -> tuple[Query, ...]:
        """What the snapshots cover; can be set."""
        return self._queries

    @queries.setter
    def queries(self, queries: Iterable[Query]) -> None:
        self._queries = tuple(dict.fromkeys(queries))
        self._on_change(self)

    @property
    def priority(self) -> Priority:
        """How often the data is needed; can be set from any thread."""
        return self._priority

    @priority.setter
    def priority(self, priority: Priority) -> None:
        if priority is not self._priority:
            self._priority = Priority(priority)
            self._on_change(self)

    @property
    def has_delivered(self) -> bool:
        """Whether a snapshot was delivered."""
        return self._delivered_version is not None

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def refresh(self) -> None:
        """Poll now, whatever the priority; the snapshot is delivered as always."""
        self._on_refresh(self)

    def close(self) -> None:
        """Deliver nothing any more once this returns.  Calling it again changes nothing."""
        if self._closed:
            return
        self._closed = True
        # Waits for a call that is running; from within that call it passes at once.
        if self._delivering.acquire(timeout=_MAX_CLOSE_SECONDS):
            self._delivering.release()
        self._on_change(self)

    def deliver(self, snapshot: Snapshot, version: object) -> None:
        """Call the subscriber; for the poller.

        Parameters
        ----------
        snapshot : Snapshot
            What is delivered.
        version : object
            Equal for snapshots with the same data.

        Raises
        ------
        BaseException
            What the subscriber raised.
        """
        with self._delivering:
            if self._closed:
                return
            changed = version != self._delivered_version
            self._delivered_version, self.deadline = version, None
            self._on_snapshot(snapshot, changed)
