"""``%loops drift RUN``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.magics.grammar import Takes, Verb
from loops_nb.magics.verbs.chosen import BY, TARGET

if TYPE_CHECKING:
    from types import SimpleNamespace

    import pandas as pd

    from loops_nb.magics.desk import Desk


def _run(desk: Desk, values: SimpleNamespace) -> pd.DataFrame:
    with desk.naming("run", values.run_id):
        return desk.loops.runs.drift(desk.run_id(values.run_id), target=values.target, by=values.by)


VERB = Verb(
    name="drift",
    summary="how the weights of a run move from step to step",
    run=_run,
    gives_frames=True,
    arguments=(Takes(name="run_id", metavar="RUN", knows="run", required=True, help="the run's id or name"),),
    options=(TARGET, BY),
    notes="One row a step and module: norm of the LoRA update, change from the step before and from the first, cosines, length of the path."
    " df.loops.plot.drift() draws it. df.loops.drift() follows the checkpoints of several runs.",
    examples=("%loops drift k4q95w5 --by layer", "df = %loops drift k4q95w5 --target trainer"),
)
