"""What is known now: the snapshot that a subscriber gets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from loops_nb.live.history import History, Span
from loops_nb.live.needs import Kind, Need
from loops_nb.live.source import ByRun
from loops_nb.models import Checkpoint, Deployment, Run, Sampler


@dataclass(frozen=True, slots=True)
class Health:
    """How fresh something is, and why it is not fresher.

    Parameters
    ----------
    state
        ``starting``: not everything came yet.  ``live``.  ``failing``: what came last stays.
    looked_at
        When the newest good answer came, in epoch milliseconds; of several listings the one that has waited longest.
    every
        Seconds between two looks now; 0 when nobody looks.
    since
        Since when it is failing, in epoch milliseconds.
    next_at
        When it is tried again, in epoch milliseconds.
    reason, hint
        What is wrong and what to do, in words.
    """

    state: Literal["starting", "live", "failing"]
    looked_at: float | None = None
    every: float = 0.0
    since: float | None = None
    next_at: float | None = None
    reason: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with one need, at the moment of a snapshot."""

    known: bool
    good_at: float | None
    asked_at: float
    every: float
    refused: bool
    since: float | None
    next_at: float | None
    reason: str
    hint: str


@dataclass(frozen=True)
class Found:
    """The checkpoints that serve one need: answers, and whose are meant (None for all)."""

    answers: tuple[ByRun, ...]
    run_ids: frozenset[str] | Mapping[str, Run] | None

    @cached_property
    def items(self) -> dict[str, Checkpoint]:
        """Return them by id."""
        if self.run_ids is None:
            return {key: item for answer in self.answers for key, item in answer.items.items()}
        if len(self.run_ids) == 1:
            (only,) = self.run_ids
            return {key: item for answer in self.answers for key, item in answer.of.get(only, {}).items()}
        mine = self.run_ids
        return {key: item for answer in self.answers for key, item in answer.items.items() if item.run_id in mine}


class Board:
    """Everything that a subscriber's needs cover, at one moment.  It never changes; the next look makes another one.

    Parameters
    ----------
    needs
        What it covers.
    listings, found, standings
        The same, filled.
    history
        States of the past; shared and growing.

    Attributes
    ----------
    at
        When the newest data came, in epoch milliseconds; 0 before any did.
    """

    def __init__(
        self,
        needs: tuple[Need, ...],
        listings: Mapping[Need, dict[str, Any]],
        found: Mapping[Need, Found],
        standings: Mapping[Need, Standing],
        history: History,
    ) -> None:
        self._needs = needs
        self._listings = listings
        self._found = found
        self._standings = standings
        self._history = history
        self.at = max((s.good_at for s in standings.values() if s.good_at is not None), default=0.0)

    @property
    def runs(self) -> dict[str, Run]:
        """The runs, in the service's order; of an unchanged one always the same object."""
        return self._first("runs")

    @property
    def deployments(self) -> dict[str, Deployment]:
        """The deployments, likewise."""
        return self._first("deployments")

    @property
    def samplers(self) -> dict[str, Sampler]:
        """The samplers, likewise."""
        return self._first("samplers")

    def checkpoints(self, need: Need) -> dict[str, Checkpoint]:
        """Return the checkpoints of a need, in the service's order, base model by base model."""
        found = self._found.get(need)
        return found.items if found is not None else {}

    @cached_property
    def newest_checkpoints(self) -> Mapping[str, Checkpoint]:
        """The newest known checkpoint of each run that has one."""
        answers = list(dict.fromkeys(answer for found in self._found.values() for answer in found.answers))
        if len(answers) == 1:
            return answers[0].newest
        newest: dict[str, Checkpoint] = {}
        for answer in answers:
            if newest.keys().isdisjoint(answer.newest):
                newest |= answer.newest
                continue
            for run_id, checkpoint in answer.newest.items():
                known = newest.get(run_id)
                if known is None or _time_of(known) < _time_of(checkpoint):
                    newest[run_id] = checkpoint
        return newest

    def newest_checkpoint(self, run_id: str) -> Checkpoint | None:
        """Return the newest known checkpoint of a run."""
        return self.newest_checkpoints.get(run_id)

    def known(self, need: Need) -> bool:
        """Tell whether an answer came at least once; one that says "no such listing for you" counts."""
        standing = self._standings.get(need)
        return standing is not None and standing.known

    @property
    def needs(self) -> tuple[Need, ...]:
        """What it covers."""
        return self._needs

    def is_since(self, moment: float) -> bool:
        """Tell whether all of it was asked for at this moment, by the clock of `Clock.now`, or later."""
        return all(standing.asked_at >= moment for standing in self._standings.values())

    def refused(self, need: Need) -> bool:
        """Tell whether the service has no such listing for this key."""
        standing = self._standings.get(need)
        return standing is not None and standing.refused

    def health(self, needs: Iterable[Need] | None = None) -> Health:
        """Return how fresh the data of some needs is; of all of this board without an argument."""
        asked = self._needs if needs is None else tuple(needs)
        standings = [self._standings[need] for need in asked if need in self._standings]
        if not standings:
            return Health("starting")
        every = min((s.every for s in standings if s.every), default=0.0)
        # Checkpoints are asked for in turn: by nature they are older than the rest.
        timed = [s for need, s in self._standings.items() if need in asked and need.kind != "checkpoints" and not s.refused] or standings
        times = [s.good_at for s in timed if s.good_at is not None]
        looked_at = min(times) if times else None
        bad = [s for s in standings if s.reason and not s.refused]
        refused = [s for need, s in self._standings.items() if need in asked and s.refused]
        if not bad and refused and (len(refused) == len(standings) or any(self._standings[n].refused for n in asked if n.kind == "runs")):
            # Parts of the API may be missing for a key, or on an older service; but something must be there.
            bad = refused
        if bad:
            first = bad[0]
            since = min((s.since for s in bad if s.since is not None), default=None)
            return Health("failing", looked_at, every, since, first.next_at, first.reason, first.hint)
        return Health("live" if all(s.known for s in standings) else "starting", looked_at, every)

    def history(self, run_id: str) -> list[Span]:
        """Return the states of a run, of its deployment and of its sampler since they were first seen, oldest first."""
        run = self.runs.get(run_id)
        return self._history.of_run(run, self.deployments) if run is not None else list(self._history.of("run", run_id))

    def _first(self, kind: Kind) -> dict[str, Any]:
        return next((items for need, items in self._listings.items() if need.kind == kind), {})


def _time_of(checkpoint: Checkpoint) -> float:
    return checkpoint.created_at.timestamp() if checkpoint.created_at is not None else 0.0
