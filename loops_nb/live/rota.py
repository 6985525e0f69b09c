"""Whose checkpoints are asked for next.

The listing of checkpoints takes one run or one base model, so "those of everything" is several requests.  One of them is made an
interval, in turn: what somebody asked for by name more often, models of finished runs only once in a while.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from loops_nb.live.needs import Attention, Need
from loops_nb.live.source import Source, status_name
from loops_nb.models import RUN_TERMINAL

NAMED, ALIVE, FINISHED, ASLEEP = 3.0, 1.0, 0.01, 0.0
#: Seconds between two looks at the checkpoints of runs that are over.
FINISHED_EVERY = 300.0
#: So many first requests follow one another without an interval between them.
MOST_AT_ONCE = 20
_NEVER = float("inf")


class Rota:
    """The requests that serve all who want checkpoints.

    Parameters
    ----------
    source
        Returns the source of a request, the same one each time.

    Attributes
    ----------
    asked_at
        When the last request was made.
    """

    def __init__(self, source: Callable[[Need], Source]) -> None:
        self._source = source
        self._weights: dict[Source, float] = {}
        self._queries: dict[Need, tuple[Source, ...]] = {}
        self._planned_for: object = None
        self.asked_at = float("-inf")
        self._at_once = 0

    def plan(self, aims: Mapping[Need, Attention], listings: Mapping[Need, Source]) -> None:
        """Reckon which requests there are.

        Parameters
        ----------
        aims
            What is wanted, and how eagerly.
        listings
            The listings of runs, by their plain needs.
        """
        ground = (dict(aims), [(need, source.shelf.version) for need, source in listings.items()])
        if ground == self._planned_for:
            return
        self._planned_for = ground
        awake = {aim for aim, attention in aims.items() if attention is not Attention.ASLEEP}
        alone = len(awake) <= 1
        weights: dict[Source, float] = {}
        self._queries = {}
        for aim in aims:
            wanted = self._requests(aim, listings, alone=alone)
            self._queries[aim] = tuple(map(self._source, wanted))
            for query, weight in zip(self._queries[aim], wanted.values(), strict=True):
                weights[query] = max(weights.get(query, ASLEEP), weight if aim in awake else ASLEEP)
        for query, weight in weights.items():
            if weight == FINISHED and self._weights.get(query, ASLEEP) > FINISHED:
                # The last thing that a run does is to save.
                query.ask_now = True
        self._weights = weights
        self._at_once = MOST_AT_ONCE

    def sources_of(self, aim: Need) -> tuple[Source, ...]:
        """Return the requests that serve a need."""
        return self._queries.get(aim, ())

    @property
    def queries(self) -> tuple[Source, ...]:
        """All requests."""
        return tuple(self._weights)

    def due(self, every: float) -> float:
        """Return when the next request is due; ``every`` is the seconds between two."""
        if not self._weights or any(query.in_flight and not query.overdue for query in self._weights):
            return _NEVER
        ready = [self._ready(query, weight, every) for query, weight in self._weights.items()]
        return min(ready)

    def pick(self, now: float, every: float, *, slack: float = 0.0) -> Source | None:
        """Return the request to make now, if one is due, or will be within so many seconds."""
        if self.due(every) > now + slack:
            return None
        ready = [(query, weight) for query, weight in self._weights.items() if self._ready(query, weight, every) <= now + slack]
        query, _ = max(ready, key=lambda pair: (pair[0].ask_now or pair[0].is_new, (now - pair[0].asked_at) * pair[1], pair[1]))
        self._at_once -= now - self.asked_at < every
        self.asked_at = now
        return query

    def _ready(self, query: Source, weight: float, every: float) -> float:
        if query.in_flight:
            return _NEVER
        turn = self.asked_at + every
        if weight == ASLEEP and not query.ask_now:
            return _NEVER
        if query.ask_now or query.is_new:
            return max(query.not_before, float("-inf") if self._at_once > 0 else turn)
        if weight == FINISHED:
            return max(turn, query.not_before, query.asked_at + FINISHED_EVERY)
        return max(turn, query.not_before)

    def _requests(self, aim: Need, listings: Mapping[Need, Source], *, alone: bool) -> dict[Need, float]:
        if aim.base_model is not None:
            return {aim.plain: NAMED}
        if aim.run_id is not None:
            run = next((found for s in listings.values() if (found := s.shelf.items.get(aim.run_id)) is not None), None)
            if alone or run is None or run.base_model is None:
                return {aim.plain: NAMED}
            return {Need("checkpoints", base_model=run.base_model): NAMED}
        listed = listings.get(aim.listed_runs.plain)
        return _of_everything(listed) if listed is not None else {}


def _of_everything(listed: Source) -> dict[Need, float]:
    models: dict[str, float] = {}
    alone: dict[Need, float] = {}
    # Few things are different between thousands of runs.
    for model, status in listed.makeup:
        weight = FINISHED if status in RUN_TERMINAL else ALIVE
        if model is not None:
            models[model] = max(weight, models.get(model, ASLEEP))
        elif weight == ALIVE:
            mine = (run for run in listed.shelf.items.values() if run.base_model is None and status_name(run) == status)
            alone.update((Need("checkpoints", run_id=run.id), weight) for run in mine)
    return {_of_model(model): weight for model, weight in models.items()} | alone


@lru_cache(maxsize=1024)
def _of_model(name: str) -> Need:
    return Need("checkpoints", base_model=name)
