"""``%loops run ID``."""

from __future__ import annotations

from loops_nb.api.models import Run
from loops_nb.config.time_zone import display_zone
from loops_nb.errors import LoopsError
from loops_nb.magics.arguments import id_argument
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Values, Verb


def _run(context: MagicContext, values: Values) -> Run:
    with context.explain_unknown_id("run", values.id):
        run = context.loops.runs.get(context.resolve_run_id(values.id))
    _say_why(context, run)
    page = context.loops.runs.page(run.id)
    if page is not None:
        context.say(f"Dashboard: {page}")
    return run


def _say_why(context: MagicContext, run: Run) -> None:
    """Say why a run is not running, if it failed, was preempted, or is stuck; the run is shown in any case."""
    try:
        found = context.loops.runs.diagnose(run)
    except LoopsError as error:
        context.say(f"Whether it failed, and why, could not be asked: {error.message}")
        return
    if found is not None:
        context.say(found.text(display_zone(context.settings.time_zone)))


VERB = Verb(
    name="run",
    summary="show one run: state, base URL, sampler",
    run=_run,
    returns_object=True,
    arguments=(id_argument("run", "the run's id, as in %loops runs, or its name"),),
    notes="Returns an object with the fields as attributes; extra and to_dict() have fields newer than this package."
    " A run that failed, was preempted or is stuck says why, from its log. %loops watch ID updates live;"
    " %loops doctor ID says what a run waits for.",
    examples=("%loops run p2syas8", "run = %loops run p2syas8", "%loops checkpoints $run"),
)
