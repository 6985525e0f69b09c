"""``%loops archive RUN ...``."""

from __future__ import annotations

from loops_nb.magics.context import MagicContext
from loops_nb.magics.experiment_arguments import SOME_EXPERIMENTS, labels_of, metrics
from loops_nb.magics.grammar import Values, Verb, switch
from loops_nb.render.formatting import many


def _run(context: MagicContext, values: Values) -> None:
    found = metrics().find(values.runs, hidden=values.undo)
    rows = [row for row in found if row.archived == values.undo]
    metrics().archive([row.id for row in rows], archived=not values.undo)
    unchanged = labels_of([row for row in found if row.archived != values.undo])
    if unchanged:
        state = "not archived" if values.undo else "already archived"
        context.say(f"Nothing changed for {', '.join(unchanged)}: {state}.")
    if not rows:
        return
    what = many(len(rows), "experiment")
    if len(rows) > len(values.runs):
        # A word that matched several experiments: list which.
        what += f" ({', '.join(labels_of(rows))})"
    if values.undo:
        context.say(f"Restored {what}: %loops experiments shows them.")
    else:
        context.say(
            f"Archived {what}. Nothing was deleted: %loops experiments --archived shows them, --undo restores them."
        )


VERB = Verb(
    name="archive",
    summary="hide recorded runs from listings; nothing is deleted",
    run=_run,
    arguments=(SOME_EXPERIMENTS,),
    options=(switch("--undo", "restore archived ones"),),
    notes="Affects only what is recorded on this machine, not the runs of the service.",
    examples=("%loops archive first-try", "%loops archive first-try --undo"),
    when_interrupted="%loops experiments --archived shows which are archived.",
)
