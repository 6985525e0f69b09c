"""Snapshots of the polled listings: what a subscriber receives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from msgspec import Struct

from loops_nb.api.models import Checkpoint, Deployment, Run, Sampler
from loops_nb.live.history import History, Span
from loops_nb.live.listings import CheckpointsByRun, created_at
from loops_nb.live.queries import Kind, Query


class Health(Struct, frozen=True):
    """How fresh data is, and why it is not fresher.

    Parameters
    ----------
    state : str
        ``starting``: not every listing has been received.  ``live``.  ``failing``: the service does not answer, the
        last good data stays.  Of a panel also ``paused``, by the user, and ``over``: nothing can change any more, or
        the panel was closed or frozen.
    looked_at : float or None, default None
        When the newest successful response came, in epoch milliseconds; the oldest of these times of several listings.
    every : float, default 0.0
        Seconds between two polls now; 0 when nothing is polled.
    since : float or None, default None
        Since when it has been failing, in epoch milliseconds.
    next_at : float or None, default None
        When it is tried again, in epoch milliseconds.
    reason, hint : str, default ""
        What is wrong and what to do.
    """

    state: Literal["starting", "live", "failing", "paused", "over"]
    looked_at: float | None = None
    every: float = 0.0
    since: float | None = None
    next_at: float | None = None
    reason: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class ListingStatus:
    """State of the listings behind one query at the moment of a snapshot; fields as in `Listing` and `Health`."""

    is_known: bool
    succeeded_at_ms: float | None
    requested_at: float
    every: float
    is_refused: bool
    since: float | None
    next_at: float | None
    reason: str
    hint: str


@dataclass(frozen=True)
class CheckpointSelection:
    """The checkpoints of one query.

    Parameters
    ----------
    responses : tuple of CheckpointsByRun
        The responses that contain them.
    run_ids : frozenset, mapping or None
        Ids of the runs whose checkpoints are selected; None for all.
    """

    responses: tuple[CheckpointsByRun, ...]
    run_ids: frozenset[str] | Mapping[str, Run] | None

    @cached_property
    def items(self) -> dict[str, Checkpoint]:
        """The checkpoints by id."""
        wanted = self.run_ids
        items: dict[str, Checkpoint] = {}
        for response in self.responses:
            if wanted is None:
                items |= response.items
            elif len(wanted) == 1:
                (only,) = wanted
                items |= response.groups.get(only, {})
            else:
                items |= {key: item for key, item in response.items.items() if item.run_id in wanted}
        return items


class Snapshot:
    """Everything that a subscriber's queries cover, at one moment; it never changes.

    Parameters
    ----------
    queries : tuple of Query
        What it covers.
    listings, checkpoints, statuses : mapping
        Items, checkpoints and state of each query.
    history : History
        States of the past; shared between snapshots, and growing.

    Attributes
    ----------
    at : float
        When the newest data came, in epoch milliseconds; 0 before any did.
    """

    def __init__(
        self,
        queries: tuple[Query, ...],
        listings: Mapping[Query, dict[str, Any]],
        checkpoints: Mapping[Query, CheckpointSelection],
        statuses: Mapping[Query, ListingStatus],
        history: History,
    ) -> None:
        self._queries = queries
        self._listings = listings
        self._checkpoints = checkpoints
        self._statuses = statuses
        self._history = history
        self.at: float = max(
            (s.succeeded_at_ms for s in statuses.values() if s.succeeded_at_ms is not None), default=0.0
        )

    @property
    def queries(self) -> tuple[Query, ...]:
        """What it covers."""
        return self._queries

    @property
    def runs(self) -> dict[str, Run]:
        """The runs by id, in the service's order; an unchanged one is the same object as in the snapshot before."""
        return self._items("runs")

    @property
    def deployments(self) -> dict[str, Deployment]:
        """The deployments, as `runs`."""
        return self._items("deployments")

    @property
    def samplers(self) -> dict[str, Sampler]:
        """The samplers, as `runs`."""
        return self._items("samplers")

    def checkpoints(self, query: Query) -> dict[str, Checkpoint]:
        """Return the checkpoints of a query by id, in the service's order, base model by base model."""
        found = self._checkpoints.get(query)
        return found.items if found is not None else {}

    @cached_property
    def newest_checkpoints(self) -> Mapping[str, Checkpoint]:
        """The newest known checkpoint of each run that has one, by run id."""
        responses = dict.fromkeys(response for found in self._checkpoints.values() for response in found.responses)
        if len(responses) == 1:
            return next(iter(responses)).newest
        newest: dict[str, Checkpoint] = {}
        for response in responses:
            for run_id, checkpoint in response.newest.items():
                known = newest.get(run_id)
                if known is None or created_at(known) < created_at(checkpoint):
                    newest[run_id] = checkpoint
        return newest

    def newest_checkpoint(self, run_id: str) -> Checkpoint | None:
        """Return the newest known checkpoint of a run."""
        return self.newest_checkpoints.get(run_id)

    def is_known(self, query: Query) -> bool:
        """Tell whether a query was answered at least once; being refused is an answer."""
        status = self._statuses.get(query)
        return status is not None and status.is_known

    def is_refused(self, query: Query) -> bool:
        """Tell whether the service has no such listing for this key."""
        status = self._statuses.get(query)
        return status is not None and status.is_refused

    def is_since(self, moment: float) -> bool:
        """Tell whether all of it was requested at a moment of `Clock.now` or later."""
        return all(status.requested_at >= moment for status in self._statuses.values())

    def health(self, queries: Iterable[Query] | None = None) -> Health:
        """Return how fresh the data of some queries is, of all of them by default."""
        wanted = self._queries if queries is None else tuple(queries)
        statuses = {query: self._statuses[query] for query in wanted if query in self._statuses}
        if not statuses:
            return Health("starting")
        every = min((s.every for s in statuses.values() if s.every), default=0.0)
        looked_at = _looked_at(statuses)
        failing = [s for s in statuses.values() if s.reason and not s.is_refused]
        refused = {query: s for query, s in statuses.items() if s.is_refused}
        # Parts of the API may be missing for a key or on an older service, but not everything, and not the runs.
        if not failing and (len(refused) == len(statuses) or any(query.kind == "runs" for query in refused)):
            failing = list(refused.values())
        if failing:
            since = min((s.since for s in failing if s.since is not None), default=None)
            first = failing[0]
            return Health("failing", looked_at, every, since, first.next_at, first.reason, first.hint)
        is_complete = all(s.is_known for s in statuses.values())
        return Health("live" if is_complete else "starting", looked_at, every)

    def history(self, run_id: str) -> list[Span]:
        """Return the states of a run, of its deployment and of its sampler since they were first seen, oldest first."""
        run = self.runs.get(run_id)
        if run is None:
            return list(self._history.of("run", run_id))
        return self._history.of_run(run, self.deployments)

    def _items(self, kind: Kind) -> dict[str, Any]:
        return next((items for query, items in self._listings.items() if query.kind == kind), {})


def _looked_at(statuses: Mapping[Query, ListingStatus]) -> float | None:
    # Checkpoints are requested in turn: they are older than the rest by design.
    timed = [s for query, s in statuses.items() if query.kind != "checkpoints" and not s.is_refused]
    times = [s.succeeded_at_ms for s in timed or statuses.values() if s.succeeded_at_ms is not None]
    return min(times, default=None)
