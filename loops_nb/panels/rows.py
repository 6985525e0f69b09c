"""Objects of the API as rows of a panel's tables."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from loops_nb.models import (
    DEPLOYMENT_ALIVE,
    DEPLOYMENT_TERMINAL,
    RUN_TERMINAL,
    SAMPLER_ALIVE,
    SAMPLER_TERMINAL,
    Checkpoint,
    Deployment,
    InstanceType,
    Run,
    Sampler,
    Status,
)
from loops_nb.panels.columns import COLUMNS
from loops_nb.steps import step_of

if TYPE_CHECKING:
    from loops_nb.panels.wire import Row, TableName

_NAMES: dict[TableName, tuple[str, ...]] = {table: tuple(c.name for c in kind) for table, kind in COLUMNS.items()}


def run_row(run: Run, deployment: Deployment | None, newest: Checkpoint | None) -> Row:
    """Return a run's row.

    Parameters
    ----------
    run
        The run.
    deployment
        The Loops deployment that it executes on, or executed on last; None if it is not known.
    newest
        Its newest checkpoint, if one is known.
    """
    sampler = run.sampler
    return _row(
        "runs",
        id=run.id,
        name=run.name,
        base_model=run.base_model,
        status=state(run.status),
        deployment_status=state(deployment.status) if deployment else None,
        sampler_status=state(sampler.status) if sampler else None,
        gpus=gpus_held(run, deployment),
        last_checkpoint=newest.checkpoint_id if newest else None,
        last_checkpoint_at=millis(newest.created_at) if newest else None,
        created_at=millis(run.created_at),
        owner=run.user.email if run.user else None,
        gpu_type=_gpu_types(deployment.instance_type if deployment else None, sampler.instance_type if sampler else None),
        session_id=run.session_id,
        deployment_id=run.deployment_id or (deployment.id if deployment else None),
        sampler_id=sampler.id if sampler else None,
        finished=run_is_finished(run, deployment),
    )


def sampler_row(sampler: Sampler, run_id: str | None) -> Row:
    """Return a sampler's row; ``run_id`` is the run it is paired with."""
    return _row(
        "samplers",
        id=sampler.id,
        base_model=sampler.base_model,
        status=state(sampler.status),
        run_id=run_id,
        gpus=gpus_of(sampler) if is_alive(sampler) and not is_serverless(sampler) else 0,
        gpu_type=sampler.instance_type.gpu_type if sampler.instance_type else None,
        created_at=millis(sampler.created_at),
        owner=sampler.user.email if sampler.user else None,
        base_checkpoint=sampler.base_checkpoint,
        model_id=sampler.model_id,
        deployment_id=sampler.deployment_id,
        finished=state(sampler.status) in SAMPLER_TERMINAL,
    )


def deployment_row(deployment: Deployment) -> Row:
    """Return a deployment's row, its GPUs those of both halves."""
    sampler = deployment.sampler
    return _row(
        "deployments",
        id=deployment.id,
        base_model=deployment.base_model,
        status=state(deployment.status),
        sampler_status=state(sampler.status) if sampler else None,
        active_run_id=deployment.active_run_id,
        latest_run_id=deployment.latest_run_id,
        gpus=_sum([gpus_of(half) for half in (deployment, sampler) if half is not None and is_alive(half)]),
        gpu_type=_gpu_types(deployment.instance_type, sampler.instance_type if sampler else None),
        created_at=millis(deployment.created_at),
        availability_model=deployment.availability_model,
        owner=deployment.user.email if deployment.user else None,
        sampler_id=sampler.id if sampler else None,
        finished=state(deployment.status) in DEPLOYMENT_TERMINAL,
    )


def checkpoint_row(checkpoint: Checkpoint) -> Row:
    """Return a checkpoint's row."""
    return _row(
        "checkpoints",
        id=checkpoint.id,
        checkpoint_id=checkpoint.checkpoint_id,
        step=step_of(checkpoint.checkpoint_id),
        target=checkpoint.target,
        size_bytes=checkpoint.size_bytes,
        sync_status=checkpoint.sync_status,
        created_at=millis(checkpoint.created_at),
        run_id=checkpoint.run_id,
        base_model=checkpoint.base_model,
        uri=checkpoint.uri,
        finished=False,
    )


def run_is_finished(run: Run, deployment: Deployment | None) -> bool:
    """Tell whether a run is over for good and holds nothing any more."""
    return state(run.status) in RUN_TERMINAL and gpus_held(run, deployment) == 0


def gpus_held(run: Run, deployment: Deployment | None) -> int | None:
    """Return the GPUs that a run's halves hold now; None if that cannot be told.

    A deployment may have gone on to serve another run: then it is that run's.
    """
    held: list[int | None] = []
    if deployment is not None and is_alive(deployment) and serves(deployment, run):
        held.append(gpus_of(deployment))
    # A sampler belongs to the run while the deployment does, or when the run is all there is.
    sampler = run.sampler
    if sampler is not None and is_alive(sampler) and not is_serverless(sampler) and (deployment is None or serves(deployment, run)):
        held.append(gpus_of(sampler))
    return _sum(held)


def serves(deployment: Deployment, run: Run) -> bool:
    """Tell whether a deployment is there for a run: serving it now, or having served none since."""
    if deployment.active_run_id is not None:
        return deployment.active_run_id == run.id
    return deployment.latest_run_id in (None, run.id)


def is_alive(thing: Deployment | Sampler) -> bool:
    """Tell whether a deployment or a sampler holds GPUs, or is about to."""
    return state(thing.status) in (SAMPLER_ALIVE if isinstance(thing, Sampler) else DEPLOYMENT_ALIVE)


def is_serverless(thing: Deployment | Sampler) -> bool:
    """Tell whether it runs on shared capacity, which holds no GPUs of the caller's: a sampler with nothing of its own behind it."""
    return isinstance(thing, Sampler) and thing.status is not None and thing.deployment_id is None and thing.instance_type is None


def gpus_of(thing: Deployment | Sampler) -> int | None:
    """Return the GPUs of a deployment's trainer or of a sampler: nodes times GPUs of a node; None if the service does not say."""
    if thing.instance_type is None or thing.instance_type.gpu_count is None:
        return None
    return thing.instance_type.gpu_count * (1 if thing.node_count is None else thing.node_count)


def state(status: Status | None) -> str | None:
    """Return the name of a state."""
    return status.name if status is not None else None


def millis(when: datetime | None) -> float | None:
    """Return epoch milliseconds; a time without an offset counts as UTC."""
    if when is None:
        return None
    return round((when if when.tzinfo is not None else when.replace(tzinfo=UTC)).timestamp() * 1000)


def cell(row: Row, table: TableName, column: str) -> Any:
    """Return one cell of a row."""
    return row[_NAMES[table].index(column)]


def _row(table: TableName, **cells: Any) -> Row:
    return tuple(cells[name] for name in _NAMES[table])


def _gpu_types(*halves: InstanceType | None) -> str | None:
    return " + ".join(dict.fromkeys(half.gpu_type for half in halves if half is not None and half.gpu_type)) or None


def _sum(counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
