"""Deletion of runs and checkpoints: a plan first, then bounded parallel requests, and a result for each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from loops_nb.api.models import Run
from loops_nb.api.references import CheckpointRef
from loops_nb.api.states import RUN_TERMINAL, SAMPLER_TERMINAL
from loops_nb.checkpoints.transfer.parallel import map_in_threads
from loops_nb.checkpoints.uses import checkpoint_uses
from loops_nb.client.operations import checkpoints, runs
from loops_nb.errors import (
    APIError,
    AuthenticationError,
    InvalidArgumentError,
    LoopsError,
    NotFoundError,
    RateLimitError,
    ServerError,
    TransportError,
)
from loops_nb.frames.attributes import EMPTY_ATTR, NOTES_ATTR
from loops_nb.frames.columns import Column, Dtype, Kind
from loops_nb.frames.computed import computed_frame, register_kind
from loops_nb.render.formatting import first_and_more, many, size
from loops_nb.tracking.deleted_runs import mark_deleted_runs

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.client.transport import Transport

Outcome = Literal["deleted", "kept", "failed"]
#: Requests at one time.
WORKERS = 8
MOST_WORKERS = 32
#: 4xx answers that are no refusal: no permission, nothing there, too many requests.
_NO_REFUSALS = frozenset({401, 403, 404, 429})
_NAMED = 5
#: Nothing more is sent after so many requests in a row without a usable answer, or as many as are sent at one time.
_MOST_LOST = 4
_NOT_SENT = "Not sent"
#: What the service said, in the text of an error.
_SAID = re.compile(r"the service answered \d+ [^(]*\((.+)\)\.$")

_WHAT = Column("kind", Dtype.WORD, (), "What it is.", ("run", "checkpoint"))
_ID = Column("id", Dtype.STRING, (), "Id of the run, or global id of the checkpoint.")
_RUN = Column("run_id", Dtype.STRING, (), "The run, or the run that saved the checkpoint.")
_NAME = Column("name", Dtype.STRING, (), "Name of the run or the checkpoint.")
_TARGET = Column("target", Dtype.WORD, (), "Target of the checkpoint.", ("trainer", "sampler"))
_SIZE = Column("size_bytes", Dtype.COUNT, (), "Size in bytes; of a run, that of its checkpoints.")

PLANNED_DELETIONS = register_kind(
    Kind(
        "planned_deletions",
        many=(),
        one=(),
        columns=(_WHAT, _ID, _RUN, _NAME, _TARGET, _SIZE, Column("in_use", Dtype.STRING, (), "What is using it.")),
    )
)
DELETIONS = register_kind(
    Kind(
        "deletions",
        many=(),
        one=(),
        columns=(
            _WHAT,
            _ID,
            _RUN,
            _NAME,
            _TARGET,
            _SIZE,
            Column(
                "result",
                Dtype.WORD,
                (),
                "Whether it is gone, was kept because something uses it, or could not be deleted.",
                ("deleted", "kept", "failed"),
            ),
            Column("reason", Dtype.STRING, (), "Why it was kept, or what failed."),
        ),
    )
)


@dataclass(frozen=True, slots=True)
class DeletionItem:
    """One run or checkpoint of a plan.

    Parameters
    ----------
    kind : {"run", "checkpoint"}
        What it is.
    id : str
        Id of the run, or global id of the checkpoint.
    run_id, name, target : str, optional
        Run, name, and target of a checkpoint.
    size_bytes : int, optional
        Of a run: that of its checkpoints; None where a size is not known.
    in_use : tuple of str, default ()
        What uses it, as far as listings tell.
    checkpoints : tuple of CheckpointRef, default ()
        Of a run: what is deleted with it.
    """

    kind: Literal["run", "checkpoint"]
    id: str
    run_id: str | None = None
    name: str | None = None
    target: str | None = None
    size_bytes: int | None = None
    in_use: tuple[str, ...] = ()
    checkpoints: tuple[CheckpointRef, ...] = ()

    @property
    def label(self) -> str:
        """Name in sentences."""
        if self.kind == "run":
            return f"run {self.id}" + (f" ({self.name})" if self.name else "")
        if self.name is None:
            return f"checkpoint {self.id}"
        return f"checkpoint {self.run_id}/{self.name} ({self.target}, {self.id})"


@dataclass(frozen=True, slots=True, repr=False)
class DeletionPlan:
    """What a deletion will do.  Deleted runs and checkpoints cannot be restored.

    Parameters
    ----------
    items : tuple of DeletionItem
        What is to be deleted.
    notes : tuple of str, default ()
        What else is to be known, such as by which metric something is kept, or what may use something.
    """

    items: tuple[DeletionItem, ...]
    notes: tuple[str, ...] = ()

    @property
    def checkpoint_count(self) -> int:
        """Number of checkpoints, with those of the runs."""
        return sum(1 if item.kind == "checkpoint" else len(item.checkpoints) for item in self.items)

    @property
    def total_bytes(self) -> int | None:
        """Bytes of all checkpoints; None where a size is not known."""
        sizes = [item.size_bytes for item in self.items]
        if None in sizes:
            return None
        return sum(filter(None, sizes))

    @property
    def summary(self) -> str:
        """The plan in one sentence without a full stop: ``2 runs and 9 checkpoints (1.2 GB)``."""
        run_count = sum(item.kind == "run" for item in self.items)
        parts = [many(run_count, "run")] if run_count else []
        parts.append(many(self.checkpoint_count, "checkpoint"))
        return f"{' and '.join(parts)} ({_size_words(self.total_bytes)})"

    @property
    def question(self) -> str:
        """The question before the deletion: what goes, what uses it, and that it is for good."""
        return f"{self.short_question} {self.uses}".rstrip()

    @property
    def short_question(self) -> str:
        """The question without what uses the things."""
        if len(self.items) != 1:
            return f"Delete {self.summary} for good?"
        only = self.items[0]
        more = f" with {self.summary.partition(' and ')[2]}" if only.kind == "run" else ""
        return f"Delete {only.label}{more or f' ({_size_words(only.size_bytes)})'} for good?"

    @property
    def uses(self) -> str:
        """What uses the things, in sentences; empty where nothing does."""
        used = [f"{item.label}: {'; '.join(item.in_use)}" for item in self.items if item.in_use]
        return f"In use: {first_and_more(used, _NAMED)}. What something else needs is kept." if used else ""

    def __repr__(self) -> str:
        """Return a summary; a cell may end with a plan."""
        return f"<DeletionPlan: {self.summary}; nothing was deleted>"

    def frame(self) -> pd.DataFrame:
        """Return the plan as a DataFrame.

        Returns
        -------
        pandas.DataFrame
            One row a run or checkpoint: kind, id, run_id, name, target, size_bytes, in_use.

        Examples
        --------
        >>> loops.checkpoints.plan_deletion(run_id="k4q95w5").frame()
        """
        rows = [{**_described(item), "in_use": "; ".join(item.in_use) or None} for item in self.items]
        frame = computed_frame(PLANNED_DELETIONS, _columns(PLANNED_DELETIONS, rows))
        frame.attrs[EMPTY_ATTR] = "There is nothing to delete."
        frame.attrs[NOTES_ATTR] = [f"Nothing was deleted. It would be {self.summary}."] * bool(self.items)
        frame.attrs[NOTES_ATTR] += self.notes
        return frame


@dataclass(frozen=True, slots=True)
class DeletionResult:
    """What became of one run or checkpoint: deleted, kept, or failed, and why."""

    item: DeletionItem
    result: Outcome
    reason: str = ""


@dataclass(slots=True)
class _Progress:
    """What has been sent, what has been answered, and whether the service answers at all."""

    sent: list[DeletionItem] = field(default_factory=list)
    answered: list[tuple[DeletionItem, list[DeletionResult]]] = field(default_factory=list)
    #: Requests in a row without a usable answer.
    lost: int = 0

    def note(self, error: LoopsError | None) -> None:
        """Take in an answer, or what came in place of one."""
        is_lost = isinstance(error, TransportError | ServerError | AuthenticationError | RateLimitError)
        self.lost = self.lost + 1 if is_lost else 0


def plan_checkpoints(transport: Transport, refs: Sequence[CheckpointRef], notes: Sequence[str] = ()) -> DeletionPlan:
    """Return the plan to delete checkpoints, with their uses as far as listings of runs tell."""
    listed = {run.id: run for run in transport.send(runs.list_())}
    uses = checkpoint_uses(transport, refs, listed.values())
    items = tuple(_checkpoint_item(ref, listed, uses.words.get(ref.id, ())) for ref in refs)
    unlisted = [ref.id for ref in refs if ref.run_id is None]
    if unlisted:
        verb = "is" if len(unlisted) == 1 else "are"
        names = first_and_more(unlisted, _NAMED)
        notes = [*notes, f"{names} {verb} in no listing of yours: a wrong id, deleted, or of another user."]
    saved_by = dict.fromkeys(ref.run_id for ref in refs if ref.target == "sampler" and ref.run_id in listed)
    serving = [key for key in saved_by if key is not None and _has_live_sampler(listed[key])]
    if serving:
        names = first_and_more(serving, _NAMED)
        is_one = len(serving) == 1
        whose = f"sampler of run {names} serves" if is_one else f"samplers of runs {names} serve"
        newest = "its newest sampler checkpoint" if is_one else "their newest sampler checkpoints"
        notes = [*notes, f"What the active {whose} is kept, usually {newest}."]
    return DeletionPlan(items, (*notes, *uses.notes))


def plan_without_uses(refs: Sequence[CheckpointRef]) -> DeletionPlan:
    """Return the plan to delete checkpoints without looking for their uses; no request is made."""
    return DeletionPlan(tuple(_checkpoint_item(ref, {}) for ref in refs))


def plan_runs(transport: Transport, found: Sequence[Run]) -> DeletionPlan:
    """Return the plan to delete runs, with the checkpoints that go with them."""
    if not found:
        raise InvalidArgumentError("There is no run in what was given. No request was made.", argument="runs")
    unique = list({run.id: run for run in found}.values())
    every = {run.id: run for run in transport.send(runs.list_())}

    def saved_of(run: Run) -> list[CheckpointRef]:
        return [CheckpointRef.of(saved) for saved in transport.send(checkpoints.list_(run_id=run.id))]

    refs_of = dict(zip((run.id for run in unique), map_in_threads(saved_of, unique, workers=WORKERS), strict=True))
    uses = checkpoint_uses(transport, (ref for refs in refs_of.values() for ref in refs), every.values())

    def item(run: Run) -> DeletionItem:
        refs = refs_of[run.id]
        sizes = [ref.size_bytes for ref in refs]
        total = None if None in sizes else sum(filter(None, sizes))
        used = [_ending(run)] if _is_active(run) else []
        used += [f"{words} ({ref.label})" for ref in refs for words in uses.words.get(ref.id, ())]
        used += [
            f"run {other.id} started from {ref.label}"
            for ref in refs
            for other in every.values()
            if _starts_from(other, ref) and other.id != run.id
        ]
        return DeletionItem(
            "run", run.id, run.id, run.name, size_bytes=total, in_use=tuple(used), checkpoints=tuple(refs)
        )

    return DeletionPlan(tuple(map(item, unique)), tuple(uses.notes))


def execute(transport: Transport, plan: DeletionPlan, *, workers: int = WORKERS) -> list[DeletionResult]:
    """Delete what a plan names, several at a time.

    Parameters
    ----------
    transport : Transport
        The connection.
    plan : DeletionPlan
        What is deleted.
    workers : int, default 8
        Requests at one time.

    Returns
    -------
    list of DeletionResult
        In the order of the plan; a run is followed by its checkpoints.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= MOST_WORKERS:
        raise InvalidArgumentError(f"workers must be 1 to {MOST_WORKERS}, not {workers!r}.", argument="workers")
    progress = _Progress()

    def delete(item: DeletionItem) -> list[DeletionResult]:
        if progress.lost >= max(workers, _MOST_LOST):
            # Each of thousands would be tried for seconds, in vain.
            return [
                DeletionResult(
                    item, "failed", f"{_NOT_SENT}: {progress.lost:,} requests before it had no usable answer."
                )
            ]
        progress.sent.append(item)
        try:
            done = _delete_run(transport, item) if item.kind == "run" else _delete_checkpoint(transport, item)
            progress.note(None)
        except LoopsError as error:
            done = [_refused(item, error)]
            progress.note(error)
        progress.answered.append((item, done))
        return done

    if not plan.items:
        return []
    try:
        return [one for done in map_in_threads(delete, plan.items, workers=workers) for one in done]
    except KeyboardInterrupt as stop:
        stop.__notes__ = [_interrupted(plan, progress)]
        raise


