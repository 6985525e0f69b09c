"""``%loops export FILE [RUN ...]``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from loops_nb.config.paths import user_path
from loops_nb.errors import InvalidArgumentError
from loops_nb.magics.context import MagicContext
from loops_nb.magics.experiment_arguments import EXPERIMENTS, EXPORT_FILE, metrics
from loops_nb.magics.grammar import Values, Verb
from loops_nb.render.formatting import many


def _run(context: MagicContext, values: Values) -> None:
    from loops_nb.tracking.interchange import ENDINGS  # only for exports

    others = [word for word in values.runs if Path(word).suffix.lower() in ENDINGS]
    if others and Path(values.file).suffix.lower() not in ENDINGS:
        # RUN comes first in most other verbs.
        raise InvalidArgumentError(
            "The file comes before the runs.",
            argument="file",
            hint=f"Did you mean %loops export {others[0]} {values.file}?",
        )
    found = metrics()
    rows = found.export(user_path(values.file, argument="file"), values.runs or None)
    exported = found.find(values.runs) if values.runs else found.store.experiments(archived=True)
    context.say(
        f"Wrote {many(len(exported), 'experiment')} to {values.file}: {many(rows, 'row')}. %loops import "
        f"{values.file} reads them back."
    )


VERB = Verb(
    name="export",
    summary="export recorded runs to a file, for other programs or another machine",
    run=_run,
    arguments=(
        EXPORT_FILE,
        replace(EXPERIMENTS, help="id of a run, or id or name of an experiment; default all, including archived"),
    ),
    notes="Contains metrics, checkpoints, notes, tags, parameters, summary values and environments.",
    examples=("%loops export sweep.jsonl", "%loops export sweep.csv p2syas8 u8rkdjp"),
    when_interrupted="An existing file was not changed.",
)
