"""``%loops sessions ID``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.errors import InvalidArgumentError
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Argument, Values, Verb

if TYPE_CHECKING:
    import pandas as pd

_MAX_SUGGESTIONS = 5


def _run(context: MagicContext, values: Values) -> pd.DataFrame:
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
    frame = context.loops.runs.frame()
    context.cache.add_frame("runs", frame)
    context.cache.add("session", [values.id])
    mine = frame[frame["session_id"] == values.id]
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
    returns_frame=True,
    kinds=("runs",),
    arguments=(Argument("id", "ID", "the session's id; the service cannot list sessions", completes="session"),),
    notes="Returns a DataFrame of runs. A session itself has no fields but its id.",
    examples=("%loops sessions fzewy63", "df = %loops sessions {run.session_id}"),
)
