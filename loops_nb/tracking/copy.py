"""Copies experiments from one store to another: from the file of a machine to a team's store, or back."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from loops_nb.tracking.author import current_author
from loops_nb.tracking.chunks import Points
from loops_nb.tracking.entries import now
from loops_nb.tracking.experiment_state import state_of
from loops_nb.tracking.rows import Series
from loops_nb.tracking.write_batch import restore_experiment

if TYPE_CHECKING:
    from loops_nb.tracking.rows import ExperimentRow, SeriesSummary
    from loops_nb.tracking.store import ExperimentStore


class CopyResult(NamedTuple):
    """Ids of experiments that were selected to be copied.

    Parameters
    ----------
    new : list of str
        Copied.
    known : list of str
        In the target already, with all of their points; unchanged.
    different : list of str
        In the target already, with another number of points; unchanged.
    running : list of str
        Not copied, as they are still logged to.
    """

    new: list[str]
    known: list[str]
    different: list[str]
    running: list[str]


def copy_experiments(source: ExperimentStore, target: ExperimentStore, rows: Iterable[ExperimentRow]) -> CopyResult:
    """Copy experiments, each in one transaction; a copy that was interrupted goes on with the next call.

    Parameters
    ----------
    source, target : ExperimentStore
        Stores.
    rows : iterable of ExperimentRow
        Experiments of the source.  Those whose id is in the target already stay unchanged there.

    Raises
    ------
    TrackingError
        If a store cannot be read or written.
    """
    done = CopyResult([], [], [], [])
    here, there = source.summaries(), target.summaries()
    at, host = now(), platform.node()
    for row in rows:
        state = state_of(row.last_at, here.sessions.get(row.id, ()), at, host)
        if row.id in there.series:
            is_same = _points(here.series[row.id]) == _points(there.series[row.id])
            (done.known if is_same else done.different).append(row.id)
        elif state == "running":
            done.running.append(row.id)
        else:
            added = _copy(source, target, row, state if state in {"finished", "crashed"} else None)
            (done.new if added else done.known).append(row.id)
    return done


def _copy(source: ExperimentStore, target: ExperimentStore, row: ExperimentRow, outcome: str | None) -> bool:
    # What was recorded before authors were is of the one who copies it.
    return restore_experiment(
        target.location,
        row._replace(author=row.author or current_author()),
        {key.key: _columns(source.series(row.id, key.key)) for key in source.keys(row.id)},
        source.marks(row.id),
        source.environments(row.id),
        source.samples(row.id),
        outcome,
    )


def _columns(series: Series) -> Points:
    return Points._make(column.tolist() for column in series[:5])


def _points(series: dict[str, SeriesSummary]) -> dict[str, int]:
    return {key: of.points for key, of in series.items()}