def deletions_frame(results: Sequence[DeletionResult]) -> pd.DataFrame:
    """Return results as a DataFrame: kind, id, run_id, name, target, size_bytes, result, reason."""
    rows = [{**_described(one.item), "result": one.result, "reason": one.reason or None} for one in results]
    frame = computed_frame(DELETIONS, _columns(DELETIONS, rows))
    reasons = reasons_of(results)
    more = [f"{len(reasons) - _NAMED:,} more reasons are in the column reason."] if len(reasons) > _NAMED else []
    frame.attrs[NOTES_ATTR] = [summary_of(results), *reasons[:_NAMED], *more]
    return frame


def summary_of(results: Sequence[DeletionResult]) -> str:
    """Return how much was deleted, kept and failed, in one sentence."""
    gone = [one.item for one in results if one.result == "deleted"]
    sizes = [item.size_bytes or 0 for item in gone if item.kind == "checkpoint"]
    parts = []
    run_count = sum(item.kind == "run" for item in gone)
    if run_count:
        parts.append(many(run_count, "run"))
    if sizes or not run_count:
        parts.append(many(len(sizes), "checkpoint"))
    text = f"Deleted {' and '.join(parts)}" + (f" ({size(sum(sizes))})" if sum(sizes) else "")
    kept = sum(one.result == "kept" for one in results)
    failed = sum(one.result == "failed" for one in results)
    if kept:
        text += f"; {kept:,} kept, usable while in use"
    if failed:
        text += f"; {failed:,} failed"
        unsent = sum(one.reason.startswith(_NOT_SENT) for one in results)
        text += f", {unsent:,} of them not sent, as the service gave no usable answer" if unsent else ""
    return text + "."


