"""``%loops sweep``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.errors import InvalidArgumentError, with_hint
from loops_nb.magics.context import MagicContext
from loops_nb.magics.experiment_arguments import EXPERIMENTS, MAX, MIN, PROJECT, metrics, mode_of, tagged
from loops_nb.magics.grammar import Values, Verb, option, switch

if TYPE_CHECKING:
    import pandas as pd


def _run(context: MagicContext, values: Values) -> pd.DataFrame:
    del context
    mode = mode_of(values)
    selected = tagged(values.runs or (), values.tag, values.project) or None
    try:
        return metrics().sweep(values.metric, selected, mode=mode, at="last" if values.last else "best")
    except InvalidArgumentError as error:
        raise with_hint(error, "Add --min or --max.") from None


VERB = Verb(
    name="sweep",
    summary="which parameters of the experiments mattered for a metric",
    run=_run,
    returns_frame=True,
    kinds=("sweep",),
    arguments=(EXPERIMENTS,),
    options=(
        option("--tag", "TAG", "only experiments with this tag", completes="tag"),
        PROJECT,
        option("-m --metric", "KEY", "metric to explain; default loss", completes="metric", default="loss"),
        MIN,
        MAX,
        switch("--last", "compare the last value of each experiment; default the best one"),
    ),
    notes="One row per parameter that differs: the values of the best quarter, the share of the metric's ranks that it"
    " explains by itself with a p value, the rank correlation with its interval and, where scikit-learn is installed,"
    " its importance together with the others: what an ensemble of trees predicts worse without it. With fewer than"
    " eight experiments nothing is claimed. df.loops.plot.sweep() draws the metric against each parameter, and"
    " df.loops.plot.parallel() all of them side by side. Needs no connection.",
    examples=("%loops sweep --tag sweep30 --metric loss", "df = %loops sweep lr-sweep -m eval/accuracy --max"),
)
