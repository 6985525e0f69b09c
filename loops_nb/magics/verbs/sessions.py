"""``%loops sessions ID``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.errors import InvalidArgumentError
from loops_nb.magics.grammar import Takes, Verb

if TYPE_CHECKING:
    from types import SimpleNamespace

    import pandas as pd

    from loops_nb.magics.desk import Desk

_MOST_NAMED = 5


def _run(desk: Desk, values: SimpleNamespace) -> pd.DataFrame:
    if values.id is None:
        known = desk.knowledge.known("session")[:_MOST_NAMED]
        raise InvalidArgumentError(
            "%loops sessions needs an ID: the service cannot list sessions.",
            argument="id",
            hint=f"Those of your runs: {', '.join(known)}" if known else "%loops runs shows the session_id of each run.",
        )
    with desk.naming("session", values.id):
        desk.loops.sessions.get(values.id)
    frame = desk.loops.runs.frame()
    desk.knowledge.learn("runs", frame)
    desk.knowledge.add("session", [values.id])
    mine = frame[frame["session_id"] == values.id]
    return desk.listing(
        "runs",
        mine,
        nothing=f"Session {values.id} is there and has no runs of yours."
        f" Start one: %loops create run --session {values.id} --base-model MODEL",
    )


VERB = Verb(
    name="sessions",
    summary="the runs of one session",
    run=_run,
    gives_frames=True,
    arguments=(Takes(name="id", metavar="ID", knows="session", help="the session's id; the service cannot list sessions"),),
    notes="Gives a DataFrame of runs. A session itself is nothing but its id.",
    examples=("%loops sessions sess_xyz789", "df = %loops sessions {run.session_id}"),
)
