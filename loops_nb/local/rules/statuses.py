"""Statuses of runs, deployments and samplers: records their events and computes the status from them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from loops_nb.errors import one_line
from loops_nb.local.rules import lifecycle
from loops_nb.local.rules.lifecycle import StateChange, state_machine
from loops_nb.local.store.database import RecordStore
from loops_nb.local.store.records import (
    DeploymentRecord,
    Event,
    ModelDeploymentRecord,
    SamplerRecord,
    StatefulRecord,
    subject,
)

#: Calls in quick succession are one activity; how quick follows from the idle delay.
_RECENT_MS = 1_000


class _CachedStatus(NamedTuple):
    """A computed status: the event it follows from, and the time for which it holds."""

    last: Event
    since: int
    until: float
    state: str
    idle_ms: float
    queued: bool


class Statuses:
    """Record events and compute statuses.

    Parameters
    ----------
    store : RecordStore
        Holds the events.
    clock : callable
        Returns epoch milliseconds.
    speed : float
        How many times faster than on the hosted service states change.
    """

    def __init__(self, store: RecordStore, clock: Callable[[], int], *, speed: float) -> None:
        self.now = clock
        self.speed = speed
        self._store = store
        self._cache: dict[str, _CachedStatus] = {}

    def record(
        self,
        record: StatefulRecord,
        kind: str,
        *,
        note: str = "",
        idle_after_seconds: int | None = None,
        at: int | None = None,
    ) -> None:
        """Store an event, inside a transaction of the caller's; an event of the past (``at``) runs at real speed."""
        event = Event(
            at=self.now() if at is None else at,
            kind=kind,
            pace=self.speed if at is None else 1.0,
            idle_after_seconds=idle_after_seconds,
            note=one_line(note, limit=200),
        )
        self._store.add_event(subject(record), event)

    def touch(self, record: DeploymentRecord | SamplerRecord | ModelDeploymentRecord, note: str) -> str:
        """Record activity, which wakes what sleeps but not what is queued; return the status after it."""
        events = self._store.events(subject(record))
        status = self._status(record)
        if status.queued:
            return status.state
        machine = state_machine(record)
        recent = (
            bool(events) and events[-1].kind == "activity" and self.now() - events[-1].at < _recent_ms(status.idle_ms)
        )
        if status.state in machine.terminal or (recent and status.state != machine.asleep):
            return status.state
        with self._store.transaction():
            self.record(record, "activity", note=note)
        return self.of(record)

    def of(self, record: StatefulRecord) -> str:
        """Return the status now."""
        return self._status(record).state

    def is_queued(self, record: StatefulRecord) -> bool:
        """Return whether it waits until the service has room for its process."""
        return self._status(record).queued

    def has_ended(self, record: StatefulRecord) -> bool:
        """Return whether its status is final."""
        return self.of(record) in state_machine(record).terminal

    def history(self, record: StatefulRecord) -> list[StateChange]:
        """Return every change of state up to now, oldest first."""
        return lifecycle.history(state_machine(record), self._store.events(subject(record)), self.now())

    def _status(self, record: StatefulRecord) -> _CachedStatus:
        key, now = subject(record), self.now()
        events = self._store.events(key)
        known = self._cache.get(key)
        # A run that trains has thousands of events; replaying them for each line of a listing would take long.
        if known is None or not events or known.last is not events[-1] or not known.since <= now < known.until:
            found = lifecycle.compute_state(state_machine(record), events, now)
            until = math.inf if found.until is None else found.until
            known = _CachedStatus(events[-1], max(now, events[-1].at), until, found.state, found.idle_ms, found.queued)
            self._cache[key] = known
        return known


def _recent_ms(idle_ms: float) -> float:
    # A small part of the idle delay, so that hours of training are not thousands of events.
    return min(max(idle_ms / 20, min(_RECENT_MS, idle_ms / 4)), 30 * _RECENT_MS)
