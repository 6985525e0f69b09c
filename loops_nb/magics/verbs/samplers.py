"""``%loops samplers``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.magics.grammar import Verb
from loops_nb.magics.verbs.options import SCOPE, TEAM, of_filter

if TYPE_CHECKING:
    from types import SimpleNamespace

    import pandas as pd

    from loops_nb.magics.desk import Desk


def _run(desk: Desk, values: SimpleNamespace) -> pd.DataFrame:
    return desk.listing(
        "samplers",
        desk.loops.samplers.frame(scope=values.scope, team_id=values.team_id),
        nothing="No samplers yet. Every run brings one; a standalone one is made with"
        " %loops create sampler --session SESSION --base-model MODEL",
        filters=of_filter(("--team", values.team_id)),
        no_match="%loops samplers lists all of yours.",
    )


VERB = Verb(
    name="samplers",
    summary="your samplers, paired with a run and standalone, newest first",
    run=_run,
    gives_frames=True,
    options=(SCOPE, TEAM),
    notes="Gives a DataFrame. %loops watch samplers shows them live.",
    examples=("%loops samplers", "df = %loops samplers --scope org"),
)
