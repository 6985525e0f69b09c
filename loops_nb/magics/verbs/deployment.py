"""``%loops deployment ID``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from loops_nb.errors import InvalidArgumentError
from loops_nb.magics.grammar import Option, Verb
from loops_nb.magics.values import moment
from loops_nb.magics.verbs.options import count, identifier
from loops_nb.models import LOG_LEVELS

if TYPE_CHECKING:
    from types import SimpleNamespace

    import pandas as pd

    from loops_nb.magics.desk import Desk
    from loops_nb.models import Deployment

_LINES = 500
_LONGEST_AGO = timedelta(days=7)


def _run(desk: Desk, values: SimpleNamespace) -> Deployment | pd.DataFrame:
    if values.logs:
        values.id = desk.deployment_id(values.id)
        return _logs(desk, values)
    for name, flag in (("since", "--since"), ("limit", "--limit"), ("min_level", "--level")):
        if getattr(values, name) is not None:
            raise InvalidArgumentError(f"%loops deployment: {flag} is about log lines.", argument=name, hint="Add --logs to the line.")
    with desk.naming("deployment", values.id):
        return desk.loops.deployments.get(desk.deployment_id(values.id))


def _logs(desk: Desk, values: SimpleNamespace) -> pd.DataFrame:
    # The service's window is seven days at most: both its ends are given, or an age of seven days would be a moment too long.
    now = datetime.now(UTC)
    since = now - values.since if isinstance(values.since, timedelta) else values.since
    if since is not None and now - since > _LONGEST_AGO:
        raise InvalidArgumentError(
            f"%loops deployment: --since goes back {_LONGEST_AGO.days} days at most: logs of another window are read in Python.",
            argument="since",
            hint="For example --since 7d, or loops.deployments.logs_frame(id, start=..., end=...)",
        )
    with desk.naming("deployment", values.id):
        frame = desk.loops.deployments.logs_frame(
            values.id,
            start=since,
            end=now if since else None,
            limit=_LINES if values.limit is None else values.limit,
            min_level=values.min_level,
        )
    window = "since then" if since else "in the last 30 minutes"
    level = f" of level {values.min_level} or above" if values.min_level else ""
    return desk.listing("logs", frame, nothing=f"No log lines{level} {window}. Look further back with --since 6h (at most 7 days).")


VERB = Verb(
    name="deployment",
    summary="one deployment, or its log lines with --logs",
    run=_run,
    gives_frames=True,
    arguments=(identifier("deployment", "the Loops deployment's id, as in %loops deployments, or the name of its run"),),
    options=(
        Option(name="logs", flags=("--logs",), help="its log lines, as a DataFrame"),
        Option(
            name="since",
            flags=("--since",),
            metavar="AGE",
            free=True,
            convert=moment,
            help="log lines since then: 90m, 6h, 2d or an ISO time",
        ),
        count("limit", "--limit", "at most this many log lines (1 to 1000; 500 when left out)"),
        Option(name="min_level", flags=("--level",), metavar="LEVEL", choices=LOG_LEVELS, help="only log lines of this level or above"),
    ),
    examples=("%loops deployment dep_def456", "logs = %loops deployment dep_def456 --logs --since 6h --level WARNING"),
)
