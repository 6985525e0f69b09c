"""``%loops find``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from loops_nb.api.models import APIObject
from loops_nb.errors import InvalidArgumentError, NotFoundError, PermissionDeniedError
from loops_nb.magics.arguments import SCOPE, STATUS, age_or_time, describe_filters, format_age_or_time
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Values, Verb, option

if TYPE_CHECKING:
    from loops_nb.frames.listing_rows import ListingRows


def _run(context: MagicContext, values: Values) -> ListingRows:
    wanted = {
        name: getattr(values, name)
        for name in ("session_id", "base_model", "name", "status", "newer_than", "older_than")
    }
    if all(value is None for value in wanted.values()):
        raise InvalidArgumentError(
            "%loops find needs at least one condition: a session, a model, a name, a state or an age.",
            hint="For example: %loops find --newer-than 2d --status ACTIVE. %loops runs lists all runs.",
        )
    found = context.loops.runs.find(**wanted, scope=values.scope)
    from loops_nb.frames import runs_listing  # help needs no frames

    listed = runs_listing(_body("runs", found), deployments=_deployments(context, values.scope) if found else None)
    return context.listing(
        "runs",
        listed,
        nothing="",
        filters=describe_filters(
            ("--session", values.session_id),
            ("--base-model", values.base_model),
            ("--name", values.name),
            ("--status", values.status),
            ("--newer-than", format_age_or_time(values.newer_than)),
            ("--older-than", format_age_or_time(values.older_than)),
        ),
        no_match=context.suggest(("session", values.session_id))
        or "%loops runs lists all your runs, --scope org those of the organisation.",
    )


def _deployments(context: MagicContext, scope: str | None) -> bytes | None:
    """Return the listing with the states of the trainers, which not every user may see."""
    try:
        return _body("deployments", context.loops.deployments.list(scope=scope))
    except (PermissionDeniedError, NotFoundError):
        return None


def _body(key: str, things: Sequence[APIObject]) -> bytes:
    return msgspec.json.encode({key: [thing.to_dict() for thing in things]})


VERB = Verb(
    name="find",
    summary="search runs by session, model, name, state or age; newest first",
    run=_run,
    returns_listing=True,
    kinds=("runs",),
    options=(
        option("--session", "SESSION", "runs of this session", name="session_id", completes="session"),
        option(
            "-m --base-model", "MODEL", "part of the base model's name; * and ? are wildcards", completes="base_model"
        ),
        option("--name", "NAME", "part of the run's name; * and ? are wildcards", completes="run_name"),
        STATUS,
        option(
            "--newer-than",
            "AGE",
            "created after: 90m, 36h, 2d (ago) or an ISO time",
            free_text=True,
            convert=age_or_time,
        ),
        option(
            "--older-than",
            "AGE",
            "created before: 90m, 36h, 2d (ago) or an ISO time",
            free_text=True,
            convert=age_or_time,
        ),
        SCOPE,
    ),
    notes="All conditions must match. Returns a DataFrame of runs.",
    examples=("%loops find --newer-than 2d --status ACTIVE", "df = %loops find --base-model qwen3 --name 'math*'"),
)
