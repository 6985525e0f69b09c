"""The file of experiments: reads and small changes, safe with any number of notebooks and scripts at a time."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from loops_nb.config.fork_safety import ForkAware, keep_inherited, release_if_held, reset_on_fork
from loops_nb.config.paths import expanded, home_dir
from loops_nb.errors import ConfigError, TrackingError, one_line
from loops_nb.render.formatting import is_or_are
from loops_nb.tracking.chunks import unpack
from loops_nb.tracking.deletion import ExperimentContents, check_are_closed, contents_of, delete_rows
from loops_nb.tracking.entries import now
from loops_nb.tracking.journal import is_busy
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
from loops_nb.tracking.schema import Transaction, open_store
from loops_nb.tracking.values import kept_text
from loops_nb.tracking.warn import warn_again
from loops_nb.tracking.write_batch import add_params
from loops_nb.tracking.writer import trouble, try_flush

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: Reads and changes wait no longer than this for locks of other processes.
BUSY_SECONDS = 3.0
# A panel asks several times a second, so it need not wait for a slow write.
_VERSION_SECONDS = 0.5
# One listing reads the file many times; the same warning is not repeated within this time.
_WARNED_SECONDS = 1.0
_OWN_THREADS = "loops-nb"
_SERIES_SUMMARIES = """
    SELECT experiment, key, count, last_step, last_value, min_value, max_value FROM series ORDER BY seq"""
_SESSIONS = "SELECT experiment, host, pid, at, outcome FROM sessions ORDER BY at, seq"
_SAVE_COUNTS = "SELECT experiment, count(*) FROM marks WHERE kind = 'save' GROUP BY experiment"
_COLUMNS = "seq, id, name, run_id, session_id, created_at, params, archived, last_at, project, summary"


def store_path() -> Path:
    """Return the default file: ``experiments.sqlite`` in the folder of `loops_nb.config.paths.home_dir`.

    Raises
    ------
    TrackingError
        If there is no such folder.
    """
    try:
        return home_dir() / "experiments.sqlite"
    except ConfigError as error:
        raise TrackingError(error.message, hint=error.hint) from None


class ExperimentStore(ForkAware):
    """The file of experiments: thread-safe, opened lazily, never created by reading.

    What this process has logged is written before each read.  If another process prevents that, the file is read as it
    is, and a `TrackingWarning` says how many values are missing.

    Parameters
    ----------
    path : str or path-like, optional
        The file; by default `store_path`.
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

    def __init__(self, path: str | os.PathLike[str] | None = None, *, read_only: bool = False) -> None:
        self.path: Path = store_path() if path is None else _expanded(path)
        self.read_only = read_only
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._file: os.stat_result | None = None
        self._is_opened_read_only = read_only
        self._warned_at = -_WARNED_SECONDS
        self._open_count = 0
        self._change_count = 0
        self._last_seen: tuple[int, int, int] | None = None
        self._version = 0
        reset_on_fork(self)

    def close(self) -> None:
        """Close the file; later calls open it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # A store that is made within an expression leaves no open file behind.
        if getattr(self, "_connection", None) is not None:
            self.close()

    def before_fork(self, seconds: float) -> None:
        if self._lock.acquire(timeout=seconds):
            self.close()

    def after_fork_in_parent(self) -> None:
        release_if_held(self._lock)

    def after_fork_in_child(self) -> None:
        if self._connection is not None:
            keep_inherited(self._connection)
        self._lock, self._connection = threading.RLock(), None

    @property
    def identity(self) -> Hashable:
        """Of the open file: with the number of a series in `KeyRow` it tells a series from all others; None without."""
        found = self._file
        return None if self._connection is None or found is None else (str(self.path), found.st_dev, found.st_ino)

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
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM experiments{where} ORDER BY created_at DESC, seq DESC"  # noqa: S608
            ).fetchall()
            return _experiment_rows(connection, rows)

    def experiment(self, experiment_id: str) -> ExperimentRow:
        """Return one experiment, archived or not.

        Raises
        ------
        TrackingError
            If there is none with this id.
        """
        with self._reading() as connection:
            if connection is not None:
                rows = connection.execute(
                    f"SELECT {_COLUMNS} FROM experiments WHERE id = ?",  # noqa: S608 - names of our own columns
                    (experiment_id,),
                ).fetchall()
                if rows:
                    return _experiment_rows(connection, rows)[0]
        raise _unknown_experiment(experiment_id)

    def keys(self, experiment_id: str) -> list[KeyRow]:
        """Return the keys of an experiment, in the order in which they were first logged."""
        sql = """SELECT key, count, first_step, last_step, seq FROM series
            WHERE experiment = (SELECT seq FROM experiments WHERE id = ?) ORDER BY seq"""
        return [KeyRow(*row) for row in self._rows(sql, (experiment_id,))]

    def summaries(self) -> Summaries:
        """Return the summaries of all experiments by their id: series, sessions and the number of saves; no points."""
        with self._reading() as connection:
            if connection is None:
                return Summaries({}, {}, {})
            with _snapshot(connection):
                id_of: dict[int, str] = dict(connection.execute("SELECT seq, id FROM experiments").fetchall())
                series: dict[str, dict[str, SeriesSummary]] = {found: {} for found in id_of.values()}
                for seq, *row in connection.execute(_SERIES_SUMMARIES):
                    series[id_of[seq]][row[0]] = SeriesSummary._make(row)
                sessions: dict[str, list[SessionRow]] = {found: [] for found in id_of.values()}
                for seq, *row in connection.execute(_SESSIONS):
                    sessions[id_of[seq]].append(SessionRow._make(row))
                saves = {id_of[seq]: int(count) for seq, count in connection.execute(_SAVE_COUNTS)}
            return Summaries(series, sessions, saves)

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
        sql = """SELECT chunks.start, chunks.count, chunks.points FROM chunks JOIN series ON chunks.series = series.seq
            WHERE series.experiment = (SELECT seq FROM experiments WHERE id = ?) AND series.key = ?
                AND chunks.start + chunks.count > ?
            ORDER BY chunks.start"""
        return _concatenated(self._rows(sql, (experiment_id, key, after)), after)

    def marks(self, experiment_id: str) -> list[ExperimentMark]:
        """Return the saved checkpoints and the notes of an experiment, oldest first."""
        sql = """SELECT kind, step, at, text, uri, target, attempt, expires_at FROM marks
            WHERE experiment = (SELECT seq FROM experiments WHERE id = ?) ORDER BY seq"""
        return [ExperimentMark(*row) for row in self._rows(sql, (experiment_id,))]

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
            with _snapshot(connection):
                rows = connection.execute("SELECT seq, content FROM environments").fetchall()
                content_of = {seq: read_params(content) for seq, content in rows}
                sql = """SELECT experiments.id, starts.environment FROM starts
                    JOIN experiments ON starts.experiment = experiments.seq ORDER BY starts.at, starts.token"""
                return {key: content_of[environment] for key, environment in connection.execute(sql)}

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
        rows = self._rows("SELECT offset FROM followed WHERE log = ?", (log,))
        return int(rows[0][0]) if rows else 0

    def log_fingerprint(self, log: str) -> LogFingerprint | None:
        """Return the fingerprint of a request log; None if it is unknown."""
        rows = self._rows("SELECT log, offset FROM followed WHERE log LIKE ?", (f"{log}/%",))
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
        try_flush(self.path, held_up_seconds=_VERSION_SECONDS)
        with self._lock, self._translated_errors():
            connection = self._open()
            seen = None
            if connection is not None:
                # The file's own number does not count what came through this connection, and begins again with each.
                seen = (self._open_count, self._change_count, connection.execute("PRAGMA data_version").fetchone()[0])
            if seen != self._last_seen:
                self._last_seen = seen
                self._version += 1
            return self._version

    # Changes

    def tag(self, experiment_id: str, *tags: str) -> None:
        """Add tags to an experiment."""
        with self._changing(experiment_id) as (connection, seq):
            for tag in tags:
                connection.execute("INSERT OR IGNORE INTO tags (experiment, tag) VALUES (?, ?)", (seq, kept_text(tag)))

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
            connection.execute("UPDATE experiments SET archived = ? WHERE seq = ?", (archived, seq))

    def set_params(self, experiment_id: str, params: Mapping[str, Any]) -> None:
        """Merge parameters into those of an experiment; equal names are replaced."""
        with self._changing(experiment_id) as (connection, seq):
            add_params(connection, seq, kept_params(params))

    def contents(self, rows: Iterable[ExperimentRow]) -> list[ExperimentContents]:
        """Return what is recorded of experiments."""
        with self._reading() as connection:
            if connection is None:
                return []
            with _snapshot(connection):
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
        with self._writing() as connection:
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

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        waiting = try_flush(self.path)
        if waiting:
            self._warn_of_pending(waiting)
        with self._lock, self._translated_errors():
            yield self._open()

    def _warn_of_pending(self, waiting: int) -> None:
        # The threads of panels read again soon, and a warning on them would appear under an unrelated cell.
        if self.read_only or threading.current_thread().name.startswith(_OWN_THREADS):
            return
        if time.monotonic() - self._warned_at >= _WARNED_SECONDS:
            values = "1 value that was" if waiting == 1 else f"{waiting:,} values that were"
            are = is_or_are(waiting)
            why = trouble(self.path) or (
                "The file is being written to by another process, or slow; they are kept in memory and tried again."
            )
            warn_again(
                f"{values} logged in this process {are} not in the file yet, and not in what is shown here. {why}"
            )
        self._warned_at = time.monotonic()

    @contextmanager
    def _changing(self, experiment_id: str) -> Iterator[tuple[sqlite3.Connection, int]]:
        with self._writing() as connection:
            found = None
            if connection is not None:
                found = connection.execute("SELECT seq FROM experiments WHERE id = ?", (experiment_id,)).fetchone()
            if connection is None or found is None:
                raise _unknown_experiment(experiment_id)
            yield connection, found[0]

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection | None]:
        """Begin a transaction; None if there is no file."""
        try_flush(self.path)
        if self.read_only:
            raise TrackingError(f"The experiments in {self.path} are opened for reading only. Nothing was changed.")
        with self._lock, self._translated_errors():
            connection = self._open(to_write=True)
            if connection is None:
                yield None
                return
            with Transaction(connection, self.path):
                yield connection
            self._change_count += 1

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            self.close()
            why = one_line(str(error))
            if is_busy(error):
                raise TrackingError(
                    f"Another process is writing to {self.path}, for {BUSY_SECONDS:.0f} seconds at least. Nothing was "
                    f"changed.",
                    hint="Try again when it has ended that.",
                ) from None
            if _is_protected(error) and "readonly" in why:
                raise TrackingError(
                    f"The experiments in {self.path} can be read but not written here ({why}). Nothing was changed.",
                    hint="%loops export FILE takes them along; LOOPS_NB_HOME names the folder that is used.",
                ) from None
            raise TrackingError(
                f"The experiments in {self.path} cannot be used for now ({why}). Nothing was harmed.",
                hint="Make that folder usable, or name another one by LOOPS_NB_HOME and restart the kernel.",
            ) from None

    def _open(self, *, to_write: bool = False) -> sqlite3.Connection | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            self.close()
            return None
        is_other = self._file is None or not os.path.samestat(found, self._file)
        if is_other or (to_write and self._is_opened_read_only):
            self.close()
        if self._connection is None:
            self._connection = self._connect(to_write=to_write)
            self._file = self.path.stat()
            self._open_count += 1
        return self._connection

    def _connect(self, *, to_write: bool) -> sqlite3.Connection:
        self._is_opened_read_only = self.read_only
        try:
            return open_store(self.path, read_only=self.read_only, busy_seconds=BUSY_SECONDS)
        except sqlite3.OperationalError as error:
            if self.read_only or to_write or not _is_protected(error):
                raise
            # The folder of another user, or a write-protected disk: the file can still be read.
            try:
                made = open_store(self.path, read_only=True, busy_seconds=BUSY_SECONDS)
            except sqlite3.Error:
                raise error from None
            self._is_opened_read_only = True
            return made


@contextmanager
def _snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Make several reads see the file as it is at the first of them, whatever other processes write meanwhile."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("COMMIT")


def _expanded(path: str | os.PathLike[str]) -> Path:
    try:
        return expanded(path)
    except ConfigError as error:
        raise TrackingError(error.message, hint=error.hint) from None


def _is_protected(error: Exception) -> bool:
    """Whether this user must not write the file, or the folder in which SQLite puts files beside it."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)


