"""``%loops samples EXPERIMENT ...``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.magics.arguments import int_option
from loops_nb.magics.context import MagicContext
from loops_nb.magics.experiment_arguments import EXPERIMENTS, metrics
from loops_nb.magics.grammar import Values, Verb, option

if TYPE_CHECKING:
    import pandas as pd


def _run(context: MagicContext, values: Values) -> pd.DataFrame:
    del context
    from loops_nb.tracking.sample_frames import containing

    found = metrics().samples(values.runs or None, step=values.step or None)
    return found if values.contains is None else containing(found, values.contains)


VERB = Verb(
    name="samples",
    summary="recorded samples of experiments: prompts, completions, rewards",
    run=_run,
    returns_frame=True,
    kinds=("samples",),
    arguments=(EXPERIMENTS,),
    options=(
        int_option("--step", "only of this step; can be repeated", repeated=True),
        option(
            "--contains", "TEXT", "only with this text in the prompt or the completion, in any case", free_text=True
        ),
    ),
    notes="Samples are recorded by exp.sample(...), loops_nb.track(client, keep_samples=N), %%loops sample --record"
    " and %loops evaluate. %loops watch samples shows the steps side by side. In Python:"
    " loops.metrics.samples(NAME, step=N). Needs no connection.",
    examples=("%loops samples grpo-1", "%loops samples grpo-1 --step 0 --step 100", "df = %loops samples"),
)
