"""What is to be asked when, and what an answer means; it reads a clock, and makes no request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from loops_nb.errors import LoopsError, NotFoundError, PermissionDeniedError, ServiceUnreachableError
from loops_nb.live.board import Board, Found, Standing
from loops_nb.live.clock import Clock
from loops_nb.live.connection import Connection
from loops_nb.live.history import History
from loops_nb.live.needs import Attention, Kind, Need
from loops_nb.live.pace import AFTER_A_REFUSED_KEY, DEFAULT_INTERVAL, backoff, seconds_between
from loops_nb.live.rota import Rota
from loops_nb.live.source import Source

#: An answer that takes longer counts as none; when it comes after all, it is welcome.
OVERDUE = 20.0
#: Looks that fall due so close to one another (in intervals) are made at once.
_TOGETHER = 0.25
#: Checkpoints come in turn anyway: half an interval sooner or later they go with the rest, for a look told in two parts costs twice.
_TOGETHER_IN_TURN = 0.5
#: A listing that once was there is refused only when it is refused again and again.
_REFUSALS_TO_BELIEVE = 3
_NEVER = float("inf")


class Agenda:
    """The listings of one connection.

    Parameters
    ----------
    clock
        Tells the time.
    where
        The address, for error texts.

    Attributes
    ----------
    interval
        Seconds between two looks while something changes.
    history
        States of the past.
    """

    def __init__(self, clock: Clock, where: str) -> None:
        self.interval = DEFAULT_INTERVAL
        self.history = History()
        self._clock = clock
        self._where = where
        self._sources: dict[Need, Source] = {}
        self._plain: dict[Source, Attention] = {}
        self._aims: dict[Need, Attention] = {}
        self._rota = Rota(self._source)
        #: Wanted once, but it is not known yet which requests that takes.
        self._to_refresh: set[Need] = set()
        self._connection = Connection()

    # What is wanted

    def want(self, wishes: Iterable[tuple[Sequence[Need], Attention]]) -> None:
        """Take in who wants what; replaces what was wanted before."""
        plain: dict[Need, Attention] = {}
        self._aims = {}
        for needs, attention in wishes:
            for need in needs:
                if need.kind == "checkpoints":
                    self._aims[need] = max(attention, self._aims.get(need, attention))
                if need.kind != "checkpoints" or need.is_all_checkpoints:
                    listing = need.listed_runs.plain if need.kind == "checkpoints" else need.plain
                    plain[listing] = max(attention, plain.get(listing, attention))
        self._plain = {self._source(need): attention for need, attention in plain.items()}
        self._plan()

    def refresh(self, needs: Iterable[Need]) -> None:
        """Ask for these as soon as possible, whatever the pace; a wait that the service asked for is kept."""
        self._connection.hurry(self._clock.now())
        for need in needs:
            for source in self.sources_of(need):
                source.ask_now, source.not_before = True, float("-inf")
            if need.is_all_checkpoints and not self._source(need.listed_runs.plain).is_known:
                self._to_refresh.add(need)

    def refresh_all(self) -> None:
        """Ask for everything that somebody watches as soon as possible."""
        for source, attention in self._plain.items():
            source.ask_now |= attention is not Attention.ASLEEP
        for aim, attention in self._aims.items():
            if attention is not Attention.ASLEEP and not aim.is_all_checkpoints:
                for source in self._rota.sources_of(aim):
                    source.ask_now = True

    def sources_of(self, need: Need) -> tuple[Source, ...]:
        """Return the requests that serve a need now."""
        if need.kind == "checkpoints":
            listing = (self._source(need.listed_runs.plain),) if need.is_all_checkpoints else ()
            return (*listing, *self._rota.sources_of(need))
        return (self._source(need.plain),)

    # When

    def next_at(self) -> float:
        """Return when something is to be done next, by `Clock.now`."""
        looks = min((self._due(source, attention) for source, attention in self._plain.items()), default=_NEVER)
        looks = min(looks, self._in_turn(looks))
        if self._connection.error is not None:
            looks = _NEVER if self._is_probing() else max(looks, self._connection.hold_until)
        late = (source.asked_at + OVERDUE for source in self._sources.values() if source.in_flight and not source.overdue)
        return min(looks, min(late, default=_NEVER))

    def start(self) -> list[Source]:
        """Return the requests to make now; they count as made."""
        now = self._clock.now()
        if self._connection.holds(now) or self._is_probing():
            return []
        slack = self.interval * _TOGETHER
        due = {source: self._due(source, attention) for source, attention in self._plain.items()}
        # Whoever is due first, the others come along.
        first = min(due.values(), default=_NEVER)
        in_turn = self._in_turn(first)
        begins = min(first, in_turn) <= now
        ready = [source for source, at in due.items() if at <= now + slack] if begins else []
        between = self._between_checkpoints()
        along = between * _TOGETHER_IN_TURN if ready else 0.0
        checkpoints = self._rota.pick(now, between, slack=along) if begins else None
        if checkpoints is not None:
            ready.append(checkpoints)
        if self._connection.error is not None:
            # One request finds out whether it works again.
            ready = ready[:1]
        for source in ready:
            source.asked_at, source.in_flight, source.overdue, source.ask_now = now, True, False, False
        return ready

    @property
    def is_failing(self) -> bool:
        """Whether there is trouble with the connection as a whole."""
        return self._connection.error is not None

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do, and there will not be by itself."""
        return self.next_at() == _NEVER

    # What came

    def answered(self, source: Source, body: bytes | LoopsError) -> bool:
        """Take an answer in; tell whether the data is different now."""
        now, at_ms = self._clock.now(), self._clock.epoch_ms()
        source.in_flight, source.answered_at = False, now
        try:
            if not isinstance(body, bytes):
                raise body
            changed = source.shelf.put(body)
        except LoopsError as error:
            return self._failed(source, error, now, at_ms)
        self._connection.works(asked_at=source.asked_at)
        last = source.good_at
        source.refused = False
        source.good(at_ms=at_ms)
        if changed:
            self._changed(source, now, at_ms, last)
        return changed

    def late(self) -> list[Source]:
        """Return the requests whose answer is newly overdue; they count as failed."""
        now = self._clock.now()
        late = [s for s in self._sources.values() if s.in_flight and not s.overdue and now >= s.asked_at + OVERDUE]
        for source in late:
            source.overdue = True
            error = ServiceUnreachableError(
                f"Could not {source.call.does}: no answer from {self._where} within {OVERDUE:g} s.",
                hint="It may be busy; this goes on by itself when the answer comes.",
            )
            source.bad(error, at_ms=self._clock.epoch_ms(), not_before=now)
        return late

    def board(self, needs: tuple[Need, ...]) -> Board:
        """Return a snapshot of what some needs cover."""
        listings = {need: self._source(need.plain).shelf.items for need in needs if need.kind != "checkpoints"}
        found = {need: self._found(need) for need in needs if need.kind == "checkpoints"}
        return Board(needs, listings, found, {need: self._standing(need) for need in needs}, self.history)

    def listed(self, kind: Kind) -> tuple[Mapping[str, Any], ...]:
        """Return what is known of a kind, one mapping a listing.  Any thread may call it."""
        # One step for the interpreter, so that it needs no lock.
        sources = list(self._sources.values())
        return tuple(source.shelf.items for source in sources if source.need.kind == kind)

    def concerns(self, source: Source, needs: Iterable[Need]) -> bool:
        """Tell whether an answer of a source is news for these needs."""
        return any(source in self.sources_of(need) for need in needs)

    def is_whole(self, needs: Iterable[Need]) -> bool:
        """Tell whether no answer is awaited for these needs."""
        return not any(source.in_flight and not source.overdue for need in needs for source in self.sources_of(need))

    def has_news(self, needs: Iterable[Need]) -> bool:
        """Tell whether there is anything to say about these needs: data, or why there is none."""
        return self.is_failing or any(s.is_known or s.error is not None for need in needs for s in self.sources_of(need))

    def version(self, needs: Iterable[Need]) -> tuple[tuple[Need, int], ...]:
        """Return what is equal as long as the data of these needs is."""
        return tuple((source.need, source.shelf.version) for need in needs for source in self.sources_of(need))

    # Within

    def _is_probing(self) -> bool:
        held = self._connection
        return held.error is not None and any(
            s.in_flight and not s.overdue and s.asked_at >= held.hold_until for s in self._sources.values()
        )

    def _source(self, need: Need) -> Source:
        source = self._sources.get(need)
        if source is None:
            source = self._sources[need] = Source.of(need)
        return source

    def _plan(self) -> None:
        listings = {need: source for need, source in self._sources.items() if need.kind == "runs"}
        self._rota.plan(self._aims, listings)
        ready = {aim for aim in self._to_refresh if self._source(aim.listed_runs.plain).is_known}
        self._to_refresh -= ready
        for source in (source for aim in ready for source in self._rota.sources_of(aim)):
            source.ask_now = True
        self._forget()

    def _forget(self) -> None:
        # The listings of panels that were closed stay for the next ones; but not for ever.
        needed = {*self._plain, *(source for aim in self._aims for source in self.sources_of(aim))}
        spare = [need for need, source in self._sources.items() if source not in needed and not source.in_flight]
        for need in spare[:-16]:
            del self._sources[need]

    def _in_turn(self, plain: float) -> float:
        """Return when checkpoints are due, given when the first of the other listings is."""
        between = self._between_checkpoints()
        at = self._rota.due(between)
        # What does not wait for its turn does not wait for the others either.
        waits = self._rota.asked_at + between <= at <= plain <= at + between * _TOGETHER_IN_TURN
        return plain if waits else at

    def _between_checkpoints(self) -> float:
        return self._every(max(self._aims.values(), default=Attention.ASLEEP), self._rota.asked_at)

    def _every(self, attention: Attention, now: float) -> float:
        still = now - max((source.changed_at for source in self._sources.values()), default=float("-inf"))
        under_way = any(source.under_way for source in (*self._plain, *self._rota.queries))
        return seconds_between(self.interval, attention, still=still, under_way=under_way)

    def _due(self, source: Source, attention: Attention) -> float:
        if source.in_flight:
            return _NEVER
        if source.ask_now:
            return source.not_before
        if attention is Attention.ASLEEP:
            return _NEVER
        if source.error is not None:
            return source.not_before
        # As of the last look, so that it does not move away while it is waited for.
        every = self._every(attention, source.answered_at)
        # A service that takes long to answer is not asked again at once.
        return max(source.not_before, source.asked_at + every, source.answered_at + every / 2)

    def _changed(self, source: Source, now: float, at_ms: float, last: float | None) -> None:
        source.changed(now)
        self.history.saw(source.need.kind, source.shelf.fresh, source.shelf.gone, at=at_ms, last=last)
        if source.need.kind == "runs":
            self._plan()

    def _failed(self, source: Source, error: LoopsError, now: float, at_ms: float) -> bool:
        if isinstance(error, PermissionDeniedError | NotFoundError) and self._believes(source):
            last, known = source.good_at, source.refused
            changed = source.shelf.clear()
            source.bad(error, at_ms=at_ms, not_before=now + AFTER_A_REFUSED_KEY)
            source.good_at, source.good_asked_at, source.refused = at_ms, source.asked_at, True
            if changed and not known:
                self._changed(source, now, at_ms, last)
            return changed
        if self._connection.failed(error, asked_at=source.asked_at, now=now, at_ms=at_ms, interval=self.interval):
            source.ask_anew()
        else:
            source.bad(error, at_ms=at_ms, not_before=now + backoff(self.interval, source.failures + 1))
        return False

    def _believes(self, source: Source) -> bool:
        """Tell whether a refusal means that there is no such listing for this key; of runs that were there, it never does."""
        first = source.good_at is None or source.refused
        again = source.error is not None and source.failures + 1 >= _REFUSALS_TO_BELIEVE
        return first or (again and source.need.kind != "runs")

    def _found(self, need: Need) -> Found:
        if need.is_all_checkpoints:
            listed = self._source(need.listed_runs.plain).shelf.items
            return Found(tuple(source.by_run for source in self._rota.sources_of(need)), listed)
        if need.base_model is not None:
            return Found(tuple(source.by_run for source in self._rota.sources_of(need)), None)
        return Found((self._freshest(need).by_run,), frozenset({need.run_id or ""}))

    def _freshest(self, need: Need) -> Source:
        """Return the best source of a run's checkpoints: others may have asked for those of its base model."""
        mine = [self._source(need.plain), *self._rota.sources_of(need)]
        return max(mine, key=lambda source: source.good_at or float("-inf"))

    def _standing(self, need: Need) -> Standing:
        now, at_ms = self._clock.now(), self._clock.epoch_ms()
        sources = self.sources_of(need)
        if need.kind == "checkpoints" and need.run_id is not None and (best := self._freshest(need)).is_known:
            sources = (best,)
        times = [source.good_at for source in sources if source.good_at is not None]
        trouble = next((s for refused in (False, True) for s in sources if s.error is not None and s.refused is refused), None)
        held = self._connection
        error, since, again = held.error, held.since, held.hold_until
        if error is None and trouble is not None:
            error, since, again = trouble.error, trouble.since, trouble.not_before
        refused = held.error is None and trouble is not None and trouble.refused
        attention = self._aims.get(need) if need.kind == "checkpoints" else self._plain.get(self._source(need.plain))
        return Standing(
            known=all(source.is_known for source in sources),
            good_at=max(times, default=None),
            asked_at=min((source.good_asked_at for source in sources), default=float("-inf")),
            every=0.0 if attention in {None, Attention.ASLEEP} else self._every(attention or Attention.ASLEEP, now),
            refused=refused,
            since=since if error is not None else None,
            next_at=at_ms + max(0.0, again - now) * 1000.0 if error is not None else None,
            reason=error.message if error is not None else "",
            hint=error.hint if error is not None else "",
        )
