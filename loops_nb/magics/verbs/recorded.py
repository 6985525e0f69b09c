"""What verbs about experiments share: how a line says which ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.errors import CredentialsError, NotFoundError, TrackingError, TransportError
from loops_nb.magics.grammar import Option, Takes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loops_nb.experiments import Metrics
    from loops_nb.magics.desk import Desk
    from loops_nb.tracking import ExperimentRow

_HELP = "id of a run, or id or name of an experiment"
RUN = Takes(name="run", metavar="RUN", knows="experiment", required=True, help=_HELP)
RUNS = Takes(name="runs", metavar="RUN", knows="experiment", many=True, help=f"{_HELP}; all that are not archived when left out")
SOME_RUNS = Takes(name="runs", metavar="RUN", knows="experiment", many=True, required=True, help=_HELP)
KEYS = Option(name="keys", flags=("-k", "--keys"), metavar="KEYS", knows="metrics", help="only these, separated by commas: loss,grad_norm")


def metrics() -> Metrics:
    """Return what is recorded on this machine; needs no connection."""
    from loops_nb.experiments import Metrics  # noqa: PLC0415 - only for these lines

    return Metrics()


def split(keys: str | None) -> list[str] | None:
    """Return the keys of a line."""
    return None if keys is None else [key.strip() for key in keys.split(",") if key.strip()]


def or_all(runs: Sequence[str]) -> Sequence[str] | None:
    """Return the runs of a line; None, which means all, where it names none."""
    return runs or None


def called(rows: Sequence[ExperimentRow]) -> list[str]:
    """Return how people tell experiments apart: by their labels, with the id where several have the same."""
    labels = [row.label for row in rows]
    return [row.label if labels.count(row.label) == 1 else f"{row.label} [{row.id}]" for row in rows]


def one_of_several(rows: Sequence[ExperimentRow], word: str, line: str) -> str:
    """Return what to say where one word meant several experiments: how to mean one of them only; empty where it meant one."""
    if len(rows) <= 1:
        return ""
    return f"{word} means {len(rows)} experiments, and all were changed. An id means one alone: {line.format(rows[0].id)}"


def recorded(desk: Desk, word: str) -> str:
    """Return a word that something is recorded for; of a run of the service nothing may be recorded yet: then it gets an experiment.

    Raises
    ------
    TrackingError
        If it is neither.
    """
    found = metrics()
    try:
        found.ids(word)
    except TrackingError as unknown:
        try:
            run = desk.loops.runs.get(desk.run_id(word))
        except (NotFoundError, CredentialsError, TransportError):
            raise unknown from None
        from loops_nb.tracking import Recording, begin  # noqa: PLC0415 - only where nothing is recorded yet

        begin(Recording, run.name or run.id, run=run.id, session=run.session_id, params={"base_model": run.base_model}).close()
        return run.id
    return word
