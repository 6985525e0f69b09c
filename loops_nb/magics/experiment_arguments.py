"""Arguments that select recorded experiments, and their resolution."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from loops_nb.errors import CredentialsError, InvalidArgumentError, NotFoundError, TrackingError, TransportError
from loops_nb.magics.arguments import age_or_time
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Argument, Values, option, switch

if TYPE_CHECKING:
    from loops_nb.resources.metrics import RecordedMetrics
    from loops_nb.tracking import ExperimentRow

_HELP = "id of a run, or id, name or pattern of names (lr-*) of an experiment"
EXPERIMENT = Argument("run", "RUN", _HELP, completes="experiment", required=True)
EXPERIMENTS = Argument(
    "runs", "RUN", f"{_HELP}; default all that are not archived", completes="experiment", repeated=True
)
SOME_EXPERIMENTS = Argument("runs", "RUN", _HELP, completes="experiment", repeated=True, required=True)
METRICS = option(
    "-m --metric",
    "KEYS",
    "metrics, separated by commas: loss,grad_norm",
    name="keys",
    completes="metrics",
    former_flags=("-k", "--keys"),
)

MIN = switch("--min", "lower is better; default for metrics named like a loss, a perplexity or an error", name="lowest")
MAX = switch(
    "--max", "higher is better; default for metrics named like an accuracy, a reward or a score", name="highest"
)

PROJECT = option("--project", "NAME", "only experiments of this project", completes="project")
AUTHOR = option("--author", "NAME", "only experiments that this user began", completes="author")
TAGS = option(
    "--tag",
    "TAG",
    "only experiments with this tag; repeated, with all of them",
    name="tags",
    completes="tag",
    repeated=True,
)
WHERE = option(
    "--where",
    "EXPRESSION",
    'only experiments that match, e.g. "lr < 1e-3 and lora.rank == 16"',
    completes="filter",
)
BEGAN_SINCE = option(
    "--since", "AGE", "began since: 90m, 36h, 2d (ago) or an ISO time", free_text=True, convert=age_or_time
)

EXPORT_FILE = Argument(
    "file", "FILE", "path ending in .jsonl, .csv or .parquet (needs pyarrow)", completes="file", required=True
)


def metrics() -> RecordedMetrics:
    """Return the metrics recorded on this machine; needs no connection."""
    from loops_nb.resources.metrics import RecordedMetrics  # only for verbs about experiments

    return RecordedMetrics()


def mode_of(values: Values) -> str | None:
    """Return the mode that `MIN` or `MAX` stands for; None without either.

    Raises
    ------
    InvalidArgumentError
        If both are given.
    """
    if values.lowest and values.highest:
        raise InvalidArgumentError("Give either --min or --max, not both.", argument="max")
    if values.highest:
        return "max"
    return "min" if values.lowest else None


def tagged(runs: Sequence[str], tag: str | None, project: str | None = None) -> list[str]:
    """Return the selected experiments; with a tag or project the ids of those that have it, of all if none is selected.

    Raises
    ------
    TrackingError
        If none of them has the tag and is of the project, or nothing is recorded for a selector.
    """
    if tag is None and project is None:
        return list(runs)
    recorded = metrics()
    rows = recorded.find(list(runs)) if runs else recorded.store.experiments()
    these = "None of these experiments" if runs else "No experiment"
    if project is not None:
        rows = [row for row in rows if row.project == project]
        if not rows:
            raise TrackingError(
                f"{these} is of the project {project!r:.60}.", hint="%loops experiments lists all with their projects."
            )
        these = f"{these} of the project {project!r:.60}"
    found = [row.id for row in rows if tag is None or tag in row.tags]
    if not found:
        raise TrackingError(f"{these} has the tag {tag!r:.60}.", hint="%loops experiments lists all with their tags.")
    return found


def split_keys(keys: str | None) -> list[str] | None:
    """Split a comma-separated list of metric keys."""
    if keys is None:
        return None
    return [key.strip() for key in keys.split(",") if key.strip()]


def labels_of(rows: Sequence[ExperimentRow]) -> list[str]:
    """Return the labels of experiments, with the id added to labels that are not unique."""
    counts = Counter(row.label for row in rows)
    return [row.label if counts[row.label] == 1 else f"{row.label} [{row.id}]" for row in rows]


def ambiguity_note(rows: Sequence[ExperimentRow], word: str, line: str) -> str:
    """Return a note that a name matched several experiments and how to select one; empty if it matched one."""
    if len(rows) <= 1:
        return ""
    return (
        f"{word} matches {len(rows)} experiments, and all were changed. "
        f"Use an id to select one: {line.format(rows[0].id)}"
    )


def resolve_experiment(context: MagicContext, word: str) -> str:
    """Return the name or id of an experiment; for a run of the service without one, create it.

    Raises
    ------
    TrackingError
        If there is neither an experiment nor a run with that name.
    """
    found = metrics()
    try:
        found.ids(word)
    except TrackingError as unknown:
        try:
            run = context.loops.runs.get(context.resolve_run_id(word))
        except (NotFoundError, CredentialsError, TransportError):
            raise unknown from None
        from loops_nb.tracking.experiment import experiment_of_run  # only if nothing is recorded yet

        params = {"base_model": run.base_model}
        experiment_of_run(run.name or run.id, run=run.id, session=run.session_id, params=params).close()
        return run.id
    return word
