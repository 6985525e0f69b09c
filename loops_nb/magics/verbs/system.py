"""``%loops system TARGET``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.client.logs import HALVES
from loops_nb.magics.arguments import LOGGED, age_or_time, int_option
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Values, Verb, option

if TYPE_CHECKING:
    import pandas as pd


def _run(context: MagicContext, values: Values) -> pd.DataFrame:
    with context.explain_unknown_id("run", values.target):
        frame = context.loops.system.frame(
            values.target, half=values.half, since=values.since, until=values.until, step_seconds=values.step_seconds
        )
    notes = frame.attrs.get("loops_notes", ())
    nothing = " ".join(["Nothing was measured in that time; --since 6h looks back further.", *notes])
    return context.listing("system_metrics", frame, nothing=nothing)


VERB = Verb(
    name="system",
    summary="GPU, CPU, memory, disk and requests of a run, a deployment or a sampler",
    run=_run,
    returns_frame=True,
    kinds=("system_metrics",),
    arguments=(LOGGED,),
    options=(
        option("--half", "HALF", "trainer, sampler or both; default what there is", choices=HALVES),
        option(
            "--since",
            "AGE",
            "start: 90m, 6h, 2d or a time, 7 days ago at most; default 1h",
            convert=age_or_time,
            free_text=True,
        ),
        option("--until", "AGE", "end; default now", convert=age_or_time, free_text=True),
        int_option("--step-seconds", "seconds between two points of the trainer"),
    ),
    notes="Returns a DataFrame with one row for each value: metric, half, node, gpu, time, value and unit. What a"
    " training has logged is in %loops metrics.",
    examples=(
        "%loops system p2syas8",
        "df = %loops system p2syas8 --since 6h --step-seconds 60",
        "%loops system shecwtx --half trainer",
    ),
)
