"""``%loops run ID``."""

from __future__ import annotations

from loops_nb.api.models import Run
from loops_nb.magics.arguments import id_argument
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Values, Verb


def _run(context: MagicContext, values: Values) -> Run:
    with context.explain_unknown_id("run", values.id):
        return context.loops.runs.get(context.resolve_run_id(values.id))


VERB = Verb(
    name="run",
    summary="show one run: state, base URL, sampler",
    run=_run,
    arguments=(id_argument("run", "the run's id, as in %loops runs, or its name"),),
    notes="Returns an object with the fields as attributes; extra and to_dict() have fields newer than this package."
    " %loops watch ID updates live.",
    examples=("%loops run k4q95w5", "run = %loops run k4q95w5", "%loops checkpoints $run"),
)
