"""``%loops import PATH``."""

from __future__ import annotations

from loops_nb.config.paths import user_path
from loops_nb.errors import one_line
from loops_nb.magics.context import MagicContext
from loops_nb.magics.experiment_arguments import metrics
from loops_nb.magics.grammar import Argument, Values, Verb
from loops_nb.render.formatting import first_and_more, many

_MOST_NAMES = 5
_LONGEST_NAME = 60


def _run(context: MagicContext, values: Values) -> None:
    from loops_nb.tracking.interchange import import_file  # only for this verb

    recorded = metrics()
    done = import_file(recorded.store, user_path(values.file, argument="file"))
    message = f"Added {many(len(done.new), 'experiment')} from {values.file}."
    if done.known:
        message += f" Skipped {many(len(done.known), 'experiment')} that already existed."
    added = [recorded.store.experiment(new) for new in done.new[: _MOST_NAMES + 1]]
    if len(added) == 1:
        message += f" It is called {added[0].name}: %loops curves {added[0].id} shows it."
    elif added:
        names = [one_line(row.name, limit=_LONGEST_NAME) for row in added]
        names += [""] * (len(done.new) - len(added))
        message += f" They are called {first_and_more(names, _MOST_NAMES)}; next: %loops experiments, %loops curves"
    if len(added) == 1 and added[0].notes and not done.left_out:
        message += f" {one_line(added[0].notes[-1])}"
    elif done.left_out:
        message += f"\n{done.left_out} The note of each experiment says what it lacks."
    context.say(message)


VERB = Verb(
    name="import",
    summary="import experiments from an export, a recipe's metrics.jsonl, TensorBoard, W&B, MLflow or Trackio",
    run=_run,
    arguments=(
        Argument(
            "file",
            "PATH",
            "file that %loops export wrote; folder of a recipe, of TensorBoard's event files, of W&B's offline runs, "
            "mlruns; mlflow.db, a database of Trackio, a history that W&B exported",
            completes="file",
            required=True,
        ),
    ),
    notes="Ids, times and attempts are those of an export. Of a recipe, config.json and checkpoints.jsonl beside the"
    " metrics are read too; lines have no time there, so their durations are counted back from the last change of the"
    " file. Runs of other trackers keep their names, tags, parameters, steps and times; images, histograms and"
    " whatever else has no place is counted in a note. Experiments that already exist are not changed.",
    examples=(
        "%loops import sweep.jsonl",
        "%loops import runs/sft-baseline",
        "%loops import lightning_logs",
        "%loops import wandb",
        "%loops import mlruns",
        "%loops import ~/.cache/huggingface/trackio/my-project.db",
    ),
    when_interrupted="Each experiment was imported completely or not at all; the same line again imports the rest.",
)
