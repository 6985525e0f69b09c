"""``%loops tensors CHECKPOINT ...``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.magics.checkpoint_arguments import OF_RUN, READABLE, TARGET, resolve_checkpoints
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Values, Verb

if TYPE_CHECKING:
    import pandas as pd


def _run(context: MagicContext, values: Values) -> pd.DataFrame:
    return context.loops.checkpoints.tensors(resolve_checkpoints(context, values, buckets=True))


VERB = Verb(
    name="tensors",
    summary="tensors of checkpoints, from file headers only",
    run=_run,
    returns_frame=True,
    kinds=("tensors",),
    arguments=(READABLE,),
    options=(OF_RUN, TARGET),
    notes="Reads a few kB of each file, not the weights, and caches the headers on this machine."
    " loops.checkpoints.open(...).tensor(NAME) reads one tensor as a NumPy array.",
    examples=("%loops tensors h3wy7k5", "df = %loops tensors --run p2syas8 --target sampler"),
)
