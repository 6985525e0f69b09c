"""``%loops deployments``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.magics.grammar import Verb
from loops_nb.magics.verbs.options import SCOPE

if TYPE_CHECKING:
    from types import SimpleNamespace

    import pandas as pd

    from loops_nb.magics.desk import Desk


def _run(desk: Desk, values: SimpleNamespace) -> pd.DataFrame:
    return desk.listing(
        "deployments",
        desk.loops.deployments.frame(scope=values.scope),
        nothing="No deployments yet. The first run on dedicated capacity brings one: %loops create run --help",
    )


VERB = Verb(
    name="deployments",
    summary="your Loops deployments (trainer and sampler together), in every state",
    run=_run,
    gives_frames=True,
    options=(SCOPE,),
    notes="Gives a DataFrame. %loops watch deployments shows them live.",
    examples=("%loops deployments", "df = %loops deployments"),
)
