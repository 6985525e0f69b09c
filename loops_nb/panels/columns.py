"""The table of the panels' tables: their columns, how each is drawn, and the lines of code that a row offers to copy."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from loops_nb.models import (
    DEPLOYMENT_STATUSES,
    DEPLOYMENT_TERMINAL,
    RUN_STATUSES,
    SAMPLER_STATUSES,
    SYNC_STATUSES,
)
from loops_nb.panels.wire import TableName, Tone

#: ``age``: a time, shown as how long ago.  ``hidden``: for the page's own use, or for the row's details.
Drawn = Literal["id", "text", "state", "age", "bytes", "count", "uri", "flag"]


class Column(Struct, frozen=True):
    """One column.

    Parameters
    ----------
    name
        As in the frames of `loops_nb.frames`, wherever that has one.
    title
        Its heading.
    drawn
        How a cell is drawn.
    rank
        How important it is where there is little room: 0 is most.  None is shown only in a row's details.
    """

    name: str
    title: str
    drawn: Drawn
    rank: int | None


def _c(name: str, title: str, drawn: Drawn, rank: int | None) -> Column:
    return Column(name, title, drawn, rank)


_FINISHED = _c("finished", "Finished", "flag", None)

#: The first column is the id that a row is known by.  ``finished`` says whether it will never change again.
COLUMNS: dict[TableName, tuple[Column, ...]] = {
    "runs": (
        _c("id", "Run", "id", 0),
        _c("name", "Name", "text", 1),
        _c("base_model", "Base model", "text", 4),
        _c("status", "State", "state", 0),
        _c("deployment_status", "Trainer", "state", 0),
        _c("sampler_status", "Sampler", "state", 1),
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
        _c("run_id", "Run", "id", 2),
        _c("base_model", "Base model", "text", 5),
        _c("uri", "URI", "uri", 2),
        _FINISHED,
    ),
}

#: Every documented state, and how it feels; a state that is not here is ``unknown``.
TONES: dict[str, Tone] = {
    **dict.fromkeys((*DEPLOYMENT_STATUSES, *SAMPLER_STATUSES), "busy"),
    **dict.fromkeys(("ACTIVE", "RUNNING", "COMPLETE"), "good"),
    **dict.fromkeys(("SCALED_TO_ZERO",), "idle"),
    **dict.fromkeys(("FAILED", "BUILD_FAILED", "DEPLOY_FAILED", "UNHEALTHY", "PREEMPTED"), "bad"),
    **dict.fromkeys(("INACTIVE", "STOPPED", "BUILD_STOPPED"), "over"),
    **dict.fromkeys(("SYNCING",), "busy"),
}
assert {*RUN_STATUSES, *DEPLOYMENT_STATUSES, *SAMPLER_STATUSES, *SYNC_STATUSES, *DEPLOYMENT_TERMINAL} <= TONES.keys()  # noqa: S101

#: Lines that a row offers to copy: what they do, and the line, in which ``{column}`` stands for a cell of the row.
LINES: dict[TableName, tuple[tuple[str, str], ...]] = {
    "runs": (
        ("Show this run", "%loops run {id}"),
        ("Watch this run", "%loops watch {id}"),
        ("List its checkpoints", "df = %loops checkpoints --run {id}"),
        ("Get it in Python", 'run = loops.runs.get("{id}")'),
        ("End it", "%loops deactivate run {id}"),
    ),
    "samplers": (
        ("Show this sampler", "%loops sampler {id}"),
        ("Get it in Python", 'sampler = loops.samplers.get("{id}")'),
        ("End it", "%loops deactivate sampler {id}"),
    ),
    "deployments": (
        ("Show this deployment", "%loops deployment {id}"),
        ("Get it in Python", 'deployment = loops.deployments.get("{id}")'),
        ("End it", "%loops deactivate deployment {id}"),
    ),
    "checkpoints": (
        ("List its files", "%loops files {id}"),
        ("List all of its run", "df = %loops checkpoints --run {run_id}"),
    ),
}
