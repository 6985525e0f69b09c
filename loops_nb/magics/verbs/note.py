"""``%loops note RUN TEXT``."""

from __future__ import annotations

from loops_nb.errors import InvalidArgumentError
from loops_nb.magics.arguments import to_int
from loops_nb.magics.context import MagicContext
from loops_nb.magics.experiment_arguments import EXPERIMENT, ambiguity_note, labels_of, metrics, resolve_experiment
from loops_nb.magics.grammar import Argument, Values, Verb, option


def _run(context: MagicContext, values: Values) -> None:
    text = " ".join(values.text).strip()
    if not text:
        raise InvalidArgumentError(
            "The note is empty.",
            argument="text",
            hint="For example %loops note RUN the loss jumps here --step 40",
        )
    run = resolve_experiment(context, values.run)
    metrics().note(run, text, step=values.step)
    rows = metrics().find(run)
    at_step = "" if values.step is None else f" at step {values.step}"
    context.say(f"Noted for {', '.join(labels_of(rows))}{at_step}.")
    ambiguous = ambiguity_note(rows, values.run, "%loops note {} TEXT")
    if ambiguous:
        context.say(ambiguous)


VERB = Verb(
    name="note",
    summary="add a note to a run; stored on this machine",
    run=_run,
    arguments=(EXPERIMENT, Argument("text", "TEXT", "the note", free_text=True, repeated=True)),
    options=(option("--step", "N", "step of the note; curves show it there", free_text=True, convert=to_int),),
    notes="The service does not store notes. %loops experiments shows the latest one, %loops metrics RUN --marks all.",
    examples=("%loops note p2syas8 warm-up was too short", "%loops note p2syas8 'the loss jumps here' --step 40"),
    when_interrupted="%loops metrics RUN --marks shows what was stored.",
)
