"""Find records by id, or answer 404."""

from __future__ import annotations

from typing import TypeVar

from loops_nb.local.http_errors import not_found
from loops_nb.local.store.database import RecordStore
from loops_nb.local.store.records import DeploymentRecord, RunRecord, SamplerRecord, StoredRecord

T = TypeVar("T", bound=StoredRecord)


def lookup(store: RecordStore, kind: type[T], key: str | None, what: str) -> T:
    """Return the record with an id.

    Raises
    ------
    HTTPError
        404, if there is none; ``what`` names its kind.
    """
    found = store.get(kind, key)
    if found is None:
        raise not_found(what, (key or "")[:200])
    return found


def runs_on(store: RecordStore, deployment: DeploymentRecord) -> list[RunRecord]:
    """Return the runs that a deployment has hosted, newest first."""
    return store.find(RunRecord, deployment_id=deployment.id)


def deployment_of(store: RecordStore, run: RunRecord) -> DeploymentRecord | None:
    """Return the deployment of a run; None on shared capacity."""
    return store.get(DeploymentRecord, run.deployment_id)


def sampler_of(store: RecordStore, record: RunRecord | DeploymentRecord) -> SamplerRecord | None:
    """Return the sampler of a run or a deployment, if it has one."""
    return store.get(SamplerRecord, record.sampler_id)
