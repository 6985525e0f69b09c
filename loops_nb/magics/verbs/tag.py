"""``%loops tag RUN TAG ...``."""

from __future__ import annotations

from loops_nb.magics.context import MagicContext
from loops_nb.magics.experiment_arguments import EXPERIMENT, ambiguity_note, labels_of, metrics, resolve_experiment
from loops_nb.magics.grammar import Argument, Values, Verb, switch


def _run(context: MagicContext, values: Values) -> None:
    run = resolve_experiment(context, values.run)
    metrics().tag(run, *values.tags, remove=values.remove)
    rows = metrics().find(run)
    for row, label in zip(rows, labels_of(rows), strict=True):
        context.answer(f"{label}: {', '.join(row.tags) or 'no tags'}.")
    ambiguous = ambiguity_note(rows, values.run, "%loops tag {} TAG")
    if values.tags and ambiguous:
        context.say(ambiguous)


VERB = Verb(
    name="tag",
    summary="add tags to a run; stored on this machine",
    run=_run,
    arguments=(
        EXPERIMENT,
        Argument("tags", "TAG", "tags to add; without any, show the tags", completes="tag", repeated=True),
    ),
    options=(switch("--remove", "remove the tags"),),
    notes="The service does not store tags. %loops experiments shows them, and --tag TAG filters by one;"
    " df.loops.with_metrics() adds them to a listing of runs.",
    examples=("%loops tag p2syas8 sweep baseline", "%loops tag p2syas8 baseline --remove"),
    when_interrupted="%loops tag RUN shows its tags.",
)
