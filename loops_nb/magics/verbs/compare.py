"""``%loops compare CHECKPOINT CHECKPOINT ...``, and ``%loops compare RUN RUN ...``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from loops_nb.magics.checkpoint_arguments import BY, OF_RUN, READABLE, TARGET, resolve_checkpoints
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import InShell, Values, Verb
from loops_nb.magics.notebook_names import EXECUTOR, EXECUTOR_IN_SHELL, SHARE_URLS, executor_options
from loops_nb.magics.verbs import curves

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.panels import CurvesPanel


def _run(context: MagicContext, values: Values) -> pd.DataFrame | CurvesPanel | None:
    words = values.checkpoints or ()
    options = executor_options(context, values)
    if values.run_id is None and values.target is None and not options and curves.are_recorded(words):
        return curves.show(context, words)
    return context.loops.checkpoints.compare(
        resolve_checkpoints(context, values, buckets=True), by=values.by, **options
    )


VERB = Verb(
    name="compare",
    summary="compare the weights of checkpoints with those of the first",
    run=_run,
    returns_frame=True,
    kinds=("comparison", "comparison_by_layer", "comparison_by_module_type", "comparison_by_checkpoint"),
    arguments=(replace(READABLE, completes="compared"),),
    options=(OF_RUN, TARGET, BY, EXECUTOR, SHARE_URLS),
    notes="For each module: norm of its LoRA update B @ A, scaled as in training, relative change and cosine to the "
    "first checkpoint. Only the low-rank factors are read. df.loops.changes() lists tensors that were added, removed "
    "or changed in shape or dtype, df.loops.duplicates() finds identical checkpoints. Runs or experiments with "
    "recorded metrics are compared by their curves, as %loops curves does. With --executor, the workers of a cluster "
    "read and compare, with API keys of their own.",
    shell=InShell(helps=EXECUTOR_IN_SHELL),
    examples=(
        "%loops compare --run p2syas8 step-50 step-100 --target sampler",
        "df = %loops compare h3wy7k5 bt://loops:p2syas8/sampler_weights/step-100 --by layer",
        "%loops compare lr-1 lr-2",
        "df = %loops compare --run p2syas8 --executor client",
    ),
)