def _unknown_experiment(experiment_id: str) -> TrackingError:
    return TrackingError(
        f"There is no experiment {experiment_id!r:.60} on this machine.", hint="%loops experiments lists them."
    )


def _seq_of(connection: sqlite3.Connection, experiment_id: str) -> int | None:
    found = connection.execute("SELECT seq FROM experiments WHERE id = ?", (experiment_id,)).fetchone()
    return None if found is None else int(found[0])


def _experiment_rows(connection: sqlite3.Connection, rows: Sequence[Any]) -> list[ExperimentRow]:
    if not rows:
        return []
    # One experiment: only its own tags and notes are read.
    where, values = ("", ()) if len(rows) > 1 else ("AND experiment = ?", (rows[0][0],))
    tags: dict[int, list[str]] = {}
    for seq, tag in connection.execute(
        f"SELECT experiment, tag FROM tags WHERE TRUE {where} ORDER BY tag",  # noqa: S608 - no text of the user
        values,
    ):
        tags.setdefault(seq, []).append(tag)
    notes: dict[int, list[str]] = {}
    for seq, text in connection.execute(
        f"SELECT experiment, text FROM marks WHERE kind = 'note' {where} ORDER BY seq",  # noqa: S608 - as above
        values,
    ):
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
        )
        for seq, key, name, run_id, session_id, created_at, params, archived, last_at, project, summary in rows
    ]


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
