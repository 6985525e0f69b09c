"""``%loops compare CHECKPOINT CHECKPOINT ...``, and ``%loops compare RUN RUN ...``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from loops_nb.magics.grammar import Verb
from loops_nb.magics.verbs import curves
from loops_nb.magics.verbs.chosen import BY, CHECKPOINTS, OF_RUN, TARGET, refs

if TYPE_CHECKING:
    from types import SimpleNamespace

    import pandas as pd

    from loops_nb.magics.desk import Desk
    from loops_nb.panels import CurvesPanel


def _run(desk: Desk, values: SimpleNamespace) -> pd.DataFrame | CurvesPanel | None:
    words = values.checkpoints or ()
    if values.run_id is None and values.target is None and curves.are_recorded(words):
        return curves.show(desk, words)
    return desk.loops.checkpoints.compare(refs(desk, values), by=values.by)


VERB = Verb(
    name="compare",
    summary="how far the weights of checkpoints are from those of the first",
    run=_run,
    gives_frames=True,
    arguments=(replace(CHECKPOINTS, knows="compared"),),
    options=(OF_RUN, TARGET, BY),
    notes="For each module: the norm of its LoRA update B @ A, scaled as in training, its relative change and the cosine to the first"
    " checkpoint's. Only the small factors are read. df.loops.changes() lists tensors that appeared, vanished or changed shape or dtype,"
    " df.loops.duplicates() finds checkpoints that are the same. Runs or experiments of which numbers were recorded are compared by their"
    " curves, as %loops curves does.",
    examples=(
        "%loops compare --run k4q95w5 step-50 step-100 --target sampler",
        "df = %loops compare VqKXRGB bt://loops:k4q95w5/sampler_weights/step-100 --by layer",
        "%loops compare k4q95w5 qr8zj20",
    ),
)
