"""Records read from the store: experiments, keys, series of points, and marks."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    import numpy.typing as npt

#: Kinds of marks: a saved checkpoint, and a note.
MARK_KINDS = ("save", "note")


class ExperimentRow(NamedTuple):
    """One experiment.

    Parameters
    ----------
    id : str
        Unique id.
    name : str
        Name; several experiments may have the same.
    run_id, session_id : str or None
        Loops run and session that it belongs to.
    created_at, last_at : int
        When it began, and when its newest point or mark was recorded; milliseconds since 1970.
    tags : tuple of str
        Tags in alphabetical order.
    params : dict
        Parameters: learning rate, rank, data set.
    notes : tuple of str
        Notes, oldest first.
    archived : bool
        Whether it is hidden from listings.
    project : str or None, default None
        Project that it belongs to.
    summary : dict
        Values that were set for the experiment as a whole; empty by default.
    author : str or None, default None
        Who began it; None if that is not recorded.
    """

    id: str
    name: str
    run_id: str | None
    session_id: str | None
    created_at: int
    tags: tuple[str, ...]
    params: dict[str, Any]
    notes: tuple[str, ...]
    archived: bool
    last_at: int
    project: str | None = None
    summary: dict[str, Any] = {}  # noqa: RUF012 - the default of a tuple; it is never changed
    author: str | None = None

    @property
    def label(self) -> str:
        """The name, with the run if there is one."""
        return self.name if self.run_id is None or self.run_id == self.name else f"{self.name} ({self.run_id})"


def without_archived(rows: Iterable[ExperimentRow]) -> list[ExperimentRow]:
    """Return the experiments that are not archived; all of them if all are archived."""
    found = list(rows)
    return [row for row in found if not row.archived] or found


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One key of an experiment: its number of points, their lowest and highest step, and its number in the file."""

    key: str
    count: int
    first_step: int
    last_step: int
    seq: int = field(default=0, compare=False)


class ExperimentMark(NamedTuple):
    """A saved checkpoint or a note, at a step of an experiment.

    Parameters
    ----------
    kind : {"save", "note"}
        Kind of the mark.
    step : int or None
        Its step, if known.
    at : int
        Milliseconds since 1970.
    text : str
        Name of the checkpoint, or the note.
    uri : str or None
        ``bt://`` URI of the checkpoint; None for notes and while the save is not answered.
    target : {"trainer", "sampler"} or None
        What can load the checkpoint; None for notes.
    attempt : int
        Attempt, as in `Series`.
    expires_at : int or None, default None
        When the checkpoint vanishes, in milliseconds since 1970; None if no lifetime was asked for.
    """

    kind: Literal["save", "note"]
    step: int | None
    at: int
    text: str
    uri: str | None
    target: str | None
    attempt: int
    expires_at: int | None = None


class LogContinuation(NamedTuple):
    """The state of a training's log at the begin of a file that goes on with it, after the log was rotated.

    Parameters
    ----------
    root : str
        Identity of the first file of the log.
    experiment : str
        Id of the experiment.
    attempt : int
        Attempt of the last line before the file, counted from 0.
    last_step : int
        Step of that line.
    tokens : float or None
        Tokens until then; None if the log has no tokens.
    """

    root: str
    experiment: str
    attempt: int
    last_step: int
    tokens: float | None

    def row_of(self, identity: str) -> str:
        """Return the row that stores it for a file; earlier versions ignore it."""
        return f"{identity}~{json.dumps(self)}"

    @classmethod
    def of_row(cls, row: str) -> LogContinuation:
        """Return what `row_of` stored."""
        return cls(*json.loads(row.partition("~")[2]))


class LogFingerprint(NamedTuple):
    """What stays the same in a request log while it grows.

    Parameters
    ----------
    offset : int
        End of what was read, in bytes.
    head, tail : str
        Digests of the beginning of the log and of the bytes before ``offset``.
    """

    offset: int
    head: str
    tail: str


class Series(NamedTuple):
    """The points of one key, in order of arrival.

    Parameters
    ----------
    step : numpy.ndarray of int64, shape (n,)
        Steps; they may repeat and go backwards.
    at : numpy.ndarray of int64, shape (n,)
        When each point was recorded: milliseconds since 1970.
    tokens : numpy.ndarray of float64, shape (n,)
        Tokens trained on until then; NaN if unknown.
    value : numpy.ndarray of float64, shape (n,)
        Values; NaN and infinities as they were recorded.
    attempt : numpy.ndarray of int32, shape (n,)
        1 for what was recorded first; higher after each resumption and each return to an earlier step.
    mark : int
        Position at the end of this series; `ExperimentStore.series` takes it as ``after`` to read only newer points.
    """

    step: npt.NDArray[np.int64]
    at: npt.NDArray[np.int64]
    tokens: npt.NDArray[np.float64]
    value: npt.NDArray[np.float64]
    attempt: npt.NDArray[np.int32]
    mark: int


class SeriesSummary(NamedTuple):
    """Summary of one series, kept up to date by each write.

    Parameters
    ----------
    key : str
        Key of the series.
    points : int
        Number of points.
    last_step : int
        Highest step.
    last_value : float or None
        The value that arrived last; None if it is NaN.
    min_value, max_value : float or None
        Lowest and highest value; None if all are NaN.
    """

    key: str
    points: int
    last_step: int
    last_value: float | None
    min_value: float | None
    max_value: float | None


class SessionRow(NamedTuple):
    """One process that wrote to an experiment.

    Parameters
    ----------
    host : str
        Name of its machine.
    pid : int
        Its process id there.
    at : int
        When it wrote last; milliseconds since 1970.
    outcome : {"finished", "crashed"} or None
        How it ended; None if no end was recorded.
    """

    host: str
    pid: int
    at: int
    outcome: str | None


class EnvironmentRow(NamedTuple):
    """What a process ran in when it began or resumed an experiment.

    Parameters
    ----------
    at : int
        When it began; milliseconds since 1970.
    content : dict
        As `loops_nb.tracking.environment.capture` returned it.
    """

    at: int
    content: dict[str, Any]


class Summaries(NamedTuple):
    """Summaries by experiment id: series in order of appearance, sessions with the latest last, number of saves."""

    series: dict[str, dict[str, SeriesSummary]]
    sessions: dict[str, list[SessionRow]]
    saves: dict[str, int]
