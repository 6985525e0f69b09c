"""``%loops runs``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.magics.arguments import ALIVE, BASE_MODEL, SCOPE, STATUS, TEAM, describe_filters
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Values, Verb, option

if TYPE_CHECKING:
    from loops_nb.frames.listing_rows import ListingRows


def _run(context: MagicContext, values: Values) -> ListingRows:
    run_id = None if values.run_id is None else context.resolve_run_id(values.run_id)
    found = context.loops.runs.listing(
        run_id=run_id, base_model=values.base_model, scope=values.scope, alive=values.alive, team_id=values.team_id
    )
    if values.status is not None:
        found = _in_state(found, values.status)
    return context.listing(
        "runs",
        found,
        nothing="No runs yet. Start one: s = %loops create session, then %loops create run --session {s.id} "
        "--base-model MODEL (%loops capabilities lists the models).",
        filters=describe_filters(
            ("--run", values.run_id),
            ("--base-model", values.base_model),
            ("--team", values.team_id),
            ("--status", values.status),
            ("--alive", values.alive),
        ),
        no_match=context.suggest(("run", values.run_id), ("base_model", values.base_model))
        or "%loops runs lists all your runs.",
    )


def _in_state(runs: ListingRows, status: str) -> ListingRows:
    """Return the runs that are in a state themselves, or whose deployment or sampler is."""
    states = (runs.values(name) for name in ("status", "deployment_status", "sampler_status"))
    return runs.where(status in of_run for of_run in zip(*states, strict=True))


VERB = Verb(
    name="runs",
    summary="your training runs, with the states of run, deployment and sampler",
    run=_run,
    returns_listing=True,
    kinds=("runs",),
    options=(
        BASE_MODEL,
        STATUS,
        option("--run", "RUN", "only this run, as a listing of one row", name="run_id", completes="run"),
        SCOPE,
        ALIVE,
        TEAM,
    ),
    notes="Returns a DataFrame with the accessor df.loops: latest(), timeline(), with_metrics() for recorded "
    "metrics, tags and notes. %loops watch updates live.",
    examples=(
        "%loops runs",
        "%loops runs --status ACTIVE",
        "df = %loops runs --base-model Qwen/Qwen3-8B",
        "%loops runs --scope org",
    ),
)
