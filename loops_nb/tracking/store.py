"""The store of experiments: reads and small changes, safe with any number of notebooks and scripts at a time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from loops_nb.config.fork_safety import ForkAware, release_if_held, reset_on_fork
from loops_nb.config.postgres_address import PostgresAddress
from loops_nb.errors import TrackingError
from loops_nb.render.formatting import is_or_are
from loops_nb.tracking.backend import backend_for
from loops_nb.tracking.chunks import unpack
from loops_nb.tracking.deletion import ExperimentContents, check_are_closed, contents_of, delete_rows
from loops_nb.tracking.entries import now
from loops_nb.tracking.location import Location, located, path_of
from loops_nb.tracking.params import kept_params, read_params
from loops_nb.tracking.rows import (
    EnvironmentRow,
    ExperimentMark,
    ExperimentRow,
    KeyRow,
    LogContinuation,
    LogFingerprint,
    Series,
    SeriesSummary,
    SessionRow,
    Summaries,
)
from loops_nb.tracking.samples import SampleRow, read_samples
from loops_nb.tracking.sql import SqlConnection, fetch_each
from loops_nb.tracking.values import kept_text
from loops_nb.tracking.warn import warn_again
from loops_nb.tracking.write_batch import add_params
from loops_nb.tracking.writers import trouble, try_flush

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# A panel asks several times a second, so it need not wait for a slow write.
_VERSION_SECONDS = 0.5
# One listing reads the file many times; the same warning is not repeated within this time.
_WARNED_SECONDS = 1.0
_OWN_THREADS = "loops-nb"
#: Experiments that are read in one transaction, which holds up writers on a network file system.
_IDS_A_READ = 250
_SERIES_SUMMARIES = """
    SELECT experiment, key, count, last_step, last_value, min_value, max_value FROM series ORDER BY seq"""
_SESSIONS = "SELECT experiment, host, pid, at, outcome FROM sessions ORDER BY at, seq"
_SAVE_COUNTS = "SELECT experiment, count(*) FROM marks WHERE kind = 'save' GROUP BY experiment"
_TAGS = "SELECT experiment, tag FROM tags WHERE TRUE ORDER BY tag"
_NOTES = "SELECT experiment, text FROM marks WHERE kind = 'note' AND TRUE ORDER BY seq"
_KEYS = """
    SELECT key, count, first_step, last_step, seq FROM series
    WHERE experiment = (SELECT seq FROM experiments WHERE id = ?) ORDER BY seq"""
_POINTS = """
    SELECT chunks.start, chunks.count, chunks.points FROM chunks JOIN series ON chunks.series = series.seq
    WHERE series.experiment = (SELECT seq FROM experiments WHERE id = ?) AND series.key = ?
        AND chunks.start + chunks.count > ?
    ORDER BY chunks.start"""
_MARKS = """
    SELECT kind, step, at, text, uri, target, attempt, expires_at FROM marks
    WHERE experiment = (SELECT seq FROM experiments WHERE id = ?) ORDER BY seq"""
_COLUMNS = "seq, id, name, run_id, session_id, created_at, params, archived, last_at, project, summary, author"


class ExperimentStore(ForkAware):
    """The file of experiments, or a team's store: thread-safe, opened lazily, never created by reading.

    What this process has logged is written before each read.  If another process prevents that, the file is read as it
    is, and a `TrackingWarning` says how many values are missing.

    Parameters
    ----------
    path : str, path-like or PostgresAddress, optional
        The file, or the address of a team's store (``postgresql://USER@HOST/DATABASE``); by default
        `loops_nb.tracking.location.store_location`.
    read_only : bool, default False
        Write nothing, neither tags nor an upgrade of an older file, and issue no warnings.

    Raises
    ------
    TrackingError
        If there is no folder for the file; by every method, if the file cannot be used.

    Examples
    --------
    >>> with ExperimentStore() as store:  # doctest: +SKIP
    ...     names = [row.name for row in store.experiments()]
    """

    def __init__(
        self, path: str | os.PathLike[str] | PostgresAddress | None = None, *, read_only: bool = False
    ) -> None:
        self._backend = backend_for(located(path), read_only=read_only)
        self.read_only = read_only
        self._lock = threading.RLock()
        self._warned_at = -_WARNED_SECONDS
        self._last_seen: Hashable = None
        self._version = 0
        reset_on_fork(self)

    @property
    def location(self) -> Location:
        """The file, or the address of a team's store."""
        return self._backend.location

    @property
    def path(self) -> Path:
        """The file.

        Raises
        ------
        TrackingError
            If it is a team's store.
        """
        return path_of(self.location)

    @property
    def is_shared(self) -> bool:
        """Whether it is a team's store, which other people record in."""
        return not isinstance(self.location, Path)

    def close(self) -> None:
        """Close the file; later calls open it again."""
        with self._lock:
            self._backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # A store that is made within an expression leaves no open file behind.
        backend = getattr(self, "_backend", None)
        if backend is not None and backend.is_open:
            self.close()

    def before_fork(self, seconds: float) -> None:
        if self._lock.acquire(timeout=seconds):
            self.close()

    def after_fork_in_parent(self) -> None:
        release_if_held(self._lock)

    def after_fork_in_child(self) -> None:
        self._backend.abandon()
        self._lock = threading.RLock()

    @property
    def identity(self) -> Hashable:
        """Of the open file: with the number of a series in `KeyRow` it tells a series from all others; None without."""
        return self._backend.identity

    # Reads

    def experiments(self, *, archived: bool = False) -> list[ExperimentRow]:
        """Return the experiments, newest first.

        Parameters
        ----------
        archived : bool, default False
            Include archived experiments.
        """
        where = "" if archived else " WHERE archived = 0"
        with self._reading() as connection:
            if connection is None:
                return []
            rows, tags, notes = self._backend.read_together(
                connection,
                [
                    (f"SELECT {_COLUMNS} FROM experiments{where} ORDER BY created_at DESC, seq DESC", ()),  # noqa: S608
                    (_TAGS, ()),
                    (_NOTES, ()),
                ],
            )
        return _experiment_rows(rows, tags, notes)

    def experiment(self, experiment_id: str) -> ExperimentRow:
        """Return one experiment, archived or not.

        Raises
        ------
        TrackingError
            If there is none with this id.
        """
        return self.experiments_by_id([experiment_id])[0]

    def experiments_by_id(self, ids: Iterable[str]) -> list[ExperimentRow]:
        """Return experiments, archived or not, in the order of their ids.

        Raises
        ------
        TrackingError
            If there is none with one of the ids.
        """
        wanted = list(ids)
        found: dict[str, ExperimentRow] = {}
        for part in _parts(wanted):
            with self._reading() as connection:
                if connection is None:
                    break
                # Only their own tags and notes are read.
                ids_of = f"id IN ({_places(part)})"
                of_them = f"experiment IN (SELECT seq FROM experiments WHERE {ids_of})"  # noqa: S608 - question marks
                rows, tags, notes = self._backend.read_together(
                    connection,
                    [
                        (f"SELECT {_COLUMNS} FROM experiments WHERE {ids_of}", part),  # noqa: S608 - our own
                        (_TAGS.replace("TRUE", of_them), part),
                        (_NOTES.replace("TRUE", of_them), part),
                    ],
                )
            found.update((row.id, row) for row in _experiment_rows(rows, tags, notes))
        for experiment_id in wanted:
            if experiment_id not in found:
                raise _unknown_experiment(experiment_id)
        return [found[experiment_id] for experiment_id in wanted]

    def keys(self, experiment_id: str) -> list[KeyRow]:
        """Return the keys of an experiment, in the order in which they were first logged."""
        return self.keys_of([experiment_id])[experiment_id]

    def keys_of(self, experiments: Iterable[str]) -> dict[str, list[KeyRow]]:
        """Return `keys` of several experiments, in one round trip to a team's store."""
        ids = list(dict.fromkeys(experiments))
        found = self._rows_of_each(_KEYS, [(one,) for one in ids])
        return {one: [KeyRow(*row) for row in rows] for one, rows in zip(ids, found, strict=True)}

    def keys_by_experiment(self, ids: Iterable[str]) -> dict[str, list[str]]:
        """Return the keys of experiments by their ids, in the order in which they were first logged."""
        found: dict[str, list[str]] = {experiment_id: [] for experiment_id in ids}
        for part in _parts(found):
            sql = f"""SELECT experiments.id, series.key FROM experiments
                JOIN series ON series.experiment = experiments.seq
                WHERE experiments.id IN ({_places(part)}) ORDER BY series.seq"""  # noqa: S608 - question marks
            for experiment_id, key in self._rows(sql, part):
                found[experiment_id].append(key)
        return found

    def summaries(self) -> Summaries:
        """Return the summaries of all experiments by their id: series, sessions and the number of saves; no points."""
        with self._reading() as connection:
            if connection is None:
                return Summaries({}, {}, {})
            statements = ("SELECT seq, id FROM experiments", _SERIES_SUMMARIES, _SESSIONS, _SAVE_COUNTS)
            ids, series_rows, session_rows, save_rows = self._backend.read_together(
                connection, [(sql, ()) for sql in statements]
            )
        id_of: dict[int, str] = dict(ids)
        series: dict[str, dict[str, SeriesSummary]] = {found: {} for found in id_of.values()}
        for seq, *row in series_rows:
            series[id_of[seq]][row[0]] = SeriesSummary._make(row)
        sessions: dict[str, list[SessionRow]] = {found: [] for found in id_of.values()}
        for seq, *row in session_rows:
            sessions[id_of[seq]].append(SessionRow._make(row))
        return Summaries(series, sessions, {id_of[seq]: int(count) for seq, count in save_rows})

    def series(self, experiment_id: str, key: str, *, after: int = 0) -> Series:
        """Return the points of a key, in order of arrival; an empty series if there is no such key.

        Parameters
        ----------
        experiment_id : str
            Id of the experiment.
        key : str
            Key of the series.
        after : int, default 0
            ``mark`` of an earlier `Series`: only newer points are returned.
        """
        return self.series_of([(experiment_id, key, after)])[0]

    def series_of(self, wanted: Sequence[tuple[str, str, int]]) -> list[Series]:
        """Return `series` of several keys, in one round trip to a team's store.

        Parameters
        ----------
        wanted : sequence of (str, str, int)
            Id of an experiment, key, and the ``mark`` after which points are returned.
        """
        found = self._rows_of_each(_POINTS, wanted)
        return [_concatenated(rows, after) for rows, (_, _, after) in zip(found, wanted, strict=True)]

    def series_by_experiment(
        self, ids: Iterable[str], keys: Collection[str] | None = None
    ) -> dict[str, dict[str, Series]]:
        """Return the points of many experiments by id and key, in order of arrival: a few reads for thousands of them.

        Parameters
        ----------
        ids : iterable of str
            Ids of experiments.
        keys : collection of str, optional
            Only these keys; by default all.
        """
        chunks: dict[str, dict[str, list[tuple[int, int, bytes]]]] = {experiment_id: {} for experiment_id in ids}
        # Without keys there is nothing to read, and `IN ()` is no SQL.
        for part in _parts(() if keys is not None and not keys else chunks):
            only = "" if keys is None else f" AND series.key IN ({_places(keys)})"
            sql = f"""SELECT experiments.id, series.key, chunks.start, chunks.count, chunks.points FROM experiments
                JOIN series ON series.experiment = experiments.seq JOIN chunks ON chunks.series = series.seq
                WHERE experiments.id IN ({_places(part)}){only} ORDER BY series.seq, chunks.start"""  # noqa: S608
            for experiment_id, key, start, count, points in self._rows(sql, (*part, *(keys or ()))):
                chunks[experiment_id].setdefault(key, []).append((start, count, points))
        return {
            experiment_id: {key: _concatenated(found, 0) for key, found in of_keys.items()}
            for experiment_id, of_keys in chunks.items()
        }

    def marks(self, experiment_id: str) -> list[ExperimentMark]:
        """Return the saved checkpoints and the notes of an experiment, oldest first."""
        return self.marks_of([experiment_id])[experiment_id]

    def marks_of(self, experiments: Iterable[str]) -> dict[str, list[ExperimentMark]]:
        """Return `marks` of several experiments, in one round trip to a team's store."""
        ids = list(dict.fromkeys(experiments))
        found = self._rows_of_each(_MARKS, [(one,) for one in ids])
        return {one: [ExperimentMark(*row) for row in rows] for one, rows in zip(ids, found, strict=True)}

    def lifetimes(self) -> dict[str, int]:
        """Return by URI when a checkpoint vanishes, in milliseconds since 1970; a later save of it counts."""
        sql = """SELECT uri, expires_at FROM marks WHERE kind = 'save'
            AND uri IN (SELECT uri FROM marks WHERE expires_at IS NOT NULL) ORDER BY seq"""
        return {uri: at for uri, at in dict(self._rows(sql, ())).items() if at is not None}

    def environments(self, experiment_id: str) -> list[EnvironmentRow]:
        """Return what each process ran in that began or resumed an experiment, oldest first."""
        sql = """SELECT starts.at, environments.content FROM starts
            JOIN environments ON starts.environment = environments.seq
            WHERE starts.experiment = (SELECT seq FROM experiments WHERE id = ?) ORDER BY starts.at, starts.token"""
        return [EnvironmentRow(at, read_params(content)) for at, content in self._rows(sql, (experiment_id,))]

    def newest_environments(self) -> dict[str, dict[str, Any]]:
        """Return what the newest start of each experiment ran in, by its id; equal environments are one object."""
        with self._reading() as connection:
            if connection is None:
                return {}
            sql = """SELECT experiments.id, starts.environment FROM starts
                JOIN experiments ON starts.experiment = experiments.seq ORDER BY starts.at, starts.token"""
            rows, starts = self._backend.read_together(
                connection, [("SELECT seq, content FROM environments", ()), (sql, ())]
            )
        content_of = {seq: read_params(content) for seq, content in rows}
        return {key: content_of[environment] for key, environment in starts}

    def samples(self, experiment_id: str, *, steps: Iterable[int] | None = None) -> list[SampleRow]:
        """Return the samples of an experiment by step, within a step in order of arrival.

        Parameters
        ----------
        experiment_id : str
            Id of the experiment.
        steps : iterable of int, optional
            Only these steps; by default all.
        """
        with self._reading() as connection:
            seq = None if connection is None else _seq_of(connection, experiment_id)
            return [] if connection is None or seq is None else read_samples(connection, seq, steps)

    def sample_steps(self, experiment_id: str) -> dict[int, int]:
        """Return the steps that samples of an experiment were kept at, in ascending order, with their numbers."""
        sql = """SELECT step, count(*) FROM samples WHERE experiment = (SELECT seq FROM experiments WHERE id = ?)
            GROUP BY step ORDER BY step"""
        return dict(self._rows(sql, (experiment_id,)))

    def samples_dropped(self, experiment_id: str) -> int:
        """Return how many samples of an experiment were dropped, because it had more than are kept."""
        sql = """SELECT count FROM samples_dropped
            WHERE experiment = (SELECT seq FROM experiments WHERE id = ?)"""
        rows = self._rows(sql, (experiment_id,))
        return int(rows[0][0]) if rows else 0

    def sampled(self) -> list[str]:
        """Return the ids of the experiments that have samples, the newest first."""
        sql = """SELECT id FROM experiments
            WHERE EXISTS (SELECT 1 FROM samples WHERE samples.experiment = experiments.seq)
            ORDER BY created_at DESC, seq DESC"""
        return [row[0] for row in self._rows(sql, ())]

    def followed(self, log: str) -> int:
        """Return up to which offset a request log was read, in bytes."""
        rows = self._rows('SELECT "offset" FROM followed WHERE log = ?', (log,))
        return int(rows[0][0]) if rows else 0

    def log_fingerprint(self, log: str) -> LogFingerprint | None:
        """Return the fingerprint of a request log; None if it is unknown."""
        rows = self._rows('SELECT log, "offset" FROM followed WHERE log LIKE ?', (f"{log}/%",))
        return LogFingerprint(rows[0][1], *rows[0][0].split("/")[1:]) if rows else None

    def log_continuation(self, log: str) -> LogContinuation | None:
        """Return what a file of a rotated log goes on with; None if it is the first."""
        rows = self._rows("SELECT log FROM followed WHERE log LIKE ?", (f"{log}~%",))
        return LogContinuation.of_row(rows[0][0]) if rows else None

    def version(self) -> int:
        """Return a number that grows whenever any process has written to the file; cheap.

        What this process has logged is written before, or later if there is a problem; the code that logs is then
        warned, not the code that reads.
        """
        try_flush(self.location, held_up_seconds=_VERSION_SECONDS)
        with self._lock, self._translated_errors():
            connection = self._backend.open()
            seen = None if connection is None else self._backend.version(connection)
            if seen != self._last_seen:
                self._last_seen = seen
                self._version += 1
            return self._version

    # Changes

    def tag(self, experiment_id: str, *tags: str) -> None:
        """Add tags to an experiment."""
        with self._changing(experiment_id) as (connection, seq):
            for tag in tags:
                connection.execute(
                    "INSERT INTO tags (experiment, tag) VALUES (?, ?) ON CONFLICT DO NOTHING", (seq, kept_text(tag))
                )

    def untag(self, experiment_id: str, *tags: str) -> None:
        """Remove tags from an experiment."""
        with self._changing(experiment_id) as (connection, seq):
            for tag in tags:
                connection.execute("DELETE FROM tags WHERE experiment = ? AND tag = ?", (seq, tag))

    def note(self, experiment_id: str, text: str, *, step: int | None = None) -> None:
        """Add a note to an experiment, at a step or about the whole."""
        sql = """INSERT INTO marks (experiment, kind, step, at, text, attempt)
            VALUES (?, 'note', ?, ?, ?, (SELECT coalesce(max(number), 1) FROM attempts WHERE experiment = ?))"""
        with self._changing(experiment_id) as (connection, seq):
            connection.execute(sql, (seq, step, now(), kept_text(text), seq))

    def archive(self, experiment_id: str, *, archived: bool = True) -> None:
        """Hide an experiment from listings, or show it again; nothing is deleted."""
        with self._changing(experiment_id) as (connection, seq):
            connection.execute("UPDATE experiments SET archived = ? WHERE seq = ?", (int(archived), seq))

    def set_params(self, experiment_id: str, params: Mapping[str, Any]) -> None:
        """Merge parameters into those of an experiment; equal names are replaced."""
        with self._changing(experiment_id) as (connection, seq):
            add_params(connection, seq, kept_params(params))

    def contents(self, rows: Iterable[ExperimentRow]) -> list[ExperimentContents]:
        """Return what is recorded of experiments."""
        with self._reading() as connection:
            if connection is None:
                return []
            with self._backend.snapshot(connection):
                return contents_of(connection, rows)

    def delete(self, rows: Sequence[ExperimentRow], *, force: bool = False) -> list[ExperimentContents]:
        """Delete experiments for good, with everything recorded of them; all or none.

        Parameters
        ----------
        rows : sequence of ExperimentRow
            The experiments.
        force : bool, default False
            Delete also those that a process may still log to.

        Returns
        -------
        list of ExperimentContents
            What was deleted.
        """
        with self._writing(alone=True) as connection:
            if connection is None:
                return []
            found = contents_of(connection, rows)
            if not force:
                check_are_closed(found)
            delete_rows(connection, [of.row.id for of in found])
        return found

    # The file

    def _rows(self, sql: str, values: tuple[Any, ...]) -> list[Any]:
        with self._reading() as connection:
            return [] if connection is None else connection.execute(sql, values).fetchall()

    def _rows_of_each(self, sql: str, values: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
        with self._reading() as connection:
            return [[] for _ in values] if connection is None or not values else fetch_each(connection, sql, values)

    @contextmanager
    def _reading(self) -> Iterator[SqlConnection | None]:
        waiting = try_flush(self.location)
        if waiting:
            self._warn_of_pending(waiting)
        with self._lock, self._translated_errors():
            yield self._backend.open()

    def _warn_of_pending(self, waiting: int) -> None:
        # The threads of panels read again soon, and a warning on them would appear under an unrelated cell.
        if self.read_only or threading.current_thread().name.startswith(_OWN_THREADS):
            return
        if time.monotonic() - self._warned_at >= _WARNED_SECONDS:
            values = "1 value that was" if waiting == 1 else f"{waiting:,} values that were"
            are = is_or_are(waiting)
            where = "store" if self.is_shared else "file"
            why = trouble(self.location) or (
                "The file is being written to by another process, or slow; they are kept in memory and tried again."
            )
            warn_again(
                f"{values} logged in this process {are} not in the {where} yet, and not in what is shown here. {why}"
            )
        self._warned_at = time.monotonic()

    @contextmanager
    def _changing(self, experiment_id: str) -> Iterator[tuple[SqlConnection, int]]:
        with self._writing() as connection:
            found = None
            if connection is not None:
                found = connection.execute("SELECT seq FROM experiments WHERE id = ?", (experiment_id,)).fetchone()
            if connection is None or found is None:
                raise _unknown_experiment(experiment_id)
            yield connection, found[0]

    @contextmanager
    def _writing(self, *, alone: bool = False) -> Iterator[SqlConnection | None]:
        """Begin a transaction; None if there is no file."""
        try_flush(self.location)
        if self.read_only:
            raise TrackingError(f"The experiments in {self.location} are opened for reading only. Nothing was changed.")
        with self._lock, self._translated_errors():
            connection = self._backend.open(to_write=True)
            if connection is None:
                yield None
                return
            with self._backend.transaction(connection, alone=alone):
                yield connection

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except self._backend.errors as error:
            raise self._backend.explained(error) from None


def _unknown_experiment(experiment_id: str) -> TrackingError:
    return TrackingError(
        f"There is no experiment {experiment_id!r:.60} on this machine.", hint="%loops experiments lists them."
    )


def _seq_of(connection: SqlConnection, experiment_id: str) -> int | None:
    found = connection.execute("SELECT seq FROM experiments WHERE id = ?", (experiment_id,)).fetchone()
    return None if found is None else int(found[0])


def _experiment_rows(rows: Sequence[Any], tag_rows: Sequence[Any], note_rows: Sequence[Any]) -> list[ExperimentRow]:
    tags: dict[int, list[str]] = {}
    for seq, tag in tag_rows:
        tags.setdefault(seq, []).append(tag)
    notes: dict[int, list[str]] = {}
    for seq, text in note_rows:
        notes.setdefault(seq, []).append(text)
    return [
        ExperimentRow(
            id=key,
            name=name,
            run_id=run_id,
            session_id=session_id,
            created_at=created_at,
            tags=tuple(tags.get(seq, ())),
            params=read_params(params),
            notes=tuple(notes.get(seq, ())),
            archived=bool(archived),
            last_at=last_at,
            project=project,
            summary=read_params(summary),
            author=author,
        )
        for seq, key, name, run_id, session_id, created_at, params, archived, last_at, project, summary, author in rows
    ]


def _parts(ids: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Yield ids in parts that one statement takes, and that are read in a moment."""
    left = iter(ids)
    while part := tuple(islice(left, _IDS_A_READ)):
        yield part


def _places(values: Collection[str]) -> str:
    return ", ".join("?" * len(values))


def _concatenated(chunks: Sequence[tuple[int, int, bytes]], after: int) -> Series:
    import numpy as np  # writing needs no NumPy

    if not chunks:
        integers: npt.NDArray[np.int64] = np.empty(0, np.int64)
        floats: npt.NDArray[np.float64] = np.empty(0, np.float64)
        return Series(integers, integers, floats, floats, np.empty(0, np.int32), after)
    skipped = max(0, after - chunks[0][0])
    step, at, tokens, value, attempt = unpack([(points, count) for _, count, points in chunks])
    last_start, last_count, _ = chunks[-1]
    mark = last_start + last_count
    return Series(step[skipped:], at[skipped:], tokens[skipped:], value[skipped:], attempt[skipped:], mark)