def reasons_of(results: Sequence[DeletionResult]) -> list[str]:
    """Return why things were kept or could not be deleted, each with its name."""
    return list(dict.fromkeys(f"{one.item.label}: {one.reason}" for one in results if one.reason))


def _size_words(count: int | None) -> str:
    return "of unknown size" if count is None else size(count)


def _described(item: DeletionItem) -> dict[str, Any]:
    return {name: getattr(item, name) for name in ("kind", "id", "run_id", "name", "target", "size_bytes")}


def _columns(kind: Kind, rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    return {column.name: [row[column.name] for row in rows] for column in kind.columns}


def _checkpoint_item(ref: CheckpointRef, listed: dict[str, Run], deployed: Sequence[str] = ()) -> DeletionItem:
    used = [*deployed]
    used += [f"run {run.id} started from it" for run in listed.values() if _starts_from(run, ref)]
    if ref.sync_status == "SYNCING":
        used.insert(0, "it is still being written")
    return DeletionItem("checkpoint", ref.id, ref.run_id, ref.name, ref.target, ref.size_bytes, tuple(used))


def _delete_checkpoint(transport: Transport, item: DeletionItem) -> list[DeletionResult]:
    transport.send(checkpoints.delete(item.id))
    return [DeletionResult(item, "deleted")]


def _delete_run(transport: Transport, item: DeletionItem) -> list[DeletionResult]:
    answer = transport.send(runs.delete(item.id))
    mark_deleted_runs([item.id])
    kept = answer.kept_checkpoints
    if kept is None:
        kept_ids, words = _listed_after(transport, item.id), "still listed; the answer of the deletion was lost"
    else:
        kept_ids, words = {found.id for found in kept}, "in use; usable while it is"
    found = [DeletionResult(item, "deleted")]
    known = set()
    for ref in item.checkpoints:
        known |= {ref.id, ref.uri, ref.name}
        is_kept = bool({ref.id, ref.uri} & kept_ids)
        found.append(DeletionResult(_checkpoint_item(ref, {}), "kept" if is_kept else "deleted", words * is_kept))
    # One that was saved after the plan was made.
    found += [
        DeletionResult(DeletionItem("checkpoint", key, item.id), "kept", words) for key in sorted(kept_ids - known)
    ]
    return found


def _listed_after(transport: Transport, run_id: str) -> set[str]:
    try:
        return {saved.id for saved in transport.send(checkpoints.list_(run_id=run_id))}
    except NotFoundError:
        return set()


def _refused(item: DeletionItem, error: LoopsError) -> DeletionResult:
    is_refusal = isinstance(error, APIError) and 400 <= error.status < 500 and error.status not in _NO_REFUSALS  # noqa: PLR2004
    if is_refusal:
        said = _SAID.search(error.message)
        return DeletionResult(item, "kept", said[1] if said else error.message)
    return DeletionResult(item, "failed", str(error))


def _interrupted(plan: DeletionPlan, progress: _Progress) -> str:
    answered = list(progress.answered)
    gone = [item.label for item, done in answered if done[0].result == "deleted"]
    open_items = len(progress.sent) - len(answered)
    text = f"{len(gone):,} of {len(plan.items):,} {'is' if len(gone) == 1 else 'are'} deleted"
    if gone:
        text += f": {first_and_more(gone, _NAMED)}"
    text += "."
    if open_items:
        text += f" {open_items:,} had been sent and may be deleted too."
    left = len(plan.items) - len(progress.sent)
    if left:
        text += f" {left:,} {'was' if left == 1 else 'were'} not sent."
    return f"{text} %loops runs and %loops checkpoints RUN list what is left."


def _ending(run: Run) -> str:
    if run.deployment_id is None:
        return "it is active: its trainer and sampler stop first"
    return f"it is active: its deployment {run.deployment_id} stops first, with its sampler"


def _is_active(run: Run) -> bool:
    return run.status is not None and run.status.name not in RUN_TERMINAL


def _starts_from(run: Run, ref: CheckpointRef) -> bool:
    return ref.target == "trainer" and ref.uri is not None and run.base_checkpoint == ref.uri and _is_active(run)


def _has_live_sampler(run: Run) -> bool:
    # The sampler of a run that has ended has ended, or serves the run that took it over.
    sampler = run.sampler if _is_active(run) else None
    return sampler is not None and sampler.status is not None and sampler.status.name not in SAMPLER_TERMINAL
