"""System metrics of both halves of a run, a deployment or a sampler; no I/O here."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from loops_nb.api.models import DeploymentMetrics, ModelMetrics
from loops_nb.client import checks
from loops_nb.client.logs import HALVES, LogTarget, find_target
from loops_nb.client.operations import deployments, server
from loops_nb.client.request import Request
from loops_nb.errors import InvalidArgumentError

DEFAULT_AGE = timedelta(hours=1)


class SystemPart(NamedTuple):
    """The metrics of one half (``trainer`` or ``sampler``)."""

    half: str
    metrics: DeploymentMetrics | ModelMetrics


def read_system(
    word: str,
    *,
    half: str | None = None,
    since: timedelta | datetime | None = None,
    until: timedelta | datetime | None = None,
    step_seconds: int | None = None,
) -> Generator[Request[Any], Any, list[SystemPart]]:
    """Return the metrics of what a word names.

    Parameters
    ----------
    word : str
        Id or name of a run, id of a Loops deployment, or id of a sampler.
    half : {"trainer", "sampler", "both"}, optional
        Whose metrics; by default of both where there are two.
    since, until : datetime.timedelta or datetime.datetime, optional
        An age, or a time with a time zone; default is the last hour.
    step_seconds : int, optional
        Seconds between points of the trainer; default is the service's choice.

    Raises
    ------
    NotFoundError
        If there is no such run, deployment or sampler.
    InvalidArgumentError
        If an argument cannot be used, or it is on shared (serverless) capacity.
    """
    checks.optional_one_of("half", half, HALVES)
    now = datetime.now(UTC)
    last = checks.time_or_age("until", until)
    first = checks.time_or_age("since", since)
    if first is None:
        first = (last or now) - DEFAULT_AGE
    elif last is None:
        # Sent, so that an age of exactly the longest window fits when the request arrives.
        last = now
    checks.window(
        checks.epoch_millis("since", first), checks.epoch_millis("until", last), longest=server.LONGEST_METRICS
    )
    target = yield from find_halves(word, half)
    parts = yield from read_parts(target, first, last, step_seconds)
    return parts


def find_halves(word: str, half: str | None = None) -> Generator[Request[Any], Any, LogTarget]:
    """Return the target with the routes of its halves; by default of both where there are two."""
    if half is not None:
        return (yield from find_target(word, half))
    try:
        return (yield from find_target(word, "both"))
    except InvalidArgumentError:
        # Without a sampler, or with one on shared capacity.
        return (yield from find_target(word, None))


def read_parts(
    target: LogTarget, start: datetime, end: datetime | None, step_seconds: int | None
) -> Generator[Request[Any], Any, list[SystemPart]]:
    """Return the metrics of each half of a target in a window."""
    parts: list[SystemPart] = []
    for source in target.sources:
        if source.model_id is None:
            request: Request[Any] = deployments.metrics(
                source.deployment_id, start=start, end=end, step_seconds=step_seconds, time_divisor_seconds=None
            )
        else:
            request = server.model_deployment_metrics(
                source.model_id, source.deployment_id, mode=None, start=start, end=end, metrics=None
            )
        parts.append(SystemPart(source.half, (yield request)))
    return parts
