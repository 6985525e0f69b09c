"""``%loops best``."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from loops_nb.errors import InvalidArgumentError, with_hint
from loops_nb.magics.grammar import Option, Verb
from loops_nb.magics.verbs.recorded import RUNS, metrics, or_all

if TYPE_CHECKING:
    from types import SimpleNamespace

    import pandas as pd

    from loops_nb.magics.desk import Desk


def _run(desk: Desk, values: SimpleNamespace) -> pd.DataFrame:
    if values.lowest and values.highest:
        raise InvalidArgumentError("Either --min or --max: which values are better?", argument="max")
    mode = "max" if values.highest else "min" if values.lowest else None
    try:
        found = metrics().best(values.metric, or_all(values.runs), mode=mode)
    except InvalidArgumentError as error:
        line = " ".join(["%loops best", *map(shlex.quote, values.runs), "-m", shlex.quote(values.metric)])
        raise with_hint(error, f"Say which: {line} --min, or --max") from None
    uris = found["uri"].dropna().tolist()
    desk.knowledge.add("uri", uris)
    if len(found) and not uris:
        # Said, and not only noted below the table: `best = %loops best` shows no table, and its next line asks for a URI.
        desk.say("None of these has a bt:// URI to download: loops_nb.track(training_client) keeps them, exp.saved(NAME, uri=...) too.")
    return found


VERB = Verb(
    name="best",
    summary="checkpoints by a metric, the best first",
    run=_run,
    gives_frames=True,
    arguments=(RUNS,),
    options=(
        Option(name="metric", flags=("-m", "--metric"), metavar="KEY", knows="metric", default="loss", help="by what; loss when left out"),
        Option(
            name="lowest",
            flags=("--min",),
            default=False,
            help="the lowest is the best; so it is for a loss, a perplexity, an error when nothing is said",
        ),
        Option(
            name="highest",
            flags=("--max",),
            default=False,
            help="the highest is the best; so it is for an accuracy, a reward, a score when nothing is said",
        ),
    ),
    notes="For a metric whose name does not tell which way is better it asks for --min or --max."
    " For each checkpoint that was saved while it was recorded: the metric's last value up to its step."
    " df.loops.with_metrics(at='save') gives the same beside the service's list of checkpoints. Needs no connection.",
    examples=("%loops best --metric loss --min", "best = %loops best lr-sweep -m eval/accuracy --max", "%loops download {best.uri[0]}"),
)
