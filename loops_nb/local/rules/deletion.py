"""Rules of deletion: what uses a checkpoint, and what goes with a run."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from loops_nb.api.uri import Target, format_uri
from loops_nb.local.http_errors import HTTPError, conflict
from loops_nb.local.rules import runs
from loops_nb.local.rules.checkpoints import find_by_uri, read_uri
from loops_nb.local.rules.statuses import Statuses
from loops_nb.local.store.database import RecordStore
from loops_nb.local.store.records import (
    CheckpointRecord,
    ModelDeploymentRecord,
    PublishedRecord,
    RunRecord,
    SamplerRecord,
    TombstoneRecord,
)
from loops_nb.local.weights.checkpoints import SavedCheckpoints

#: States in which a model deployment or a sampler reads its weights no more.
_AT_ITS_END = frozenset({"INACTIVE", "DEACTIVATING"})
_MOST_MATCHES = 20


class CheckpointUse(NamedTuple):
    """What uses a checkpoint: the reason that a refusal names, the kind and id of the user, and what ends the use."""

    reason: str
    kind: str
    id: str
    words: str


class RunDeletion(Struct, frozen=True, kw_only=True):
    """What a run's deletion did: the checkpoints that are still used, and the ids of those that are gone."""

    kept: list[CheckpointRecord]
    deleted: list[str]


def uses(store: RecordStore, statuses: Statuses, checkpoint: CheckpointRecord) -> list[CheckpointUse]:
    """Return what uses a checkpoint; that its own run is active counts for nothing."""
    return [
        *_deployed(store, statuses, checkpoint),
        *_served(store, statuses, checkpoint),
        *_start_of_run(store, statuses, checkpoint),
    ]


def refuse_used(store: RecordStore, statuses: Statuses, checkpoint: CheckpointRecord) -> None:
    """Refuse with 409 to delete a checkpoint that is still being written, or used."""
    key, name = checkpoint.id, checkpoint.name
    if checkpoint.sync_status == "SYNCING":
        raise conflict(
            f"Checkpoint {key} ({name}) is still being written; try again when it is COMPLETE.",
            reason="STILL_WRITTEN",
            checkpoint_id=key,
            used_by=[],
        )
    found = uses(store, statuses, checkpoint)
    if found:
        raise conflict(
            f"Checkpoint {key} ({name}) is in use: {'; '.join(use.words for use in found)}.",
            reason=found[0].reason,
            checkpoint_id=key,
            used_by=[{"kind": use.kind, "id": use.id} for use in found],
        )


def delete_run(store: RecordStore, statuses: Statuses, saved: SavedCheckpoints, run: RunRecord) -> RunDeletion:
    """End a run as its deactivation does, then delete its records and those of its checkpoints that nothing uses."""
    with store.transaction():
        runs.end(store, statuses, run)
        kept, deleted = [], []
        for checkpoint in store.find(CheckpointRecord, run_id=run.id):
            if uses(store, statuses, checkpoint):
                kept.append(checkpoint)
            else:
                saved.forget(checkpoint)
                deleted.append(checkpoint.id)
        saved.forget_run(run)
    return RunDeletion(kept=kept, deleted=deleted)


def unknown_checkpoint(store: RecordStore, text: str) -> HTTPError:
    """Return the 404 for a checkpoint's id; a name is none, and the answer gives the ids of what has that name."""
    details: dict[str, Any] = {"resource": "checkpoint", "id": text[:200]}
    words = f"There is no checkpoint with the id {text[:200]!r} here."
    named = store.find(CheckpointRecord, name=text) if text.isprintable() else []
    if named:
        details["matches"] = [checkpoint.id for checkpoint in named[:_MOST_MATCHES]]
        count = "one checkpoint" if len(named) == 1 else f"{len(named)} checkpoints"
        words += f" It is the name of {count}; deletion takes the id: {', '.join(details['matches'])}."
    return HTTPError(404, "NOT_FOUND", words, details=details)


def tombstone(record: TombstoneRecord) -> dict[str, str]:
    """Return what the API answers to the deletion of a checkpoint."""
    return {
        "id": record.id,
        "run_id": record.run_id,
        "checkpoint_id": record.name,
        "target": record.target,
        "path": _path(record),
    }


def kept_checkpoint(checkpoint: CheckpointRecord) -> dict[str, Any]:
    """Return a checkpoint as listings have it, with its URI."""
    return {**msgspec.json.decode(checkpoint.document), "path": _path(checkpoint)}


def _path(record: CheckpointRecord | TombstoneRecord) -> str:
    target: Target = "trainer" if record.target == "trainer" else "sampler"
    return format_uri(record.run_id, target, record.name)


def _deployed(store: RecordStore, statuses: Statuses, checkpoint: CheckpointRecord) -> list[CheckpointUse]:
    return [
        CheckpointUse(
            "DEPLOYED",
            "model_deployment",
            found.id,
            f"model deployment {found.id} of model {found.model_id} ({found.model_name}) serves it; deactivate that "
            f"deployment",
        )
        for found in store.find(ModelDeploymentRecord)
        if checkpoint.id in found.checkpoint_ids.split() and statuses.of(found) not in _AT_ITS_END
    ]


def _served(store: RecordStore, statuses: Statuses, checkpoint: CheckpointRecord) -> list[CheckpointUse]:
    if checkpoint.target != "sampler":
        return []
    found = []
    published = store.get(PublishedRecord, checkpoint.run_id)
    for sampler in store.find(SamplerRecord):
        if sampler.run_id is not None:
            serves = (
                sampler.run_id == checkpoint.run_id
                and published is not None
                and published.checkpoint_id == checkpoint.id
            )
            words = f"sampler {sampler.id} serves it as the newest version of run {sampler.run_id}; deactivate that run"
        else:
            serves = _names(store, sampler.model_path, checkpoint)
            words = f"sampler {sampler.id} serves it; deactivate that sampler"
        if serves and not (statuses.has_ended(sampler) or statuses.of(sampler) in _AT_ITS_END):
            found.append(CheckpointUse("SERVED_BY_SAMPLER", "sampler", sampler.id, words))
    return found


def _start_of_run(store: RecordStore, statuses: Statuses, checkpoint: CheckpointRecord) -> list[CheckpointUse]:
    if checkpoint.target != "trainer":
        return []
    return [
        CheckpointUse("START_OF_RUN", "run", run.id, f"run {run.id} ({run.name}) started from it; deactivate that run")
        for run in store.find(RunRecord)
        if _names(store, run.path, checkpoint) and not statuses.has_ended(run)
    ]


def _names(store: RecordStore, path: str | None, checkpoint: CheckpointRecord) -> bool:
    if path is None or checkpoint.run_id not in path:
        return False
    try:
        found = find_by_uri(store, read_uri(path, field="path"))
    except HTTPError:
        return False
    return found is not None and found.id == checkpoint.id
