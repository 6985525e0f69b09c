"""Deletion of recorded experiments: which ones a selector means, what they hold, and their removal from the file."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from loops_nb.errors import InvalidArgumentError, TrackingError
from loops_nb.render.formatting import first_and_more, many
from loops_nb.tracking.entries import now
from loops_nb.tracking.experiment_state import live_process, state_of
from loops_nb.tracking.rows import ExperimentRow, SessionRow
from loops_nb.tracking.sql import SqlConnection

_MOST_NAMED = 20
_SESSIONS = "SELECT host, pid, at, outcome FROM sessions WHERE experiment = ? ORDER BY at, seq"
# Every table with rows of experiments, that of the experiments excepted.
_TABLES = ("tags", "attempts", "marks", "series", "sessions", "starts", "samples", "samples_dropped")


class ExperimentContents(NamedTuple):
    """What is recorded of one experiment.

    Parameters
    ----------
    row : ExperimentRow
        The experiment.
    metrics, points : int
        Number of metric keys, and of values of all of them.
    checkpoints, samples : int
        Number of recorded saves, and of kept samples.
    state : {"running", "finished", "crashed", "stale"}
        Its state.
    process : int or None
        Process on this machine that has it open.
    """

    row: ExperimentRow
    metrics: int
    points: int
    checkpoints: int
    samples: int
    state: str
    process: int | None

    @property
    def is_open(self) -> bool:
        """Whether a process may still log to it."""
        return self.state == "running" or self.process is not None


def rows_to_delete(rows: Sequence[ExperimentRow], selectors: Iterable[str], *, archived: bool) -> list[ExperimentRow]:
    """Return the experiments that selectors mean; a name or run must mean exactly one.

    Parameters
    ----------
    rows : sequence of ExperimentRow
        All experiments, archived ones included.
    selectors : iterable of str
        Ids, names, ids of runs, or shell patterns of names.
    archived : bool
        Whether patterns select archived experiments, too.

    Raises
    ------
    TrackingError
        If nothing is recorded for a selector.
    InvalidArgumentError
        If several experiments have a name, or belong to a run.
    """
    found: dict[str, ExperimentRow] = {}
    for selector in selectors:
        matches = [row for row in rows if row.id == selector]
        if not matches:
            matches = [row for row in rows if selector in (row.name, row.run_id)]
            if len(matches) > 1:
                raise _several(selector, matches)
        if not matches and any(character in selector for character in "*?["):
            matches = [row for row in rows if (archived or not row.archived) and fnmatchcase(row.name, selector)]
        if not matches:
            raise _unknown(rows, selector)
        found.update((row.id, row) for row in reversed(matches))
    return list(found.values())


def _several(selector: str, rows: Sequence[ExperimentRow]) -> InvalidArgumentError:
    count = len(rows)
    archived = sum(row.archived for row in rows)
    some = f", {archived:,} of them archived" if archived else ""
    ids = first_and_more([row.id for row in rows], _MOST_NAMED)
    return InvalidArgumentError(
        f"{selector!r:.60} is the name or run of {count:,} experiments{some}. Nothing was deleted.",
        argument="what",
        hint=f"Say which by id: {ids}. %loops experiments {rows[0].name!r:.60} --archived shows them.",
    )


def _unknown(rows: Sequence[ExperimentRow], selector: str) -> TrackingError:
    import difflib  # only for the error

    known = dict.fromkeys(text for row in rows for text in (row.name, row.run_id, row.id) if text)
    near = difflib.get_close_matches(selector, known, n=2)
    hint = "%loops experiments --archived lists what is."
    if any(fnmatchcase(row.name, selector) for row in rows):
        hint = "Only archived experiments match: add --archived (in Python archived=True)."
    elif near:
        hint = f"Did you mean {' or '.join(near)}?"
    return TrackingError(f"Nothing is recorded for {selector!r:.60} on this machine. Nothing was deleted.", hint=hint)


def contents_of(connection: SqlConnection, rows: Iterable[ExperimentRow]) -> list[ExperimentContents]:
    """Return what is recorded of experiments; those that are no longer in the file are left out."""
    at, host = now(), platform.node()
    found: list[ExperimentContents] = []
    for row in rows:
        seq = _seq_of(connection, row.id)
        if seq is None:
            continue
        metrics, points = connection.execute(
            "SELECT count(*), coalesce(sum(count), 0) FROM series WHERE experiment = ?", (seq,)
        ).fetchone()
        (saves,) = connection.execute(
            "SELECT count(*) FROM marks WHERE experiment = ? AND kind = 'save'", (seq,)
        ).fetchone()
        (samples,) = connection.execute("SELECT count(*) FROM samples WHERE experiment = ?", (seq,)).fetchone()
        sessions = [SessionRow._make(of) for of in connection.execute(_SESSIONS, (seq,))]
        state = state_of(row.last_at, sessions, at, host)
        found.append(ExperimentContents(row, metrics, int(points), saves, samples, state, live_process(sessions)))
    return found


def check_are_closed(contents: Iterable[ExperimentContents]) -> None:
    """Raise for experiments that a process may still log to: the next value would begin them again.

    Raises
    ------
    TrackingError
        If there is one.
    """
    still_open = [of for of in contents if of.is_open]
    if not still_open:
        return
    names = first_and_more([_described(of) for of in still_open], _MOST_NAMED)
    is_own = any(of.process == os.getpid() for of in still_open)
    how = "exp.close() closes it" if is_own else "Let it end, or end its process"
    are = "is running" if len(still_open) == 1 else f"are running ({many(len(still_open), 'experiment')})"
    raise TrackingError(
        f"{names} {are}: what is logged next would begin it again. Nothing was deleted.",
        hint=f"{how}; or add --force (in Python force=True): what was logged until now is deleted then.",
    )


def _described(of: ExperimentContents) -> str:
    process = "" if of.process is None else f", process {of.process}"
    if of.process == os.getpid():
        process = ", this process"
    return f"{of.row.name!r:.60} ({of.row.id}{process})"


def delete_rows(connection: SqlConnection, ids: Iterable[str]) -> None:
    """Delete experiments with everything recorded of them, within a transaction.

    Up to where request logs were read stays, so that none is recorded a second time.
    """
    for experiment_id in ids:
        seq = _seq_of(connection, experiment_id)
        if seq is None:
            continue
        connection.execute("DELETE FROM chunks WHERE series IN (SELECT seq FROM series WHERE experiment = ?)", (seq,))
        for table in _TABLES:
            connection.execute(f"DELETE FROM {table} WHERE experiment = ?", (seq,))  # noqa: S608 - our own tables
        connection.execute("DELETE FROM experiments WHERE seq = ?", (seq,))
    connection.execute("DELETE FROM environments WHERE seq NOT IN (SELECT environment FROM starts)")


def _seq_of(connection: SqlConnection, experiment_id: str) -> int | None:
    found = connection.execute("SELECT seq FROM experiments WHERE id = ?", (experiment_id,)).fetchone()
    return None if found is None else int(found[0])
