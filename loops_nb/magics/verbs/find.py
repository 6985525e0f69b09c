"""``%loops find``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from loops_nb.errors import InvalidArgumentError, NotFoundError, PermissionDeniedError
from loops_nb.magics.grammar import Option, Verb
from loops_nb.magics.values import moment, said
from loops_nb.magics.verbs.options import SCOPE, of_filter
from loops_nb.models import DEPLOYMENT_STATUSES, RUN_STATUSES, SAMPLER_STATUSES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import SimpleNamespace

    import pandas as pd

    from loops_nb.magics.desk import Desk
    from loops_nb.models import Resource

_STATUSES = tuple(dict.fromkeys((*RUN_STATUSES, *DEPLOYMENT_STATUSES, *SAMPLER_STATUSES)))


def _run(desk: Desk, values: SimpleNamespace) -> pd.DataFrame:
    wanted = {name: getattr(values, name) for name in ("session_id", "base_model", "name", "status", "newer_than", "older_than")}
    if all(value is None for value in wanted.values()):
        raise InvalidArgumentError(
            "%loops find needs to know something of the run: a session, a model, a name, a state or an age.",
            hint="For example: %loops find --newer-than 2d --status ACTIVE. All of them: %loops runs",
        )
    found = desk.loops.runs.find(**wanted, scope=values.scope)
    from loops_nb import accessor, frames  # noqa: F401, PLC0415 - bring pandas in; the accessor registers itself

    frame = frames.runs_frame(_body("runs", found), deployments=_deployments(desk, values.scope) if found else None)
    return desk.listing(
        "runs",
        frame,
        nothing="",
        filters=of_filter(
            ("--session", values.session_id),
            ("--base-model", values.base_model),
            ("--name", values.name),
            ("--status", values.status),
            ("--newer-than", said(values.newer_than)),
            ("--older-than", said(values.older_than)),
        ),
        no_match=desk.near(("session", values.session_id)) or "%loops runs lists all of yours, --scope org those of your colleagues.",
    )


def _deployments(desk: Desk, scope: str | None) -> bytes | None:
    """Return the listing that the states of the trainer halves come from; not everybody may see it."""
    try:
        return _body("deployments", desk.loops.deployments.list(scope=scope))
    except (PermissionDeniedError, NotFoundError):
        return None


def _body(key: str, things: Sequence[Resource]) -> bytes:
    return msgspec.json.encode({key: [thing.to_dict() for thing in things]})


VERB = Verb(
    name="find",
    summary="which run was it? by session, model, name, state or age; newest first",
    run=_run,
    gives_frames=True,
    options=(
        Option(name="session_id", flags=("--session",), metavar="SESSION", knows="session", help="it ran in this session"),
        Option(
            name="base_model",
            flags=("-m", "--base-model"),
            metavar="MODEL",
            knows="base_model",
            help="a part of the base model's name; * and ? stand for anything",
        ),
        Option(name="name", flags=("--name",), metavar="NAME", knows="run_name", help="a part of its name; * and ? stand for anything"),
        Option(name="status", flags=("--status",), metavar="STATE", choices=_STATUSES, help="state of the run or of one of its halves"),
        Option(
            name="newer_than",
            flags=("--newer-than",),
            metavar="AGE",
            free=True,
            convert=moment,
            help="created since: 90m, 36h, 2d or an ISO time",
        ),
        Option(
            name="older_than",
            flags=("--older-than",),
            metavar="AGE",
            free=True,
            convert=moment,
            help="created before: 90m, 36h, 2d or an ISO time",
        ),
        SCOPE,
    ),
    notes="For the script that died. All conditions must hold. Gives a DataFrame of runs.",
    examples=("%loops find --newer-than 2d --status ACTIVE", "df = %loops find --base-model qwen3 --name 'math*'"),
)
