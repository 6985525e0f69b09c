"""``%loops logs TARGET``."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from loops_nb.api.models import LOG_LEVELS
from loops_nb.client.logs import HALVES, HalfLine, LogQuery, LogTail, find_target, log_query
from loops_nb.config.time_zone import display_zone
from loops_nb.errors import InvalidArgumentError, RateLimitError, ServerError, ServiceUnreachableError
from loops_nb.magics.arguments import LOGGED, age_or_time, int_option
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import InShell, Values, Verb, option, switch
from loops_nb.render.log_lines import text_line

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.panels import LogsPanel

_CONDITIONS = ("half", "since", "until", "grep", "min_level", "limit")
_PAUSE_SECONDS = 2.0


def _run(context: MagicContext, values: Values) -> pd.DataFrame | LogsPanel | None:
    wanted = {name: getattr(values, name) for name in _CONDITIONS}
    if values.follow:
        return follow(context, values.target, wanted)
    with context.explain_unknown_id("run", values.target):
        frame = context.loops.logs.frame(values.target, **wanted)
    conditions = [name for name in ("grep", "min_level", "since", "until") if wanted[name] is not None]
    nothing = f"No log lines of {values.target}."
    if conditions:
        flags = {"min_level": "--level"}
        named = " and ".join(flags.get(name, f"--{name}") for name in conditions)
        nothing = f"No log lines of {values.target} match {named}; fewer conditions find more."
    return context.listing("logs", frame, nothing=nothing)


def follow(context: MagicContext, target: str, wanted: dict[str, object]) -> LogsPanel | None:
    """Follow log lines: in a panel in a notebook, line by line in a terminal until Ctrl-C."""
    from loops_nb.panels.cells import is_notebook  # only with a panel

    if wanted["until"] is not None:
        raise InvalidArgumentError("--follow has no end; leave --until out.", argument="until")
    query = log_query(**wanted)  # type: ignore[arg-type]  # checked there
    with context.explain_unknown_id("run", target):
        if is_notebook():
            del wanted["until"]
            panel = context.loops.logs.watch(target, **wanted, time_zone=context.settings.time_zone)  # type: ignore[arg-type]
            # At once, not as the cell's result: the line often comes before a training loop.
            panel.show()
            return panel
        _print_new_lines(context, target, query)
    return None


def _print_new_lines(context: MagicContext, target: str, query: LogQuery) -> None:
    from loops_nb.client.transport import Transport  # httpx

    zone = display_zone(context.settings.time_zone)
    with closing(Transport(context.loops.config)) as transport:
        found = transport.send_each(find_target(target, query.half))
        follower = LogTail(found, query)
        failing = ""
        try:
            while True:
                try:
                    lines = transport.send_each(follower.steps()).lines
                except (ServiceUnreachableError, ServerError, RateLimitError) as error:
                    # A service that restarts is followed on; what was written meanwhile comes then.
                    if not failing:
                        context.say(f"{error} Still following; Ctrl-C stops.")
                    failing = str(error)
                else:
                    if failing:
                        context.say("The service answers again.")
                    failing = ""
                    for line in lines:
                        context.print_row(_row(line), text_line(line.shown(half=len(found.sources) > 1), zone))
                time.sleep(_PAUSE_SECONDS)
        except KeyboardInterrupt:
            context.say(f"Stopped following the log of {found.what} {found.id}; it goes on.")


def _row(line: HalfLine) -> dict[str, str | None]:
    """Return the fields of a line as a listing of log lines has them."""
    seconds, nanos = divmod(line.nanos, 10**9)
    at = datetime.fromtimestamp(seconds, UTC)
    return {
        "timestamp": f"{at:%Y-%m-%dT%H:%M:%S}.{nanos:09d}Z",
        "level": line.line.level,
        "half": line.half,
        "replica": line.line.replica,
        "request_id": line.line.request_id,
        "message": line.line.message,
    }


VERB = Verb(
    name="logs",
    summary="show the log lines of a run, a deployment or a sampler",
    run=_run,
    returns_frame=True,
    kinds=("logs",),
    arguments=(LOGGED,),
    options=(
        option(
            "--half", "HALF", "trainer (default for runs and deployments), sampler, or both, merged", choices=HALVES
        ),
        option("--since", "AGE", "start: 90m, 6h, 2d or an ISO time", free_text=True, convert=age_or_time),
        option("--until", "AGE", "end, in the same forms; default is now", free_text=True, convert=age_or_time),
        option("--grep", "RE", "only lines in which this regular expression is found", free_text=True),
        option("--level", "LEVEL", "minimum log level", name="min_level", choices=LOG_LEVELS),
        int_option("--limit", "the newest N lines; default 500, or with --since all up to 100,000"),
        switch("-f --follow", "live panel of the lines as they come; in a terminal they are printed until Ctrl-C"),
    ),
    notes="Oldest line first. A service answers 1,000 lines at a time: as many requests are sent as are needed. "
    "A sampler's lines are those of its model deployment. --level leaves out lines without a level.",
    shell=InShell(helps={"--follow": "print the lines as they come, until Ctrl-C; with --jsonl as objects"}),
    examples=(
        "%loops logs p2syas8",
        "df = %loops logs p2syas8 --half both --since 2h --level WARNING",
        "%loops logs p2syas8 --grep OutOfMemory --since 7d",
    ),
)
