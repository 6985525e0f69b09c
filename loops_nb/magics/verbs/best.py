"""``%loops best``."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from loops_nb.errors import InvalidArgumentError, with_hint
from loops_nb.magics.context import MagicContext
from loops_nb.magics.experiment_arguments import EXPERIMENTS, MAX, MIN, metrics, mode_of
from loops_nb.magics.grammar import Values, Verb, option

if TYPE_CHECKING:
    import pandas as pd


def _run(context: MagicContext, values: Values) -> pd.DataFrame:
    mode = mode_of(values)
    try:
        found = metrics().best(values.metric, values.runs or None, mode=mode)
    except InvalidArgumentError as error:
        line = " ".join(["%loops best", *map(shlex.quote, values.runs), "-m", shlex.quote(values.metric)])
        raise with_hint(error, f"Use {line} --min, or --max") from None
    uris = found["uri"].dropna().tolist()
    context.cache.add("uri", uris)
    if len(found) and not uris:
        # Printed as well as noted below the table, because `best = %loops best` shows no table.
        context.say(
            "None of these has a bt:// URI to download: loops_nb.track(training_client) records URIs, and "
            "exp.saved(NAME, uri=...) does too."
        )
    return found


VERB = Verb(
    name="best",
    summary="checkpoints ranked by a metric, best first",
    run=_run,
    returns_frame=True,
    kinds=("best",),
    arguments=(EXPERIMENTS,),
    options=(
        option("-m --metric", "KEY", "metric to rank by; default loss", completes="metric", default="loss"),
        MIN,
        MAX,
    ),
    notes="Other metrics need --min or --max. The value of a checkpoint is the last one recorded up to its step."
    " df.loops.with_metrics(at='save') adds the same values to a listing of checkpoints. Needs no connection.",
    examples=(
        "%loops best --metric loss --min",
        "best = %loops best lr-sweep -m eval/accuracy --max",
        "%loops download {best.uri[0]}",
    ),
)
