"""What a run waits for, since when, and how long such a state usually takes here; without I/O."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

from loops_nb.api.models import Deployment, Run
from loops_nb.api.states import DEPLOYMENT_STATUSES, RUN_TERMINAL, SAMPLER_STATUSES, status_name
from loops_nb.client.logs import HalfLine, find_target, log_query, nanos_of, read_target
from loops_nb.client.operations import runs
from loops_nb.client.request import Request
from loops_nb.errors import LoopsError
from loops_nb.render.formatting import many, roughly

Steps = Generator[Request[Any], Any, Any]
#: Other runs whose logs are read, the newest first.
_MOST_RUNS = 6
_FIRST_LINES = 300
_START_UP = timedelta(hours=3)
_STATUSES = {"trainer": DEPLOYMENT_STATUSES, "sampler": SAMPLER_STATUSES}
#: The states that only a new half has, so that they began with its creation.
_FIRST = {"trainer": "CREATED", "sampler": "BUILDING"}
_WAITS_FOR = {
    "CREATED": "free machines with its GPUs",
    "BUILDING": "its serving image to be built",
    "DEPLOYING": "its nodes to start",
    "LOADING_MODEL": "the weights of the base model to be loaded",
    "WAKING_UP": "its nodes to start again, after it had scaled to zero",
    "UPDATING": "new weights to be taken over; it answers meanwhile",
    "UNHEALTHY": "its health checks to pass again",
    "DEACTIVATING": "its shutdown",
    "SCALED_TO_ZERO": "a request: it is idle, holds no GPUs, and wakes up with the next one",
}
_READY = {"RUNNING", "ACTIVE"}


class HalfState(NamedTuple):
    """The state of one half of a run.

    Parameters
    ----------
    half, status : str
        ``trainer`` or ``sampler``, and its state.
    waits_for : str
        In words; empty when it waits for nothing.
    since : datetime or None
        When the state began; None where nothing tells.
    source : str
        What tells it.
    usual : str
        How long such a state takes here; empty when it waits for nothing.
    """

    half: str
    status: str
    waits_for: str
    since: datetime | None
    source: str
    usual: str

    def text(self, since: str, now: datetime) -> str:
        """Return it as text; ``since`` is the formatted time."""
        head = f"{self.half.capitalize()}: {self.status}"
        if self.since is not None:
            head += f" since {since} ({roughly((now - self.since).total_seconds())}), {self.source}"
        elif self.waits_for:
            head += "; since when is not known"
        parts = [f"{head}."]
        if self.waits_for:
            parts.append(f"  Waits for {self.waits_for}.")
        if self.usual:
            parts.append(f"  {self.usual}")
        return "\n".join(parts)


def half_states(run: Run, deployment: Deployment | None) -> Generator[Request[Any], Any, list[HalfState]]:
    """Return the states of the halves of a run.

    Parameters
    ----------
    run, deployment : Run, Deployment or None
        As they were listed.
    """
    found = []
    for half, thing in (("trainer", deployment), ("sampler", run.sampler)):
        status = status_name(thing)
        if status is None or status_name(run) in RUN_TERMINAL:
            continue
        since, source = yield from state_since(run, half, status)
        waits_for = "" if status in _READY else _WAITS_FOR.get(status, "")
        usual = ""
        if waits_for and status != "SCALED_TO_ZERO":
            usual = yield from _usual(run, half, status)
        found.append(HalfState(half, status, waits_for, since, source, usual))
    return found


def state_since(run: Run, half: str, status: str) -> Generator[Request[Any], Any, tuple[datetime | None, str]]:
    """Return when the state of a half began and what tells it; None where nothing does."""
    lines: Sequence[HalfLine] = ()
    try:
        target = yield from find_target(run.id, half)
        reading = yield from read_target(target, log_query(min_level="INFO", limit=_FIRST_LINES))
        lines = reading.lines
    except LoopsError:
        pass  # the state stands all the same
    changes = state_changes(lines, _STATUSES[half])
    if changes and changes[-1][1] == status:
        return changes[-1][0], "by its log"
    if status == _FIRST[half] and run.created_at is not None:
        return run.created_at, "as it has been since it was created"
    return None, ""


def _usual(run: Run, half: str, status: str) -> Steps:
    try:
        listed: list[Run] = yield runs.list_()
    except LoopsError:
        listed = []
    listed = sorted(listed, key=lambda one: one.created_at or datetime.min.replace(tzinfo=UTC), reverse=True)
    # Another model takes another time, so those come second; its own earlier start counts too.
    same = [one for one in listed if one.base_model == run.base_model]
    for model, others in ((str(run.base_model), same), ("other models", [one for one in listed if one not in same])):
        seconds: list[float] = []
        for other in others[:_MOST_RUNS]:
            try:
                seconds += yield from _lasted(other, half, status)
            except LoopsError:
                continue
        if seconds:
            return _usual_text(status, seconds, model)
    return f"How long {status} usually takes here is not known: no log of another run tells it."


def _usual_text(status: str, seconds: Sequence[float], model: str) -> str:
    longest = "" if len(seconds) == 1 else f", the longest {roughly(max(seconds))}"
    return (
        f"{status} usually takes {roughly(median(seconds))} here (median of {many(len(seconds), 'time')} in the logs "
        f"of runs of {model}{longest})."
    )


def _lasted(run: Run, half: str, status: str) -> Steps:
    target = yield from find_target(run.id, half)
    start = (run.created_at or datetime.now(UTC)) - timedelta(minutes=1)
    found: list[float] = []
    for source in target.sources:
        query = log_query(since=start, until=min(datetime.now(UTC), start + _START_UP), limit=_FIRST_LINES)
        request = source.request(start=query.since, end=query.until, limit=1000, min_level="INFO")
        answered = yield request
        lines = sorted((HalfLine(nanos_of(line), half, line) for line in answered), key=lambda line: line.nanos)
        changes = state_changes(lines, _STATUSES[half])
        found += [(later - at).total_seconds() for (at, name), (later, _) in pairwise(changes) if name == status]
    return found


def state_changes(lines: Iterable[HalfLine], statuses: Sequence[str]) -> list[tuple[datetime, str]]:
    """Return when log lines say that a state began, oldest first; the states are written in capitals."""
    named = re.compile(rf"\b({'|'.join(statuses)})\b")
    found: list[tuple[datetime, str]] = []
    for line in lines:
        match = named.search(line.line.message)
        if match is not None and (not found or found[-1][1] != match[1]):
            found.append((line.shown(half=False).at, match[1]))
    return found
