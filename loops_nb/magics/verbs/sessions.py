"""``%loops sessions ID``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.errors import InvalidArgumentError
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Argument, Values, Verb

if TYPE_CHECKING:
    from loops_nb.frames.listing_rows import ListingRows

_MAX_SUGGESTIONS = 5


def _run(context: MagicContext, values: Values) -> ListingRows:
    if values.id is None:
        known = context.cache.known("session")[:_MAX_SUGGESTIONS]
        hint = "%loops runs shows the session_id of each run."
        if known:
            hint = f"Sessions of your runs: {', '.join(known)}"
        raise InvalidArgumentError(
            "%loops sessions needs an ID: the service cannot list sessions.", argument="id", hint=hint
        )
    with context.explain_unknown_id("session", values.id):
        context.loops.sessions.get(values.id)
    runs = context.loops.runs.listing()
    context.cache.add_listing(runs)
    context.cache.add("session", [values.id])
    mine = runs.where(session == values.id for session in runs.values("session_id"))
    return context.listing(
        "runs",
        mine,
        nothing=f"Session {values.id} exists and has no runs of yours."
        f" Start one: %loops create run --session {values.id} --base-model MODEL",
    )


VERB = Verb(
    name="sessions",
    summary="the runs of one session",
    run=_run,
    returns_listing=True,
    kinds=("runs",),
    arguments=(Argument("id", "ID", "the session's id; the service cannot list sessions", completes="session"),),
    notes="Returns a DataFrame of runs. A session itself has no fields but its id.",
    examples=("%loops sessions fzewy63", "df = %loops sessions {run.session_id}"),
)
