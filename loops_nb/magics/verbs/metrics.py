"""``%loops metrics RUN ...``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.magics.grammar import Option, Verb
from loops_nb.magics.verbs.recorded import KEYS, RUNS, metrics, or_all, split

if TYPE_CHECKING:
    from types import SimpleNamespace

    import pandas as pd

    from loops_nb.magics.desk import Desk


def _run(desk: Desk, values: SimpleNamespace) -> pd.DataFrame:
    del desk
    if values.marks:
        return metrics().marks(or_all(values.runs))
    return metrics().frame(or_all(values.runs), keys=split(values.keys), wide=values.wide)


VERB = Verb(
    name="metrics",
    summary="every number of every step of runs, as a DataFrame",
    run=_run,
    gives_frames=True,
    arguments=(RUNS,),
    options=(
        KEYS,
        Option(name="wide", flags=("-w", "--wide"), default=False, help="a row a step and a column a key, instead of a row a point"),
        Option(name="marks", flags=("--marks",), default=False, help="the checkpoints saved and the notes written, instead of numbers"),
    ),
    notes="Points that came again, steps that went backwards and resumed runs are all there: attempt and repeat tell them apart."
    " df.loops.with_metrics() puts the numbers beside runs and checkpoints. Needs no connection.",
    examples=("%loops metrics k4q95w5", "df = %loops metrics lr-sweep --keys loss,grad_norm --wide", "%loops metrics k4q95w5 --marks"),
)
