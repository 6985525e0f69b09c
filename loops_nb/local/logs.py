"""Log lines and their selection: what the recorded events say, in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from loops_nb.local import queries
from loops_nb.local.lifecycle import REMARKS
from loops_nb.local.problems import invalid
from loops_nb.local.records import CheckpointRecord, DeploymentRecord, ModelDeploymentRecord, SamplerRecord
from loops_nb.local.service import Service, machine, subject
from loops_nb.models import LOG_LEVELS

DEFAULT_WINDOW_MS = 30 * 60 * 1000
LONGEST_WINDOW_MS = 7 * 24 * 3600 * 1000
DEFAULT_LIMIT = 500

_WORDS = {
    "CREATED": "created, waiting for capacity",
    "BUILDING": "building the serving image",
    "DEPLOYING": "starting the nodes",
    "LOADING_MODEL": "loading the base model's weights",
    "WAKING_UP": "waking up",
    "UPDATING": "taking over new weights",
    "RUNNING": "ready",
    "ACTIVE": "ready",
    "SCALED_TO_ZERO": "idle, scaled to zero; no GPUs are held",
    "UNHEALTHY": "health check failed",
    "DEACTIVATING": "shutting down",
    "INACTIVE": "shut down",
    "STOPPED": "shut down; its checkpoints stay",
    "FAILED": "failed",
    "BUILD_FAILED": "the build failed",
    "BUILD_STOPPED": "the build was stopped",
    "DEPLOY_FAILED": "the nodes could not be started",
    "PREEMPTED": "spot capacity was reclaimed; its checkpoints stay",
}
_WARNINGS = {"SCALED_TO_ZERO", "UNHEALTHY", "PREEMPTED", "BUILD_STOPPED"}


class Line(NamedTuple):
    """A line: epoch milliseconds, text, level, and who says it."""

    at: int
    message: str
    level: str
    replica: str | None


def deployment_lines(service: Service, deployment: DeploymentRecord) -> list[Line]:
    """Return everything that is recorded about a deployment, its runs, its checkpoints and its sampler, oldest first."""
    lines = _changes(service, deployment, "deployment", "trainer-0") + _activity(service, deployment, "trainer-0")
    for run in service.runs_on(deployment):
        lines += [Line(change.at, _say("run", run.id, change.state, change.note), "INFO", None) for change in service.history(run)]
        lines += [
            Line(
                saved.created_at,
                f"run {run.id}: saved {saved.target} checkpoint {saved.name} ({saved.size_bytes} bytes)",
                "INFO",
                "trainer-0",
            )
            for saved in service.store.find(CheckpointRecord, run_id=run.id)
        ]
    sampler = service.store.get(SamplerRecord, deployment.sampler_id) if deployment.sampler_id else None
    if sampler is not None:
        lines += _changes(service, sampler, "sampler", "sampler-0")
        lines += [line for line in _activity(service, sampler, "sampler-0") if line.level != "DEBUG"]
    return sorted(lines, key=lambda line: line.at)


def served_lines(service: Service, served: SamplerRecord | ModelDeploymentRecord) -> list[Line]:
    """Return everything that is recorded about a sampler, or about a model made from checkpoints, oldest first."""
    what = "sampler" if isinstance(served, SamplerRecord) else "model deployment"
    return sorted(_changes(service, served, what, "sampler-0") + _activity(service, served, "sampler-0"), key=lambda line: line.at)


def select(lines: Iterable[Line], query: queries.Logs, now: int) -> list[dict[str, Any]]:
    """Return the lines of a window as the API answers them; newest first unless ``asc`` is asked for."""
    start, end = window(query.start_epoch_millis, query.end_epoch_millis, now, DEFAULT_WINDOW_MS)
    levels = LOG_LEVELS[LOG_LEVELS.index(query.min_level) :] if query.min_level else LOG_LEVELS
    found = [line for line in lines if start <= line.at <= end and line.level in levels]
    if query.direction != "asc":
        found.reverse()
    return [wire(line) for line in found[: query.limit or DEFAULT_LIMIT]]


def wire(line: Line) -> dict[str, Any]:
    """Return a line as the API answers it."""
    return {
        "timestamp": str(line.at * 1_000_000),
        "message": line.message,
        "replica": line.replica,
        "request_id": None,
        "level": line.level,
    }


def window(start: int | None, end: int | None, now: int, default: int) -> tuple[int, int]:
    """Return start and end in epoch milliseconds.

    Raises
    ------
    Problem
        400, if the window is empty or longer than seven days.
    """
    last = now if end is None else end
    first = max(0, last - default) if start is None else start
    if first > last:
        raise invalid("start_epoch_millis", "start_epoch_millis must not lie after end_epoch_millis (now, when that is left out).")
    if last - first > LONGEST_WINDOW_MS:
        raise invalid("start_epoch_millis", "The window may be seven days long at most.")
    return first, last


def _changes(service: Service, thing: DeploymentRecord | SamplerRecord | ModelDeploymentRecord, what: str, replica: str) -> list[Line]:
    failed = machine(thing).terminal - {"STOPPED", "INACTIVE"} - _WARNINGS
    return [
        Line(
            change.at,
            _say(what, thing.id, change.state, change.note),
            "ERROR" if change.state in failed else "WARNING" if change.state in _WARNINGS else "INFO",
            replica,
        )
        for change in service.history(thing)
    ]


def _activity(service: Service, thing: DeploymentRecord | SamplerRecord | ModelDeploymentRecord, replica: str) -> list[Line]:
    events = service.store.events(subject(thing))
    told = [Line(event.at, f"activity: {event.note}", "DEBUG", replica) for event in events if event.kind == "activity"]
    remarks = [event for event in events if event.kind in REMARKS]
    return told + [Line(event.at, event.note, "INFO" if event.kind == "remark" else "ERROR", replica) for event in remarks]


def _say(what: str, key: str, state: str, note: str) -> str:
    words = "active" if what == "run" and state == "ACTIVE" else "ended" if what == "run" else _WORDS.get(state, state)
    return f"{what} {key} is {state}: {words}" + (f" ({note})" if note else "")
