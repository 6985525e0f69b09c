"""Rules of model deployments after they were made: start again, retry, delete."""

from __future__ import annotations

from typing import NamedTuple

from loops_nb.api.states import SAMPLER_FAILED
from loops_nb.local.http_errors import HTTPError, conflict
from loops_nb.local.rules import samplers
from loops_nb.local.rules.lifecycle import state_machine
from loops_nb.local.rules.samplers import ServedModel
from loops_nb.local.rules.statuses import Statuses
from loops_nb.local.store.database import RecordStore
from loops_nb.local.store.records import SamplerRecord


class Retried(NamedTuple):
    """Whether a retry started, and why not."""

    started: bool
    reason: str | None


def activate(store: RecordStore, statuses: Statuses, served: ServedModel) -> bool:
    """Start what has ended, or wake what sleeps; return whether anything had to be done.

    Raises
    ------
    HTTPError
        409, if its run has ended, or while it is on its way down.
    """
    status = statuses.of(served)
    if status == "DEACTIVATING":
        raise conflict(f"It is DEACTIVATING; try again when it is INACTIVE ({_called(served)}).")
    if status in state_machine(served).terminal:
        _refuse_paired(served, "starts again")
        _record(store, statuses, served, "started", "on request")
        return True
    if status != "SCALED_TO_ZERO":
        return False
    _record(store, statuses, served, "activity", "activated")
    return True


def retry(store: RecordStore, statuses: Statuses, served: ServedModel) -> Retried:
    """Start a deployment again that failed; any other is left alone, with the reason."""
    status = statuses.of(served)
    if status not in SAMPLER_FAILED:
        return Retried(started=False, reason=f"It is {status}: only a deployment that failed is retried.")
    _refuse_paired(served, "starts again")
    _record(store, statuses, served, "started", "retried")
    return Retried(started=True, reason=None)


def delete(store: RecordStore, statuses: Statuses, served: ServedModel) -> None:
    """End a model deployment and forget it, which ends its use of checkpoints.

    Raises
    ------
    HTTPError
        409, for the engine of a run's sampler.
    """
    _refuse_paired(served, "is deleted")
    if isinstance(served, SamplerRecord):
        samplers.deactivate(store, statuses, served)
        with store.transaction():
            samplers.forget_engine(store, served)
    else:
        with store.transaction():
            store.delete(served)


def _refuse_paired(served: ServedModel, what: str) -> None:
    if isinstance(served, SamplerRecord) and served.run_id is not None:
        raise _paired(served, served.run_id, what)


def _paired(sampler: SamplerRecord, run_id: str, what: str) -> HTTPError:
    return conflict(
        f"Sampler {sampler.id} is paired with run {run_id}; it {what} with that run only.",
        run_id=run_id,
        sampler_id=sampler.id,
    )


def _record(store: RecordStore, statuses: Statuses, served: ServedModel, kind: str, note: str) -> None:
    with store.transaction():
        statuses.record(served, kind, note=note)


def _called(served: ServedModel) -> str:
    return f"sampler {served.id}" if isinstance(served, SamplerRecord) else f"model {served.model_name}"
