"""``%loops metrics RUN ...``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.magics.context import MagicContext
from loops_nb.magics.experiment_arguments import EXPERIMENTS, METRICS, metrics, split_keys
from loops_nb.magics.grammar import Values, Verb, switch

if TYPE_CHECKING:
    import pandas as pd


def _run(context: MagicContext, values: Values) -> pd.DataFrame:
    del context
    if values.marks:
        return metrics().marks(values.runs or None)
    return metrics().frame(values.runs or None, keys=split_keys(values.keys), wide=values.wide)


VERB = Verb(
    name="metrics",
    summary="recorded metrics of runs, every step",
    run=_run,
    returns_frame=True,
    kinds=("metrics", "metrics_wide", "marks"),
    arguments=(EXPERIMENTS,),
    options=(
        METRICS,
        switch("-w --wide", "one row per step and one column per key, instead of one row per point"),
        switch("--marks", "checkpoints and notes instead of metrics"),
    ),
    notes="Includes repeated points, steps that go backwards and resumed runs: see the columns attempt and repeat."
    " df.loops.with_metrics() adds metrics to a listing of runs or checkpoints. Needs no connection.",
    examples=(
        "%loops metrics p2syas8",
        "df = %loops metrics lr-sweep --metric loss,grad_norm --wide",
        "%loops metrics p2syas8 --marks",
    ),
)
