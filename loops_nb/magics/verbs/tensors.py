"""``%loops tensors CHECKPOINT ...``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.magics.grammar import Verb
from loops_nb.magics.verbs.chosen import CHECKPOINTS, OF_RUN, TARGET, refs

if TYPE_CHECKING:
    from types import SimpleNamespace

    import pandas as pd

    from loops_nb.magics.desk import Desk


def _run(desk: Desk, values: SimpleNamespace) -> pd.DataFrame:
    return desk.loops.checkpoints.tensors(refs(desk, values))


VERB = Verb(
    name="tensors",
    summary="the tensors of checkpoints, read from the headers of their files only",
    run=_run,
    gives_frames=True,
    arguments=(CHECKPOINTS,),
    options=(OF_RUN, TARGET),
    notes="A few kB of each file are read, not the weights, and what was read is remembered on this machine."
    " loops.checkpoints.open(...).tensor(NAME) reads one tensor as a NumPy array.",
    examples=("%loops tensors VqKXRGB", "df = %loops tensors --run k4q95w5 --target sampler"),
)
