"""``%loops runs``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.magics.grammar import Option, Verb
from loops_nb.magics.verbs.options import BASE_MODEL, SCOPE, TEAM, of_filter

if TYPE_CHECKING:
    from types import SimpleNamespace

    import pandas as pd

    from loops_nb.magics.desk import Desk


def _run(desk: Desk, values: SimpleNamespace) -> pd.DataFrame:
    run_id = None if values.run_id is None else desk.run_id(values.run_id)
    frame = desk.loops.runs.frame(run_id=run_id, base_model=values.base_model, scope=values.scope, team_id=values.team_id)
    return desk.listing(
        "runs",
        frame,
        nothing="No runs yet. Start one: s = %loops create session, then %loops create run --session {s.id} --base-model MODEL"
        " (%loops capabilities lists the models).",
        filters=of_filter(("--run", values.run_id), ("--base-model", values.base_model), ("--team", values.team_id)),
        no_match=desk.near(("run", values.run_id), ("base_model", values.base_model)) or "%loops runs lists all of yours.",
    )


VERB = Verb(
    name="runs",
    summary="your training runs with the state of run, deployment and sampler",
    run=_run,
    gives_frames=True,
    options=(
        BASE_MODEL,
        Option(name="run_id", flags=("--run",), metavar="RUN", knows="run", help="only this run, as a DataFrame of one row"),
        SCOPE,
        TEAM,
    ),
    notes="Gives a DataFrame; df.loops.latest() and df.loops.timeline() go on from there, df.loops.with_metrics() adds what was recorded,"
    " with tags and notes. %loops watch shows them live.",
    examples=("%loops runs", "df = %loops runs --base-model Qwen/Qwen3-8B", "%loops runs --scope org"),
)
