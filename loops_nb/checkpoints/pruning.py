"""Which checkpoints of a run go: all but the best by a recorded metric, the newest, and those that are young."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from loops_nb.api.models import Checkpoint
from loops_nb.api.references import CheckpointRef
from loops_nb.checkpoints.deletion import DeletionPlan, plan_checkpoints
from loops_nb.client import checks
from loops_nb.errors import InvalidArgumentError
from loops_nb.render.formatting import first_and_more, is_or_are, many

if TYPE_CHECKING:
    from loops_nb.client.transport import Transport

_NAMED = 5


@dataclass(frozen=True, slots=True)
class PruneRules:
    """What is kept of each target.

    Parameters
    ----------
    best, last : int, default 0
        How many of the best, and of the newest.
    older_than : datetime.timedelta or datetime.datetime, optional
        Only checkpoints that were saved before go.
    metric : str, default "loss"
        Key of the recorded metric that decides which are best.
    mode : {"min", "max"}, optional
        Whether lower or higher values are better; by default inferred from the key.
    """

    best: int = 0
    last: int = 0
    older_than: timedelta | datetime | None = None
    metric: str = "loss"
    mode: str | None = None
    #: The time before which a checkpoint must have been saved to go.
    cutoff: datetime | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        for name, count in (("keep_best", self.best), ("keep_last", self.last)):
            if isinstance(count, bool) or not isinstance(count, int) or count < 0:
                raise InvalidArgumentError(f"{name} must be a whole number from 0, not {count!r:.40}.", argument=name)
        if not (self.best or self.last or self.older_than is not None):
            raise InvalidArgumentError(
                "Nothing says what to keep, so nothing was planned.",
                argument="keep",
                hint="%loops prune --keep best:3 --keep last:2 --older-than 14d --run RUN"
                " (keep_best=3, keep_last=2, older_than=timedelta(days=14) in Python)",
            )
        cutoff = checks.time_or_age("older_than", self.older_than)
        if cutoff is not None and cutoff > datetime.now(UTC):
            # Everything was saved before: surely a slip.
            raise InvalidArgumentError(
                f"older_than is a time to come: {cutoff:%Y-%m-%d %H:%M %Z}. Nothing was planned.", argument="older_than"
            )
        object.__setattr__(self, "cutoff", cutoff)
        if self.mode not in {None, "min", "max"}:
            raise InvalidArgumentError(f"mode must be 'min' or 'max', not {self.mode!r:.40}.", argument="mode")


def plan_pruning(transport: Transport, saved: Sequence[Checkpoint], run_id: str, rules: PruneRules) -> DeletionPlan:
    """Return the plan to delete what the rules do not keep; its notes say what is kept, and by which numbers.

    Raises
    ------
    InvalidArgumentError
        If the best are to be kept, and what is recorded does not tell which they are.
    """
    cutoff = rules.cutoff
    kept: dict[str, str] = {}
    notes = []
    values: dict[str, float] = {}
    if rules.best and saved:
        values, is_lower = _recorded(saved, run_id, rules)
        direction = "lower" if is_lower else "higher"
        best = [one for of in _by_target(saved).values() for one in _best(of, values, rules.best, lower=is_lower)]
        kept |= {one.id: "best" for one in best}
        words = [f"{_name(one)} ({values[one.id]:.6g})" for one in best]
        notes.append(
            f"Kept as best by {rules.metric} ({direction} is better, {rules.best} of each target): "
            f"{first_and_more(words, _NAMED)}."
        )
        unmeasured = [one for one in saved if one.id not in values]
        kept |= {one.id: "unmeasured" for one in unmeasured}
        if unmeasured:
            notes.append(
                f"{many(len(unmeasured), 'checkpoint')} without a recorded {rules.metric} {is_or_are(len(unmeasured))} "
                f"kept: {first_and_more([_name(one) for one in unmeasured], _NAMED)}."
            )
    if rules.last:
        newest = [one for of in _by_target(saved).values() for one in of[: rules.last]]
        kept |= {one.id: "last" for one in newest}
        names = first_and_more([_name(one) for one in newest], _NAMED)
        notes.append(f"Kept as newest ({rules.last} of each target): {names or 'none'}.")
    left = [one for one in saved if one.id not in kept]
    notes += _note(left, lambda one: cutoff is not None and not _is_older(one, cutoff), "too young")
    notes += _note(left, lambda one: one.sync_status == "SYNCING", "still being written")
    left = [one for one in left if (cutoff is None or _is_older(one, cutoff)) and one.sync_status != "SYNCING"]
    if not left:
        return DeletionPlan((), tuple(notes))
    return plan_checkpoints(transport, [CheckpointRef.of(one) for one in left], notes)


def _recorded(saved: Sequence[Checkpoint], run_id: str, rules: PruneRules) -> tuple[dict[str, float], bool]:
    """Return the recorded value of each checkpoint that has one, and whether lower is better."""
    from loops_nb.tracking import ExperimentStore
    from loops_nb.tracking.join import RecordedRuns
    from loops_nb.tracking.metric_mode import infer_mode

    mode = rules.mode or infer_mode(rules.metric)
    if mode is None:
        raise InvalidArgumentError(
            f"{rules.metric!r:.60} does not say whether lower or higher values are better, so the best are not known."
            " Nothing was deleted.",
            argument="mode",
            hint='Add --min or --max (mode="min" or "max" in Python)',
        )
    values = {}
    with ExperimentStore() as store:
        recorded = RecordedRuns(store)
        keys = list(dict.fromkeys(key for row in recorded.rows(run_id) for key in recorded.series(row)))
        for one in saved:
            _, found = recorded.at_save(run_id, one.uri, one.checkpoint_id)
            value = found.get(rules.metric)
            if value is not None and not math.isnan(value.value):
                values[one.id] = value.value
    if not values:
        what = f"Nothing is recorded of run {run_id} on this machine"
        hint = "loops_nb.track(training_client) records a training. --keep last:N needs no numbers."
        if keys:
            what = f"No checkpoint of run {run_id} has a recorded {rules.metric!r:.60}"
            hint = f"Recorded are {first_and_more(keys, _NAMED)}: give one with --metric. --keep last:N needs none."
        raise InvalidArgumentError(
            f"{what}, so the best checkpoints are not known. Nothing was deleted.", argument="metric", hint=hint
        )
    return values, mode == "min"


def _by_target(saved: Sequence[Checkpoint]) -> dict[str | None, list[Checkpoint]]:
    """Return the checkpoints of each target, newest first."""
    found: dict[str | None, list[Checkpoint]] = {}
    for one in saved:
        found.setdefault(one.target, []).append(one)
    for of in found.values():
        # Stable: of equal times, or without any, the order of the service, which is newest first.
        of.sort(key=lambda one: one.created_at or datetime.min.replace(tzinfo=UTC), reverse=True)
    return found


def _best(saved: Sequence[Checkpoint], values: dict[str, float], count: int, *, lower: bool) -> list[Checkpoint]:
    measured = [one for one in saved if one.id in values]
    measured.sort(key=lambda one: values[one.id] if lower else -values[one.id])
    return measured[:count]


def _is_older(one: Checkpoint, cutoff: datetime) -> bool:
    return one.created_at is not None and one.created_at < cutoff


def _note(saved: Sequence[Checkpoint], applies: Callable[[Checkpoint], bool], why: str) -> list[str]:
    found = [_name(one) for one in saved if applies(one)]
    return [f"Kept as {why}: {first_and_more(found, _NAMED)}."] if found else []


def _name(one: Checkpoint) -> str:
    return f"{one.checkpoint_id} ({one.target})"
