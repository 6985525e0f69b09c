"""One listing that is asked for again and again: its newest good answer, and how it stands with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from loops_nb.client.call import Call
from loops_nb.errors import LoopsError
from loops_nb.live.needs import Need
from loops_nb.live.shelf import Shelf
from loops_nb.models import Checkpoint, Deployment, Run, Sampler

#: Statuses that lead to another one by themselves.
UNDER_WAY = frozenset({"CREATED", "BUILDING", "DEPLOYING", "LOADING_MODEL", "WAKING_UP", "UPDATING", "DEACTIVATING", "SYNCING"})
_NEVER = float("-inf")
_EARLIEST = datetime.min.replace(tzinfo=UTC)


class ByRun:
    """The checkpoints of one answer, by run; sorted out when somebody asks."""

    def __init__(self, items: Mapping[str, Checkpoint]) -> None:
        self.items = items

    @cached_property
    def of(self) -> dict[str, dict[str, Checkpoint]]:
        """Return the checkpoints of each run."""
        found: dict[str, dict[str, Checkpoint]] = {}
        for key, item in self.items.items():
            found.setdefault(item.run_id, {})[key] = item
        return found

    @cached_property
    def newest(self) -> dict[str, Checkpoint]:
        """Return the newest checkpoint of each run; of two made at once the one that is listed first."""
        return {run_id: max(found.values(), key=lambda c: c.created_at or _EARLIEST) for run_id, found in self.of.items()}


@dataclass(slots=True, eq=False)
class Source:
    """One listing.

    Parameters
    ----------
    need
        What it lists.

    Attributes
    ----------
    call, shelf
        The request, and what it answered.
    by_run
        The same, by run; only of a listing of checkpoints.
    asked_at, answered_at
        By the clock of `Clock.now`; minus infinity for never.
    in_flight, overdue
        Whether an answer is awaited, and whether it has been for too long.
    ask_now
        Whether somebody wants it at the next occasion, whatever the pace.
    not_before
        It is not asked again before this time.
    failures, error, since
        How many times in a row it failed, why, and since when (epoch milliseconds).
    refused
        The service has no such listing for this key: it is empty, and that is known.
    good_at, good_asked_at
        When the newest good answer came, in epoch milliseconds, and when it was asked for, by the clock of `Clock.now`.
    changed_at
        When something was last different, by the clock of `Clock.now`.
    makeup
        How many runs of which base model are in which state; only of a listing of runs.
    """

    need: Need
    call: Call[bytes]
    shelf: Shelf
    by_run: ByRun = field(default_factory=lambda: ByRun({}))
    asked_at: float = _NEVER
    answered_at: float = _NEVER
    in_flight: bool = False
    overdue: bool = False
    ask_now: bool = False
    not_before: float = _NEVER
    failures: int = 0
    error: LoopsError | None = None
    since: float | None = None
    refused: bool = False
    good_at: float | None = None
    good_asked_at: float = _NEVER
    changed_at: float = _NEVER
    makeup: Counter[tuple[str | None, str | None]] = field(default_factory=Counter)
    _moving: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, need: Need) -> Source:
        """Return the source of a need that one request serves."""
        return cls(need, need.call(), Shelf(need.kind))

    @property
    def is_known(self) -> bool:
        """Whether an answer came at least once."""
        return self.good_at is not None

    @property
    def is_new(self) -> bool:
        """Whether it was never asked, or is to be asked as if it never had been."""
        return self.asked_at == _NEVER

    @property
    def under_way(self) -> bool:
        """Whether something in it is on its way to another state."""
        return bool(self._moving)

    def ask_anew(self) -> None:
        """Count the last request as not made: it met trouble that has nothing to do with this listing."""
        self.asked_at = self.answered_at = _NEVER

    def good(self, *, at_ms: float) -> None:
        """Take in that a good answer came."""
        self.good_at, self.good_asked_at = at_ms, self.asked_at
        self.error, self.since, self.failures = None, None, 0

    def bad(self, error: LoopsError, *, at_ms: float, not_before: float) -> None:
        """Take in that it failed; what was known stays."""
        self.error, self.failures, self.not_before = error, self.failures + 1, not_before
        if self.since is None:
            self.since = at_ms

    def changed(self, now: float) -> None:
        """Take in that the shelf has something new."""
        self.changed_at = now
        self._moving.difference_update(self.shelf.gone)
        for item in self.shelf.fresh:
            (self._moving.add if _is_under_way(item) else self._moving.discard)(item.id)
        if self.need.kind == "checkpoints":
            self.by_run = ByRun(self.shelf.items)
        elif self.need.kind == "runs":
            self._count()

    def _count(self) -> None:
        if self.shelf.was is None:
            self.makeup = Counter(map(_makeup, self.shelf.items.values()))
            return
        self.makeup.subtract(map(_makeup, self.shelf.was))
        self.makeup.update(map(_makeup, self.shelf.fresh))
        self.makeup = +self.makeup


def _makeup(run: Run) -> tuple[str | None, str | None]:
    return run.base_model, status_name(run)


def _is_under_way(item: Any) -> bool:
    if isinstance(item, Checkpoint):
        return item.sync_status in UNDER_WAY
    if isinstance(item, Sampler):
        return status_name(item) in UNDER_WAY
    if isinstance(item, Run | Deployment):
        return status_name(item) in UNDER_WAY or (item.sampler is not None and status_name(item.sampler) in UNDER_WAY)
    return False


def status_name(item: Run | Deployment | Sampler) -> str | None:
    """Return the status of something, as the text that it is."""
    return item.status.name if item.status is not None else None
