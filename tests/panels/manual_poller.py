"""A manual poller: tests put snapshots in, move the time, and read what was requested."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from loops_nb.faults import Fault
from loops_nb.live import Priority, Query, Snapshot
from loops_nb.live.history import History
from loops_nb.live.listings import CheckpointsByRun, ListingCache
from loops_nb.live.queries import KINDS
from loops_nb.live.snapshot import CheckpointSelection, ListingStatus

NOW = 1_790_000_000_000.0


class Handle:
    def __init__(self, at: float, do: Callable[[], None]) -> None:
        self.at, self.do, self.is_pending = at, do, True

    def cancel(self) -> None:
        self.is_pending = False


class ManualPoller:
    """Replaces `loops_nb.live.Poller` where a test decides what comes when; everything happens on this thread."""

    def __init__(self, queries: tuple[Query, ...] = ()) -> None:
        self.interval = 2.0
        self.config: Any = SimpleNamespace(address=SimpleNamespace(url="http://127.0.0.1:1"))
        self.at = NOW
        self.timers: list[Handle] = []
        self.acts: list[tuple[Any, Callable[[object], None]]] = []
        self.refreshed = 0
        self.priority: Any = Priority.NONE
        self.closed = False
        self.current_fault: Fault | None = None
        self.queries = queries
        self._shelves: dict[str, ListingCache] = {kind: ListingCache(kind) for kind in KINDS}
        self._history = History()
        self._last: dict[str, float] = {}
        self._on_news: Callable[[Snapshot, bool], None] = lambda _board, _changed: None

    # What a panel calls.

    @property
    def now(self) -> float:
        return self.at / 1000

    def subscribe(
        self, queries: tuple[Query, ...], on_news: Callable[[Snapshot, bool], None], *, priority: Priority
    ) -> ManualPoller:
        self.queries, self._on_news, self.priority = tuple(queries), on_news, priority
        return self

    def post(self, do: Callable[[], None]) -> None:
        do()

    def call_later(self, seconds: float, do: Callable[[], None]) -> Handle:
        handle = Handle(self.at + seconds * 1000, do)
        self.timers.append(handle)
        return handle

    def send_and_refresh(self, call: Any, done: Callable[[object], None]) -> None:
        self.acts.append((call, done))

    def run_in_background(self, job: Callable[[], Any], done: Callable[[Any], None]) -> None:
        try:
            found = job()
        except Exception as error:  # noqa: BLE001 - as the poller does
            found = error
        done(found)

    def run_and_refresh(self, job: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self.run_in_background(job, done)

    def refresh(self) -> None:
        self.refreshed += 1

    def close(self) -> None:
        self.closed = True

    # What a test calls.

    @property
    def wall(self) -> float:
        return self.at / 1000

    def answer(
        self, listings: Mapping[str, list[dict[str, Any]]] | None = None, /, *, failing: str = "", **more: Any
    ) -> None:
        """Deliver the answers of one poll; an unnamed listing is unchanged, and ``failing`` says why nothing came."""
        changed = False
        for kind, items in {**(listings or {}), **more}.items():
            cache = self._shelves[kind]
            if cache.update(json.dumps({kind: items}).encode()):
                changed = True
                self._history.record(cache.kind, cache.changed, cache.removed, at=self.at, last=self._last.get(kind))
            self._last[kind] = self.at
        self._on_news(self.snapshot(failing), changed)

    def turn(self, seconds: float) -> None:
        """Let time pass; timers that are due are called."""
        self.at += seconds * 1000
        due = [timer for timer in self.timers if timer.is_pending and timer.at <= self.at]
        self.timers = [timer for timer in self.timers if timer.is_pending and timer.at > self.at]
        for timer in due:
            timer.is_pending = False
            timer.do()

    def wanted(self) -> Any:
        return self.priority

    def snapshot(self, failing: str = "") -> Snapshot:
        """Return what is known now."""
        checkpoints = CheckpointsByRun(self._shelves["checkpoints"].items)
        listings: dict[Query, dict[str, Any]] = {}
        found, standings = {}, {}
        for query in self.queries:
            known = query.kind in self._last
            standings[query] = ListingStatus(
                is_known=known,
                succeeded_at_ms=self._last.get(query.kind),
                requested_at=self._last.get(query.kind, 0.0),
                every=self.interval,
                is_refused=False,
                since=self.at if failing else None,
                next_at=self.at + 4000 if failing else None,
                reason=failing,
                hint="Check the network." if failing else "",
            )
            if query.kind == "checkpoints":
                found[query] = CheckpointSelection((checkpoints,), frozenset({query.run_id}) if query.run_id else None)
            else:
                listings[query] = self._shelves[query.kind].items
        return Snapshot(self.queries, listings, found, standings, self._history)
