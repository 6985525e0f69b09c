"""Poll scheduling: when each listing is requested, and what its response means.  Pure, driven by an injected clock.

Polling slows down in `poll_interval`, failed requests back off in `backoff`, `RoundRobin` selects the checkpoints that
are requested next, and `PollScheduler` puts these together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from loops_nb.api.states import RUN_TERMINAL, status_name
from loops_nb.client.retry import backoff_seconds
from loops_nb.errors import (
    APIError,
    AuthenticationError,
    LoopsError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServiceUnreachableError,
)
from loops_nb.live.history import History
from loops_nb.live.listings import Listing
from loops_nb.live.queries import Kind, Priority, Query
from loops_nb.live.snapshot import CheckpointSelection, ListingStatus, Snapshot
from loops_nb.live.threads import Clock

DEFAULT_INTERVAL = 2.0
#: The longest time between two polls, in intervals.
SLOWEST = 5.0
#: Seconds after a change during which polling stays fast.
FAST_AFTER_CHANGE = 60.0
#: The same while something is in a transitional state; what has been in one for longer is stuck.
FAST_IN_TRANSITION = 1800.0
#: Seconds over which polling then slows down to `SLOWEST`.
SLOWDOWN_SECONDS = 240.0
MAX_BACKOFF = 30.0
REFUSED_KEY_SECONDS = 60.0
#: A longer Retry-After is a mistake of the service.
MAX_RETRY_AFTER = 3600.0
#: Seconds after which a request without a response counts as failed; a later response is used all the same.
OVERDUE_SECONDS = 20.0
#: Seconds between two polls of the checkpoints of runs that have ended.
ENDED_SECONDS = 300.0
#: So many requests for checkpoints are made without an interval between them: the first ones, and those of a refresh,
#: for which the end of a cell waits.
BURST = 20

#: Weights of the round robin.
_NAMED, _ALIVE, _ENDED, _UNWANTED = 3.0, 1.0, 0.01, 0.0
#: Listings that are due within so many intervals of each other are requested together.
_TOGETHER = 0.25
#: Checkpoints are requested in turn anyway: earlier or later by this much, they are requested with the rest, because a
#: poll that is delivered in two parts costs twice as much.
_CHECKPOINTS_TOGETHER = 0.5
#: A listing that was there counts as refused only after so many refusals in a row.
_REFUSALS_TO_BELIEVE = 3
#: Listings that are kept in memory although no subscriber needs them.
_MAX_UNUSED = 16
_NEVER = float("inf")
_LONG_AGO = float("-inf")


def poll_interval(interval: float, priority: Priority, *, unchanged_for: float, in_transition: bool) -> float:
    """Return the seconds between two polls; for `Priority.VISIBLE` they grow while nothing changes.

    Parameters
    ----------
    interval : float
        The shortest time.
    priority : Priority
        The highest of all subscribers.
    unchanged_for : float
        Seconds since the last change.
    in_transition : bool
        Whether something is in a state that leads to another one by itself.

    Examples
    --------
    >>> poll_interval(2.0, Priority.VISIBLE, unchanged_for=30.0, in_transition=False)
    2.0
    >>> poll_interval(2.0, Priority.VISIBLE, unchanged_for=180.0, in_transition=False)
    6.0
    """
    if priority is Priority.WAITING:
        return interval
    if priority is not Priority.VISIBLE:
        return interval * SLOWEST
    slow_for = unchanged_for - (FAST_IN_TRANSITION if in_transition else FAST_AFTER_CHANGE)
    factor = 1.0 + (SLOWEST - 1.0) * slow_for / SLOWDOWN_SECONDS
    return interval * min(SLOWEST, max(1.0, factor))


def backoff(interval: float, failures: int) -> float:
    """Return the seconds before the next try after a number of failures: exponential, with jitter in [0.5, 1.0)."""
    return backoff_seconds(failures, first=interval, longest=max(interval, MAX_BACKOFF))


class ConnectionState:
    """Trouble that concerns all listings: a refused key, an unreachable service, or a wait that the service asks for.

    Attributes
    ----------
    error : LoopsError or None
        What is wrong.
    since_ms : float or None
        Since when, in epoch milliseconds.
    hold_until : float
        Nothing is requested before this moment of `Clock.now`.
    """

    def __init__(self) -> None:
        self.error: LoopsError | None = None
        self.since_ms: float | None = None
        self.hold_until: float = _LONG_AGO
        self._failures = 0
        self._failed_at = _LONG_AGO

    def is_on_hold(self, now: float) -> bool:
        """Tell whether nothing may be requested now."""
        return self.error is not None and now < self.hold_until

    def end_hold(self, now: float) -> None:
        """Allow a request now, unless it was the service that asked for the wait."""
        if self.is_on_hold(now) and not _has_retry_after(self.error):
            self.hold_until = now

    def record_success(self, *, requested_at: float) -> None:
        """Record a successful response; one to a request from before the trouble says nothing about now."""
        if requested_at > self._failed_at:
            self.error = self.since_ms = None
            self._failures = 0

    def record_failure(
        self, error: LoopsError, *, requested_at: float, now: float, at_ms: float, interval: float
    ) -> bool:
        """Record an error; return whether it concerns the whole connection."""
        hold = self._hold_seconds(error, interval)
        if hold is None:
            return False
        if requested_at > self._failed_at or self.error is None:
            self._failures += 1
            self._failed_at = now
            if self.since_ms is None:
                self.since_ms = at_ms
            self.error, self.hold_until = error, now + hold
        elif _has_retry_after(error):
            # The request was in flight when the trouble began: that is one failure, not two.
            self.hold_until = max(self.hold_until, now + hold)
        return True

    def _hold_seconds(self, error: LoopsError, interval: float) -> float | None:
        if isinstance(error, AuthenticationError):
            return REFUSED_KEY_SECONDS
        if isinstance(error, APIError) and error.retry_after is not None:
            return min(MAX_RETRY_AFTER, max(error.retry_after, interval))
        if isinstance(error, RateLimitError) or (isinstance(error, ServiceUnreachableError) and error.nobody_listens):
            return backoff(interval, self._failures + 1)
        return None


def _has_retry_after(error: LoopsError | None) -> bool:
    return isinstance(error, APIError) and error.retry_after is not None


class RoundRobin:
    """Weighted round-robin over the listings of checkpoints.

    The API lists checkpoints by run or by base model, so "all checkpoints" are several requests.  One of them is made
    an interval, in turn: those that a subscriber names more often, models with ended runs only now and then.

    Parameters
    ----------
    listing_of : callable
        Returns the listing of a canonical query, the same one each time.

    Attributes
    ----------
    requested_at : float
        When the last request was made.
    """

    def __init__(self, listing_of: Callable[[Query], Listing]) -> None:
        self._listing_of = listing_of
        self._weights: dict[Listing, float] = {}
        self._by_query: dict[Query, tuple[Listing, ...]] = {}
        self._planned_for: object = None
        self.requested_at: float = _LONG_AGO
        self._burst_left = 0

    def plan(self, wanted: Mapping[Query, Priority], runs: Mapping[Query, Listing]) -> None:
        """Determine which requests there are.

        Parameters
        ----------
        wanted : mapping of Query to Priority
            The queries of checkpoints.
        runs : mapping of Query to Listing
            The listings of runs, by canonical query.
        """
        inputs = (dict(wanted), [(query, listing.cache.version) for query, listing in runs.items()])
        if inputs == self._planned_for:
            return
        self._planned_for = inputs
        active = {query for query, priority in wanted.items() if priority is not Priority.NONE}
        weights: dict[Listing, float] = {}
        self._by_query = {}
        for query in wanted:
            requests = self._requests(query, runs, is_only_one=len(active) <= 1)
            self._by_query[query] = tuple(map(self._listing_of, requests))
            for listing, weight in zip(self._by_query[query], requests.values(), strict=True):
                effective = weight if query in active else _UNWANTED
                weights[listing] = max(weights.get(listing, _UNWANTED), effective)
        for listing, weight in weights.items():
            if weight == _ENDED and self._weights.get(listing, _UNWANTED) > _ENDED:
                # The last thing that a run does is to save.
                listing.refresh_requested = True
        self._weights = weights
        self._burst_left = BURST

    def listings_of(self, query: Query) -> tuple[Listing, ...]:
        """Return the listings that cover a query."""
        return self._by_query.get(query, ())

    @property
    def listings(self) -> tuple[Listing, ...]:
        """All listings of checkpoints that are needed."""
        return tuple(self._weights)

    def allow_burst(self) -> None:
        """Let the next requests be made without an interval between them."""
        self._burst_left = BURST

    def next_due(self, every: float) -> float:
        """Return when the next request is due; ``every`` is the seconds between two."""
        if not self._weights or any(listing.in_flight and not listing.overdue for listing in self._weights):
            return _NEVER
        return min(self._due(listing, weight, every) for listing, weight in self._weights.items())

    def pick(self, now: float, every: float, *, slack: float = 0.0) -> Listing | None:
        """Return the listing to request now, if one is due within so many seconds."""
        if self.next_due(every) > now + slack:
            return None
        ready = [
            (listing, weight)
            for listing, weight in self._weights.items()
            if self._due(listing, weight, every) <= now + slack
        ]

        def rank(pair: tuple[Listing, float]) -> tuple[bool, float, float]:
            listing, weight = pair
            return listing.refresh_requested or listing.is_new, (now - listing.requested_at) * weight, weight

        listing, _ = max(ready, key=rank)
        if now - self.requested_at < every:
            self._burst_left -= 1
        self.requested_at = now
        return listing

    def _due(self, listing: Listing, weight: float, every: float) -> float:
        if listing.in_flight or (weight == _UNWANTED and not listing.refresh_requested):
            return _NEVER
        turn = self.requested_at + every
        if listing.refresh_requested or listing.is_new:
            return max(listing.not_before, _LONG_AGO if self._burst_left > 0 else turn)
        if weight == _ENDED:
            return max(turn, listing.not_before, listing.requested_at + ENDED_SECONDS)
        return max(turn, listing.not_before)

    def _requests(self, query: Query, runs: Mapping[Query, Listing], *, is_only_one: bool) -> dict[Query, float]:
        if query.base_model is not None:
            return {query.canonical: _NAMED}
        if query.run_id is not None:
            run = next((found for one in runs.values() if (found := one.cache.items.get(query.run_id))), None)
            if is_only_one or run is None or run.base_model is None:
                return {query.canonical: _NAMED}
            return {_of_model(run.base_model): _NAMED}
        listed = runs.get(query.listed_runs.canonical)
        return _of_all_runs(listed) if listed is not None else {}


def _of_all_runs(runs: Listing) -> dict[Query, float]:
    weights: dict[Query, float] = {}
    # Thousands of runs have few different models and states.
    for model, status in runs.run_counts:
        weight = _ENDED if status in RUN_TERMINAL else _ALIVE
        if model is not None:
            weights[_of_model(model)] = max(weight, weights.get(_of_model(model), _UNWANTED))
    for run in runs.cache.items.values():
        if run.base_model is None and status_name(run) not in RUN_TERMINAL:
            weights[Query("checkpoints", run_id=run.id)] = _ALIVE
    return weights


@lru_cache(maxsize=1024)
def _of_model(name: str) -> Query:
    return Query("checkpoints", base_model=name)


class PollScheduler:
    """The listings of one connection: which are requested when, and what is known of them.

    Parameters
    ----------
    clock : Clock
        Current time.
    address : str
        Of the service, for error messages.

    Attributes
    ----------
    interval : float
        Seconds between two polls while something changes.
    history : History
        States of the past.
    """

    def __init__(self, clock: Clock, address: str) -> None:
        self.interval = DEFAULT_INTERVAL
        self.history: History = History()
        self._clock = clock
        self._address = address
        self._listings: dict[Query, Listing] = {}
        #: Priorities of all listings but those of checkpoints, and of the queries of checkpoints.
        self._wanted: dict[Listing, Priority] = {}
        self._wanted_checkpoints: dict[Query, Priority] = {}
        self._round_robin = RoundRobin(self._listing)
        #: Queries to refresh as soon as it is known which requests that takes.
        self._to_refresh: set[Query] = set()
        self._connection = ConnectionState()

    # What is needed

    def set_demand(self, demands: Iterable[tuple[Sequence[Query], Priority]]) -> None:
        """Replace what is needed by the queries and priorities of all subscribers."""
        listings: dict[Query, Priority] = {}
        self._wanted_checkpoints = {}
        for queries, priority in demands:
            for query in queries:
                if query.kind == "checkpoints":
                    _raise_to(self._wanted_checkpoints, query, priority)
                    if query.is_all_checkpoints:
                        _raise_to(listings, query.listed_runs.canonical, priority)
                else:
                    _raise_to(listings, query.canonical, priority)
        self._wanted = {self._listing(query): priority for query, priority in listings.items()}
        self._plan()

    def refresh(self, queries: Iterable[Query]) -> None:
        """Request these as soon as possible, whatever their interval; a wait that the service asked for is kept."""
        self._connection.end_hold(self._clock.now())
        self._round_robin.allow_burst()
        for query in queries:
            for listing in self.listings_of(query):
                listing.refresh_requested, listing.not_before = True, _LONG_AGO
            if query.is_all_checkpoints and not self._listing(query.listed_runs.canonical).is_known:
                self._to_refresh.add(query)

    def refresh_all(self) -> None:
        """Request everything that is needed as soon as possible."""
        for listing, priority in self._wanted.items():
            if priority is not Priority.NONE:
                listing.refresh_requested = True
        for query, priority in self._wanted_checkpoints.items():
            if priority is not Priority.NONE and not query.is_all_checkpoints:
                for listing in self._round_robin.listings_of(query):
                    listing.refresh_requested = True

    def listings_of(self, query: Query) -> tuple[Listing, ...]:
        """Return the listings that cover a query now."""
        if query.kind != "checkpoints":
            return (self._listing(query.canonical),)
        checkpoints = self._round_robin.listings_of(query)
        if query.is_all_checkpoints:
            return (self._listing(query.listed_runs.canonical), *checkpoints)
        return checkpoints

    # When

    def next_deadline(self) -> float:
        """Return when something has to be done next, by `Clock.now`."""
        polls = min((self._due(listing, priority) for listing, priority in self._wanted.items()), default=_NEVER)
        polls = min(polls, self._checkpoints_due(polls))
        if self._connection.error is not None:
            polls = _NEVER if self._is_probing() else max(polls, self._connection.hold_until)
        overdue = (listing.requested_at + OVERDUE_SECONDS for listing in self._awaited())
        return min(polls, min(overdue, default=_NEVER))

    def take_due(self) -> list[Listing]:
        """Return the listings to request now; they count as requested."""
        now = self._clock.now()
        if self._connection.is_on_hold(now) or self._is_probing():
            return []
        due = {listing: self._due(listing, priority) for listing, priority in self._wanted.items()}
        first = min(due.values(), default=_NEVER)
        if min(first, self._checkpoints_due(first)) > now:
            return []
        taken = [listing for listing, at in due.items() if at <= now + self.interval * _TOGETHER]
        every = self._checkpoint_interval()
        checkpoints = self._round_robin.pick(now, every, slack=every * _CHECKPOINTS_TOGETHER if taken else 0.0)
        if checkpoints is not None:
            taken.append(checkpoints)
        if self._connection.error is not None:
            # One request finds out whether the service works again.
            taken = taken[:1]
        for listing in taken:
            listing.requested_at = now
            listing.in_flight, listing.overdue, listing.refresh_requested = True, False, False
        return taken

    def take_overdue(self) -> list[Listing]:
        """Return the listings whose response is newly overdue; they count as failed."""
        now = self._clock.now()
        overdue = [listing for listing in self._awaited() if now >= listing.requested_at + OVERDUE_SECONDS]
        for listing in overdue:
            listing.overdue = True
            error = ServiceUnreachableError(
                f"Could not {listing.request.description}: no answer from {self._address} within "
                f"{OVERDUE_SECONDS:g} s.",
                hint="It may be busy; this goes on by itself when the answer comes.",
            )
            listing.record_failure(error, at_ms=self._clock.epoch_ms(), not_before=now)
        return overdue

    @property
    def is_failing(self) -> bool:
        """Whether there is trouble with the connection as a whole."""
        return self._connection.error is not None

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do now or later."""
        return self.next_deadline() == _NEVER

    # What came

    def handle_response(self, listing: Listing, response: bytes | LoopsError) -> bool:
        """Record a response or an error; return whether the data differs now."""
        now, at_ms = self._clock.now(), self._clock.epoch_ms()
        listing.in_flight, listing.responded_at = False, now
        try:
            if not isinstance(response, bytes):
                raise response
            changed = listing.cache.update(response)
        except LoopsError as error:
            return self._handle_failure(listing, error, now, at_ms)
        self._connection.record_success(requested_at=listing.requested_at)
        last_ms = listing.succeeded_at_ms
        listing.is_refused = False
        listing.record_success(at_ms=at_ms)
        if changed:
            self._handle_change(listing, now, at_ms, last_ms)
        return changed

    def snapshot(self, queries: tuple[Query, ...]) -> Snapshot:
        """Return what is known now of some queries."""
        listings = {
            query: self._listing(query.canonical).cache.items for query in queries if query.kind != "checkpoints"
        }
        checkpoints = {query: self._select(query) for query in queries if query.kind == "checkpoints"}
        statuses = {query: self._status(query) for query in queries}
        return Snapshot(queries, listings, checkpoints, statuses, self.history)

    def known_items(self, kind: Kind) -> tuple[Mapping[str, Any], ...]:
        """Return what is known of a kind, one mapping a listing; from any thread."""
        # One step for the interpreter, so that it needs no lock.
        listings = list(self._listings.values())
        return tuple(listing.cache.items for listing in listings if listing.query.kind == kind)

    def concerns(self, listing: Listing, queries: Iterable[Query]) -> bool:
        """Tell whether a listing belongs to these queries."""
        return any(listing in self.listings_of(query) for query in queries)

    def is_complete(self, queries: Iterable[Query]) -> bool:
        """Tell whether no response is awaited for these queries."""
        return not any(listing.in_flight and not listing.overdue for listing in self._all_of(queries))

    def has_something_to_deliver(self, queries: Iterable[Query]) -> bool:
        """Tell whether data of these queries is known, or why it is not."""
        return self.is_failing or any(
            listing.is_known or listing.error is not None for listing in self._all_of(queries)
        )

    def version(self, queries: Iterable[Query]) -> tuple[tuple[Query, int], ...]:
        """Return a value that is equal as long as the data of these queries is."""
        return tuple((listing.query, listing.cache.version) for listing in self._all_of(queries))

    # Private

    def _listing(self, query: Query) -> Listing:
        listing = self._listings.get(query)
        if listing is None:
            listing = self._listings[query] = Listing.of(query)
        return listing

    def _all_of(self, queries: Iterable[Query]) -> Iterator[Listing]:
        for query in queries:
            yield from self.listings_of(query)

    def _awaited(self) -> list[Listing]:
        return [listing for listing in self._listings.values() if listing.in_flight and not listing.overdue]

    def _is_probing(self) -> bool:
        connection = self._connection
        return connection.error is not None and any(
            listing.requested_at >= connection.hold_until for listing in self._awaited()
        )

    def _plan(self) -> None:
        runs = {query: listing for query, listing in self._listings.items() if query.kind == "runs"}
        self._round_robin.plan(self._wanted_checkpoints, runs)
        ready = {query for query in self._to_refresh if self._listing(query.listed_runs.canonical).is_known}
        self._to_refresh -= ready
        for query in ready:
            for listing in self._round_robin.listings_of(query):
                listing.refresh_requested = True
        self._drop_unused()

    def _drop_unused(self) -> None:
        # Listings of closed panels are kept for the next panels, but not all of them.
        used = {*self._wanted, *self._all_of(self._wanted_checkpoints)}
        unused = [query for query, listing in self._listings.items() if listing not in used and not listing.in_flight]
        for query in unused[:-_MAX_UNUSED]:
            del self._listings[query]

    def _checkpoints_due(self, others: float) -> float:
        """Return when checkpoints are due, given when the first of the other listings is."""
        every = self._checkpoint_interval()
        at = self._round_robin.next_due(every)
        # Only what waits for its turn can also wait for the others.
        is_in_turn = self._round_robin.requested_at + every <= at
        if is_in_turn and at <= others <= at + every * _CHECKPOINTS_TOGETHER:
            return others
        return at

    def _checkpoint_interval(self) -> float:
        priority = max(self._wanted_checkpoints.values(), default=Priority.NONE)
        return self._interval(priority, self._round_robin.requested_at)

    def _interval(self, priority: Priority, now: float) -> float:
        changed_at = max((listing.changed_at for listing in self._listings.values()), default=_LONG_AGO)
        in_transition = any(listing.has_transitions for listing in (*self._wanted, *self._round_robin.listings))
        return poll_interval(self.interval, priority, unchanged_for=now - changed_at, in_transition=in_transition)

    def _due(self, listing: Listing, priority: Priority) -> float:
        if listing.in_flight:
            return _NEVER
        if listing.refresh_requested:
            return listing.not_before
        if priority is Priority.NONE:
            return _NEVER
        if listing.error is not None:
            return listing.not_before
        # As of the last poll, so that it does not move away while it is waited for.
        every = self._interval(priority, listing.responded_at)
        # A service that takes long to answer is not asked again at once.
        return max(listing.not_before, listing.requested_at + every, listing.responded_at + every / 2)

    def _handle_change(self, listing: Listing, now: float, at_ms: float, last_ms: float | None) -> None:
        listing.record_change(now)
        self.history.record(listing.query.kind, listing.cache.changed, listing.cache.removed, at=at_ms, last=last_ms)
        if listing.query.kind == "runs":
            self._plan()

    def _handle_failure(self, listing: Listing, error: LoopsError, now: float, at_ms: float) -> bool:
        if isinstance(error, PermissionDeniedError | NotFoundError) and self._is_believable(listing):
            return self._refuse(listing, error, now, at_ms)
        concerns_connection = self._connection.record_failure(
            error, requested_at=listing.requested_at, now=now, at_ms=at_ms, interval=self.interval
        )
        if concerns_connection:
            listing.forget_request()
        else:
            retry_at = now + backoff(self.interval, listing.failures + 1)
            listing.record_failure(error, at_ms=at_ms, not_before=retry_at)
        return False

    def _refuse(self, listing: Listing, error: LoopsError, now: float, at_ms: float) -> bool:
        last_ms, was_refused = listing.succeeded_at_ms, listing.is_refused
        changed = listing.cache.clear()
        listing.record_failure(error, at_ms=at_ms, not_before=now + REFUSED_KEY_SECONDS)
        listing.succeeded_at_ms, listing.succeeded_request_at = at_ms, listing.requested_at
        listing.is_refused = True
        if changed and not was_refused:
            self._handle_change(listing, now, at_ms, last_ms)
        return changed

    def _is_believable(self, listing: Listing) -> bool:
        """Tell whether a refusal means that there is no such listing for this key; never so of runs that were there."""
        if listing.succeeded_at_ms is None or listing.is_refused:
            return True
        if listing.error is None or listing.query.kind == "runs":
            return False
        return listing.failures + 1 >= _REFUSALS_TO_BELIEVE

    def _select(self, query: Query) -> CheckpointSelection:
        if query.run_id is not None:
            return CheckpointSelection((self._freshest(query).checkpoints,), frozenset({query.run_id}))
        responses = tuple(listing.checkpoints for listing in self._round_robin.listings_of(query))
        if query.base_model is not None:
            return CheckpointSelection(responses, None)
        return CheckpointSelection(responses, self._listing(query.listed_runs.canonical).cache.items)

    def _freshest(self, query: Query) -> Listing:
        """Return the newest listing with a run's checkpoints: another subscriber may need all of its base model."""
        candidates = [self._listing(query.canonical), *self._round_robin.listings_of(query)]
        return max(candidates, key=lambda listing: listing.succeeded_at_ms or _LONG_AGO)

    def _status(self, query: Query) -> ListingStatus:
        listings = self.listings_of(query)
        priority = self._wanted_checkpoints.get(query)
        if query.kind != "checkpoints":
            priority = self._wanted.get(self._listing(query.canonical))
        elif query.run_id is not None and (freshest := self._freshest(query)).is_known:
            listings = (freshest,)
        every = 0.0
        if priority is not None and priority is not Priority.NONE:
            every = self._interval(priority, self._clock.now())
        error, since_ms, retry_at, is_refused = self._trouble(listings)
        next_ms = None
        if error is not None:
            next_ms = self._clock.epoch_ms() + max(0.0, retry_at - self._clock.now()) * 1000.0
        return ListingStatus(
            is_known=all(listing.is_known for listing in listings),
            succeeded_at_ms=max((s.succeeded_at_ms for s in listings if s.succeeded_at_ms is not None), default=None),
            requested_at=min((listing.succeeded_request_at for listing in listings), default=_LONG_AGO),
            every=every,
            is_refused=is_refused,
            since=since_ms,
            next_at=next_ms,
            reason=error.message if error is not None else "",
            hint=error.hint if error is not None else "",
        )

    def _trouble(self, listings: Sequence[Listing]) -> tuple[LoopsError | None, float | None, float, bool]:
        """Return the worst error of some listings, since when, when it is tried again, and whether it is a refusal."""
        connection = self._connection
        if connection.error is not None:
            return connection.error, connection.since_ms, connection.hold_until, False
        failing = [listing for listing in listings if listing.error is not None]
        if not failing:
            return None, None, _NEVER, False
        worst = min(failing, key=lambda listing: listing.is_refused)
        return worst.error, worst.failing_since_ms, worst.not_before, worst.is_refused


def _raise_to(priorities: dict[Query, Priority], query: Query, priority: Priority) -> None:
    priorities[query] = max(priority, priorities.get(query, priority))
