"""Tables of the panels: columns, values of their cells, and the lines of code that a row offers to copy.

A column is declared in `COLUMNS` and filled in the function of its table below.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from msgspec import Struct

from loops_nb.api.gpus import (
    gpu_types,
    gpus_held_by_run,
    gpus_of,
    holds_gpus,
    is_alive,
    is_serverless,
    is_serverless_run,
    run_is_finished,
    sum_of_known,
)
from loops_nb.api.models import Checkpoint, Deployment, Run, Sampler
from loops_nb.api.states import (
    DEPLOYMENT_TERMINAL,
    ENDED,
    FAILED,
    IN_TRANSITION,
    RUN_TERMINAL,
    SAMPLER_TERMINAL,
    SLEEPING,
    WORKING,
    status_name,
)
from loops_nb.api.step_names import step_of
from loops_nb.panels.messages import Cell, Row, TableName, Tone
from loops_nb.render.formatting import many

#: ``age``: a time, shown as how long ago; ``expires_at`` as how long until then.  ``number``: a value of a metric.
#: ``spark``: a sparkline, as `loops_nb.panels.experiments.sparkline.Sparkline` writes it.  ``hidden``: for the page's
#: own use, or for the row's details.
Drawn = Literal["id", "text", "state", "age", "bytes", "count", "uri", "flag", "number", "spark"]


class PanelColumn(Struct, frozen=True):
    """One column.

    Parameters
    ----------
    name : str
        As in the frames of `loops_nb.frames`, wherever that has one.
    title : str
        Its heading.
    drawn : str
        How a cell is drawn.
    rank : int or None
        Importance where space is short: 0 is most.  None is shown only in a row's details.
    """

    name: str
    title: str
    drawn: Drawn
    rank: int | None


class RecordedRun(NamedTuple):
    """What is recorded of a run on this machine: last value of its loss, last step, sparkline, tokens trained on."""

    value: Cell
    step: int | None
    spark: str | None
    tokens: int | None = None


def _c(name: str, title: str, drawn: Drawn, rank: int | None) -> PanelColumn:
    return PanelColumn(name, title, drawn, rank)


_FINISHED = _c("finished", "Finished", "flag", None)

#: The first column is the id that a row is known by.  ``finished`` says whether it will never change again.
COLUMNS: dict[TableName, tuple[PanelColumn, ...]] = {
    "runs": (
        _c("id", "Run", "id", 0),
        _c("name", "Name", "text", 1),
        _c("base_model", "Base model", "text", 2),
        _c("status", "State", "state", 0),
        _c("deployment_status", "Trainer", "state", 0),
        _c("sampler_status", "Sampler", "state", 1),
        _c("spark", "Curve", "spark", 2),
        _c("last_value", "Last loss", "number", 2),
        _c("last_step", "Step", "count", 2),
        _c("gpus", "GPUs", "count", 2),
        _c("last_checkpoint", "Last checkpoint", "text", 3),
        _c("last_checkpoint_at", "Saved", "age", 3),
        _c("created_at", "Age", "age", 2),
        _c("owner", "Owner", "text", 5),
        _c("gpu_type", "GPU type", "text", None),
        _c("session_id", "Session", "id", None),
        _c("deployment_id", "Deployment", "id", None),
        _c("sampler_id", "Sampler id", "id", None),
        _FINISHED,
    ),
    "samplers": (
        _c("id", "Sampler", "id", 0),
        _c("base_model", "Base model", "text", 1),
        _c("status", "State", "state", 0),
        _c("run_id", "Run", "id", 2),
        _c("gpus", "GPUs", "count", 1),
        _c("gpu_type", "GPU type", "text", 4),
        _c("created_at", "Age", "age", 2),
        _c("owner", "Owner", "text", 5),
        _c("base_checkpoint", "Checkpoint", "uri", None),
        _c("model_id", "Model", "id", None),
        _c("deployment_id", "Model deployment", "id", None),
        _FINISHED,
    ),
    "deployments": (
        _c("id", "Deployment", "id", 0),
        _c("base_model", "Base model", "text", 2),
        _c("status", "Trainer", "state", 0),
        _c("sampler_status", "Sampler", "state", 1),
        _c("active_run_id", "Active run", "id", 1),
        _c("latest_run_id", "Latest run", "id", 4),
        _c("gpus", "GPUs", "count", 1),
        _c("gpu_type", "GPU type", "text", 4),
        _c("created_at", "Age", "age", 2),
        _c("availability_model", "Capacity", "text", 5),
        _c("owner", "Owner", "text", 5),
        _c("sampler_id", "Sampler id", "id", None),
        _FINISHED,
    ),
    "checkpoints": (
        _c("id", "Checkpoint", "id", 3),
        _c("checkpoint_id", "Name", "text", 0),
        _c("step", "Step", "count", 1),
        _c("target", "Target", "text", 0),
        _c("size_bytes", "Size", "bytes", 1),
        _c("sync_status", "Sync", "state", 1),
        _c("created_at", "Saved", "age", 1),
        _c("expires_at", "Vanishes", "age", 1),
        _c("run_id", "Run", "id", 2),
        _c("base_model", "Base model", "text", 5),
        _c("uri", "URI", "uri", 2),
        _FINISHED,
    ),
}

#: What stands in place of the state of a trainer, and of a GPU type, on shared capacity, which has neither.
SERVERLESS = "SERVERLESS"
#: What stands in place of the states of a run that was deleted.
DELETED = "DELETED"

#: Every documented state, and how it feels; a state that is not here is ``unknown``.
TONES: dict[str, Tone] = {
    **dict.fromkeys(sorted(IN_TRANSITION), "busy"),
    **dict.fromkeys(sorted(WORKING), "good"),
    **dict.fromkeys(sorted(SLEEPING), "idle"),
    **dict.fromkeys(sorted(FAILED), "bad"),
    **dict.fromkeys(sorted(ENDED), "over"),
    SERVERLESS: "good",
    DELETED: "over",
}

#: Lines that a row offers to copy: what they do, and the line, in which ``{column}`` stands for a cell of the row.
LINES: dict[TableName, tuple[tuple[str, str], ...]] = {
    "runs": (
        ("Show this run", "%loops run {id}"),
        ("Watch this run", "%loops watch {id}"),
        ("List its checkpoints", "df = %loops checkpoints --run {id}"),
        ("Read its log", "%loops logs {id}"),
        ("Watch its GPUs beside its loss", "%loops watch system {id}"),
        ("Get it in Python", 'run = loops.runs.get("{id}")'),
        ("End it", "%loops deactivate run {id}"),
    ),
    "samplers": (
        ("Show this sampler", "%loops sampler {id}"),
        ("Read its log", "%loops logs {id}"),
        ("Get it in Python", 'sampler = loops.samplers.get("{id}")'),
        ("End it", "%loops deactivate sampler {id}"),
    ),
    "deployments": (
        ("Show this deployment", "%loops deployment {id}"),
        ("Read its log", "%loops logs {id}"),
        ("Get it in Python", 'deployment = loops.deployments.get("{id}")'),
        ("End it", "%loops deactivate deployment {id}"),
    ),
    "checkpoints": (
        ("List its files", "%loops files {id}"),
        ("List all of its run", "df = %loops checkpoints --run {run_id}"),
        ("Export its adapter", "%loops export-adapter {uri} -o {checkpoint_id}"),
        # Offered for what can be deployed; the line without a type of hardware says which there are.
        ("Deploy it", "%loops deploy {uri} --name {checkpoint_id} --instance-type TYPE"),
    ),
}

_NAMES: dict[TableName, tuple[str, ...]] = {table: tuple(c.name for c in kind) for table, kind in COLUMNS.items()}


def run_row(
    run: Run, deployment: Deployment | None, newest: Checkpoint | None, recorded: RecordedRun | None = None
) -> Row:
    """Return a run's row.

    Parameters
    ----------
    run : Run
        The run.
    deployment : Deployment or None
        Its deployment, if it is known.
    newest : Checkpoint or None
        Its newest checkpoint, if it is known.
    recorded : RecordedRun or None, default None
        What this machine has recorded of it.
    """
    sampler = run.sampler
    deployment_status, gpus, gpu_type = (
        status_name(deployment),
        gpus_held_by_run(run, deployment),
        gpu_types(_gpu_type(deployment), _gpu_type(sampler)),
    )
    tokens: Cell = None
    if is_serverless_run(run, deployment):
        gpu_type = SERVERLESS.lower()
        deployment_status = None if status_name(run) in RUN_TERMINAL else SERVERLESS
        tokens = many(recorded.tokens, "token") if recorded and recorded.tokens else None
    return _row(
        "runs",
        id=run.id,
        name=run.name,
        base_model=run.base_model,
        status=status_name(run),
        deployment_status=deployment_status,
        sampler_status=status_name(sampler),
        spark=recorded.spark if recorded else None,
        last_value=recorded.value if recorded else None,
        last_step=recorded.step if recorded else None,
        # Shared capacity holds no GPUs: what it bills are tokens.
        gpus=tokens or gpus,
        last_checkpoint=newest.checkpoint_id if newest else None,
        last_checkpoint_at=millis(newest.created_at) if newest else None,
        created_at=millis(run.created_at),
        owner=run.user.email if run.user else None,
        gpu_type=gpu_type,
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
        status=status_name(sampler),
        run_id=run_id,
        gpus=gpus_of(sampler) if holds_gpus(sampler) else 0,
        gpu_type=SERVERLESS.lower() if is_serverless(sampler) else _gpu_type(sampler),
        created_at=millis(sampler.created_at),
        owner=sampler.user.email if sampler.user else None,
        base_checkpoint=sampler.base_checkpoint,
        model_id=sampler.model_id,
        deployment_id=sampler.deployment_id,
        finished=status_name(sampler) in SAMPLER_TERMINAL,
    )


def deployment_row(deployment: Deployment) -> Row:
    """Return a deployment's row, its GPUs those of both halves."""
    sampler = deployment.sampler
    parts: tuple[Deployment | Sampler, ...] = (deployment,) if sampler is None else (deployment, sampler)
    return _row(
        "deployments",
        id=deployment.id,
        base_model=deployment.base_model,
        status=status_name(deployment),
        sampler_status=status_name(sampler),
        active_run_id=deployment.active_run_id,
        latest_run_id=deployment.latest_run_id,
        gpus=sum_of_known(gpus_of(part) for part in parts if is_alive(part)),
        gpu_type=gpu_types(_gpu_type(deployment), _gpu_type(sampler)),
        created_at=millis(deployment.created_at),
        availability_model=deployment.availability_model,
        owner=deployment.user.email if deployment.user else None,
        sampler_id=sampler.id if sampler else None,
        finished=status_name(deployment) in DEPLOYMENT_TERMINAL,
    )


def checkpoint_row(checkpoint: Checkpoint, expires_at: float | None = None) -> Row:
    """Return a checkpoint's row; ``expires_at`` is when it vanishes, as far as that is recorded here."""
    return _row(
        "checkpoints",
        id=checkpoint.id,
        checkpoint_id=checkpoint.checkpoint_id,
        step=step_of(checkpoint.checkpoint_id),
        target=checkpoint.target,
        size_bytes=checkpoint.size_bytes,
        sync_status=checkpoint.sync_status,
        created_at=millis(checkpoint.created_at),
        expires_at=expires_at,
        run_id=checkpoint.run_id,
        base_model=checkpoint.base_model,
        uri=checkpoint.uri,
        finished=False,
    )


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


def _gpu_type(part: Deployment | Sampler | None) -> str | None:
    if part is None or part.instance_type is None:
        return None
    return part.instance_type.gpu_type
