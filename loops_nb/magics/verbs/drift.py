"""``%loops drift RUN``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.magics.checkpoint_arguments import BY, TARGET
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Argument, InShell, Values, Verb
from loops_nb.magics.notebook_names import EXECUTOR, EXECUTOR_IN_SHELL, SHARE_URLS, executor_options

if TYPE_CHECKING:
    import pandas as pd


def _run(context: MagicContext, values: Values) -> pd.DataFrame:
    options = executor_options(context, values)
    with context.explain_unknown_id("run", values.run_id):
        run_id = context.resolve_run_id(values.run_id)
        return context.loops.runs.drift(run_id, target=values.target, by=values.by, **options)


VERB = Verb(
    name="drift",
    summary="change of the weights of a run from step to step",
    run=_run,
    returns_frame=True,
    kinds=("drift", "drift_by_layer", "drift_by_module_type", "drift_by_checkpoint"),
    arguments=(Argument("run_id", "RUN", "the run's id or name", completes="run", required=True),),
    options=(TARGET, BY, EXECUTOR, SHARE_URLS),
    notes="One row per step and module: norm of the LoRA update, change from the previous and from the first step, "
    "cosines, path length. df.loops.plot.drift() plots it. df.loops.drift() takes the checkpoints of several runs. "
    "With --executor, the workers of a cluster read and compare, with API keys of their own.",
    shell=InShell(helps=EXECUTOR_IN_SHELL),
    examples=(
        "%loops drift p2syas8 --by layer",
        "df = %loops drift p2syas8 --target trainer",
        "df = %loops drift p2syas8 --executor client",
    ),
)
