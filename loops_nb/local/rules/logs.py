"""Log lines of deployments and samplers: what was recorded about them, and what their processes wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from loops_nb.api.models import LOG_LEVELS
from loops_nb.local.http_errors import invalid
from loops_nb.local.rules.lifecycle import state_machine
from loops_nb.local.rules.lookup import runs_on
from loops_nb.local.rules.statuses import Statuses
from loops_nb.local.schemas import LogsQuery, ModelLogsQuery
from loops_nb.local.store.database import RecordStore
from loops_nb.local.store.records import (
    CheckpointRecord,
    DeploymentRecord,
    ModelDeploymentRecord,
    SamplerRecord,
    StatefulRecord,
    subject,
)

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


class LogEntry(NamedTuple):
    """A line: epoch milliseconds, text, level, and who says it."""

    at: int
    message: str
    level: str | None
    replica: str | None


def deployment_lines(store: RecordStore, statuses: Statuses, deployment: DeploymentRecord) -> list[LogEntry]:
    """Return the lines of a deployment's trainer, its runs and their checkpoints, oldest first; none of its sampler."""
    lines = _changes(statuses, deployment, "deployment", "trainer-0") + _activity(store, deployment, "trainer-0")
    lines += _written(store, deployment, "trainer-0")
    for run in runs_on(store, deployment):
        lines += [
            LogEntry(change.at, _say("run", run.id, change.state, change.note), "INFO", None)
            for change in statuses.history(run)
        ]
        lines += [
            LogEntry(
                saved.created_at,
                f"run {run.id}: saved {saved.target} checkpoint {saved.name} ({saved.size_bytes} bytes)",
                "INFO",
                "trainer-0",
            )
            for saved in store.find(CheckpointRecord, run_id=run.id)
        ]
    return sorted(lines, key=lambda line: line.at)


def served_lines(
    store: RecordStore, statuses: Statuses, served: SamplerRecord | ModelDeploymentRecord
) -> list[LogEntry]:
    """Return everything that is recorded about a sampler, or about a model made from checkpoints, oldest first."""
    what = "sampler" if isinstance(served, SamplerRecord) else "model deployment"
    return sorted(
        _changes(statuses, served, what, "sampler-0")
        + _activity(store, served, "sampler-0")
        + _written(store, served, "sampler-0"),
        key=lambda line: line.at,
    )


def select(lines: Iterable[LogEntry], query: LogsQuery, now: int) -> list[dict[str, Any]]:
    """Return the lines of a window as the API answers them; newest first unless ``asc`` is asked for.

    Raises
    ------
    HTTPError
        400, if the window is empty or too long, or a pattern is none of RE2.
    """
    start, end = window(query.start_epoch_millis, query.end_epoch_millis, now, DEFAULT_WINDOW_MS)
    # A lowest level leaves out lines without one.
    levels = LOG_LEVELS[LOG_LEVELS.index(query.min_level) :] if query.min_level else (*LOG_LEVELS, None)
    found = [line for line in lines if start <= line.at <= end and line.level in levels]
    if isinstance(query, ModelLogsQuery):
        found = list(filter(_text_condition(query), found))
    if query.direction != "asc":
        found.reverse()
    return [wire(line) for line in found[: query.limit or DEFAULT_LIMIT]]


def _text_condition(query: ModelLogsQuery) -> Callable[[LogEntry], bool]:
    """Return the condition of a model deployment's filters; lines here have neither request nor component."""
    if query.request_id or query.component:
        return lambda line: False  # noqa: ARG005
    includes, excludes = query.includes or [], query.excludes or []
    pattern = _re2(query.search_pattern) if query.search_pattern else None

    def is_wanted(line: LogEntry) -> bool:
        return (
            (not query.replica or line.replica == query.replica)
            and all(text in line.message for text in includes)
            and not any(text in line.message for text in excludes)
            and (pattern is None or pattern.search(line.message) is not None)
        )

    return is_wanted


def _re2(pattern: str) -> Any:
    """Compile a pattern in the language of the API, whose search takes linear time whatever the pattern is."""
    try:
        import re2  # a compiled library, for this filter only
    except ImportError:
        raise invalid(
            "search_pattern", "The package google-re2 is not installed, so search_pattern cannot be used here."
        ) from None
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        text = error.args[0] if error.args else ""
        if isinstance(text, bytes):
            text = text.decode(errors="replace")
        raise invalid("search_pattern", f"search_pattern is no RE2 pattern: {text}.") from None


def wire(line: LogEntry) -> dict[str, Any]:
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
    HTTPError
        400, if the window is empty or longer than seven days.
    """
    last = end
    if last is None:
        last = now
    first = start
    if first is None:
        first = max(0, last - default)
    if first > last:
        raise invalid(
            "start_epoch_millis", "start_epoch_millis must not lie after end_epoch_millis (now, when that is left out)."
        )
    if last - first > LONGEST_WINDOW_MS:
        raise invalid("start_epoch_millis", "The window may be seven days long at most.")
    return first, last


def _changes(
    statuses: Statuses,
    thing: DeploymentRecord | SamplerRecord | ModelDeploymentRecord,
    what: str,
    replica: str,
) -> list[LogEntry]:
    levels = dict.fromkeys(state_machine(thing).terminal - {"STOPPED", "INACTIVE"}, "ERROR")
    levels |= dict.fromkeys(_WARNINGS, "WARNING")
    return [
        LogEntry(change.at, _say(what, thing.id, change.state, change.note), levels.get(change.state, "INFO"), replica)
        for change in statuses.history(thing)
    ]


def _written(store: RecordStore, thing: StatefulRecord, replica: str) -> list[LogEntry]:
    return [LogEntry(line.at, line.message, line.level, replica) for line in store.logs.lines(subject(thing))]


def _activity(
    store: RecordStore,
    thing: DeploymentRecord | SamplerRecord | ModelDeploymentRecord,
    replica: str,
) -> list[LogEntry]:
    entries = []
    for event in store.events(subject(thing)):
        if event.kind == "activity":
            entries.append(LogEntry(event.at, f"activity: {event.note}", "DEBUG", replica))
        elif event.kind == "remark":
            entries.append(LogEntry(event.at, event.note, "INFO", replica))
        elif event.kind == "trouble":
            entries.append(LogEntry(event.at, event.note, "ERROR", replica))
    return entries


def _say(what: str, key: str, state: str, note: str) -> str:
    words = _WORDS.get(state, state)
    if what == "run":
        words = "active" if state == "ACTIVE" else "ended"
    return f"{what} {key} is {state}: {words}" + (f" ({note})" if note else "")
