"""Tool about log lines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from loops_nb.agents.answers import AnswerSection, answer, frame_rows
from loops_nb.agents.arguments import Limit
from loops_nb.agents.connection import agent_tool, connected, shared_context
from loops_nb.client.diagnosis import is_error_text
from loops_nb.client.logs import nanos_of
from loops_nb.config.time_text import EXAMPLES
from loops_nb.errors import InvalidArgumentError
from loops_nb.magics.arguments import age_or_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loops_nb.api.models import LogLine

Half = Literal["trainer", "sampler", "both"]
Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
#: What follows an error: the end of the process, a traceback.
_AFTER = timedelta(seconds=30)
#: Lines without a level that are looked through for a failure.
_LOOKED_AT = 1_000
_NANOS_A_SECOND = 1_000_000_000


@agent_tool
def loops_logs(
    target: Annotated[str, Field(min_length=1, max_length=255, description="Run (id or name), deployment or sampler.")],
    window: Annotated[
        Literal["newest", "failure"], Field(description="The newest lines, or those around the last error.")
    ] = "newest",
    half: Annotated[
        Half | None, Field(description="Whose lines; default is the trainer's, of a sampler its own.")
    ] = None,
    min_level: Annotated[
        Level | None, Field(description="Lowest level; leaves out lines without a level. Only with window=newest.")
    ] = None,
    grep: Annotated[
        str | None, Field(max_length=500, description="Only lines that match this regular expression; window=newest.")
    ] = None,
    since: Annotated[str | None, Field(description=f"Only lines of this age at most: {EXAMPLES}.")] = None,
    limit: Limit = 40,
) -> str:
    """Read log lines of a run, a Loops deployment or a sampler, oldest first.

    With window="failure" they end shortly after the last error, so that they show what led to it.  Start with
    loops_describe_run, which names the cause.
    """
    loops, context = connected(), shared_context()
    wanted: dict[str, Any] = {"half": half, "since": None if since is None else _age(since)}
    with context.explain_unknown_id("run", target):
        if window == "newest":
            frame = loops.logs.frame(target, **wanted, min_level=min_level, grep=grep, limit=limit)
            name = "log lines, the newest"
        else:
            if min_level is not None or grep is not None:
                raise InvalidArgumentError('min_level and grep are for window="newest".', argument="window")
            end = _last_error(loops.logs.list(target, **wanted, min_level="ERROR", limit=1))
            end = end or _last_error(loops.logs.list(target, **wanted, limit=_LOOKED_AT))
            name = "log lines up to shortly after the last error"
            if end is None:
                name = "log lines, the newest, because none is an error"
            frame = loops.logs.frame(target, **wanted, until=end and end + _AFTER, limit=limit)
    # Nanoseconds would only take room.
    frame["timestamp"] = frame["timestamp"].dt.as_unit("ms")
    return answer(
        AnswerSection(
            f"{name}, oldest first (at most {limit})",
            frame_rows(frame, ("timestamp", "level", "half", "replica", "message")),
            narrow="The older ones of these; narrow with grep, min_level, since or a lower limit.",
            empty="Fewer conditions, or half=sampler, may find some.",
            keeps_last=True,
        )
    )


def _age(text: str) -> timedelta | datetime:
    try:
        return age_or_time(text)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"since {error.message}", argument="since", hint=error.hint) from None


def _last_error(lines: Sequence[LogLine]) -> datetime | None:
    """Return when the last line was written that is an error, by its level or without one by its words."""
    for line in reversed(lines):
        if line.level == "ERROR" or (line.level is None and is_error_text(line.message)):
            return datetime.fromtimestamp(nanos_of(line) // _NANOS_A_SECOND, UTC)
    return None
