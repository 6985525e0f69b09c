"""``%loops deployment ID``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from loops_nb.api.models import LOG_LEVELS, Deployment
from loops_nb.errors import InvalidArgumentError
from loops_nb.magics.arguments import age_or_time, id_argument, int_option
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Values, Verb, option, switch

if TYPE_CHECKING:
    import pandas as pd

_DEFAULT_LIMIT = 500
_MAX_AGE = timedelta(days=7)


def _run(context: MagicContext, values: Values) -> Deployment | pd.DataFrame:
    if values.logs:
        values.id = context.resolve_deployment_id(values.id)
        return _logs(context, values)
    for name, flag in (("since", "--since"), ("limit", "--limit"), ("min_level", "--level")):
        if getattr(values, name) is not None:
            raise InvalidArgumentError(
                f"%loops deployment: {flag} needs --logs.", argument=name, hint="Add --logs to the line."
            )
    with context.explain_unknown_id("deployment", values.id):
        return context.loops.deployments.get(context.resolve_deployment_id(values.id))


def _logs(context: MagicContext, values: Values) -> pd.DataFrame:
    # The service allows a window of at most seven days: with both ends given, an age of exactly seven days fits.
    now = datetime.now(UTC)
    since = now - values.since if isinstance(values.since, timedelta) else values.since
    if since is not None and now - since > _MAX_AGE:
        raise InvalidArgumentError(
            f"%loops deployment: --since goes back at most {_MAX_AGE.days} days; other time ranges need Python.",
            argument="since",
            hint="For example --since 7d, or loops.deployments.logs_frame(id, start=..., end=...)",
        )
    with context.explain_unknown_id("deployment", values.id):
        frame = context.loops.deployments.logs_frame(
            values.id,
            start=since,
            end=now if since else None,
            limit=_DEFAULT_LIMIT if values.limit is None else values.limit,
            min_level=values.min_level,
        )
    window = "since then" if since else "in the last 30 minutes"
    level = f" of level {values.min_level} or above" if values.min_level else ""
    return context.listing(
        "logs", frame, nothing=f"No log lines{level} {window}. Use --since 6h for earlier ones (at most 7 days)."
    )


VERB = Verb(
    name="deployment",
    summary="show one deployment, or with --logs its log lines",
    run=_run,
    returns_frame=True,
    kinds=("logs",),
    returns_object=True,
    arguments=(
        id_argument("deployment", "the Loops deployment's id, as in %loops deployments, or the name of its run"),
    ),
    options=(
        switch("--logs", "return its log lines"),
        option(
            "--since", "AGE", "start of the log lines: 90m, 6h, 2d or an ISO time", free_text=True, convert=age_or_time
        ),
        int_option("--limit", "maximum number of log lines (1 to 1000; default 500)"),
        option("--level", "LEVEL", "minimum log level", name="min_level", choices=LOG_LEVELS),
    ),
    notes="%loops logs DEPLOYMENT shows its log lines as lines, also further back and of both halves.",
    examples=("%loops deployment shecwtx", "logs = %loops deployment shecwtx --logs --since 6h --level WARNING"),
)
