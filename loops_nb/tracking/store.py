"""The experiments of this machine: one file, read and written by any number of notebooks and scripts at a time."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from loops_nb.errors import ConfigError, TrackingError, one_line
from loops_nb.home import expanded, home_dir
from loops_nb.tracking import forking
from loops_nb.tracking.chunks import unpack
from loops_nb.tracking.notices import warn_again
from loops_nb.tracking.recorder import bring, trouble
from loops_nb.tracking.rows import ExperimentRow, KeyRow, LogMark, Mark, Series
from loops_nb.tracking.schema import Writing, is_busy, open_store
from loops_nb.tracking.values import kept_params, kept_text, read_params
from loops_nb.tracking.writing import add_params

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: What is read or changed waits no longer than this for locks of other processes.
BUSY_SECONDS = 3.0
# A panel asks several times a second, and sees later what does not come at once.
_VERSION_SECONDS = 0.5
# One look reads the file many times; this long after a word about it the same word is not said again.
_SAID_SECONDS = 1.0
_OWN_THREADS = "loops-nb"
_COLUMNS = "seq, id, name, run_id, session_id, created_at, params, archived, last_at"


def store_path() -> Path:
    """Return the file that holds the experiments: ``experiments.sqlite`` in the folder of `loops_nb.home.home_dir`.

    Raises
    ------
    TrackingError
        If there is no such folder.
    """
    try:
        return home_dir() / "experiments.sqlite"
    except ConfigError as error:
        raise TrackingError(error.message, hint=error.hint) from None


class Store:
    """The file of experiments: thread-safe, opened at the first need, never made by reading.

    What this process has logged is written before anything is read.  Where another process keeps it from that, the file is read as it is,
    and a `TrackingWarning` says how many values are still on their way.

    Parameters
    ----------
    path
        The file; without it `store_path`.
    read_only
        Write nothing, neither tags nor an upgrade of an older file, and warn of nothing.

    Raises
    ------
    TrackingError
        If no folder for the file can be named; by every method, if the file cannot be used.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, *, read_only: bool = False) -> None:
        self.path = store_path() if path is None else _given(path)
        self.read_only = read_only
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._file: os.stat_result | None = None
        self._is_for_reading = read_only
        self._said_at = -_SAID_SECONDS
        self._opened = 0
        self._written = 0
        self._seen: tuple[int, int, int] | None = None
        self._version = 0
        forking.reset_on_fork(self)

    def close(self) -> None:
        """Close the file; a later call opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # A store that is made within a line and dropped, as people do, leaves no open file behind.
        if getattr(self, "_connection", None) is not None:
            self.close()

    def before_fork(self, seconds: float) -> None:
        """Close the file; the next call opens it again, in the parent and in the child."""
        if self._lock.acquire(timeout=seconds):
            self.close()

    def after_fork(self) -> None:
        """Go on, in the parent."""
        forking.release(self._lock)

    def in_child(self) -> None:
        """Leave alone, in a child process, what the parent has open, also by the lock that another of its threads may have held."""
        if self._connection is not None:
            _of_parents.append(self._connection)
        self._lock, self._connection = threading.RLock(), None

    # What is there

    def experiments(self, *, archived: bool = False) -> list[ExperimentRow]:
        """Return the experiments, newest first; ``archived`` takes those along that were put out of sight."""
        where = "" if archived else " WHERE archived = 0"
        with self._reading() as connection:
            if connection is None:
                return []
            rows = connection.execute(f"SELECT {_COLUMNS} FROM experiments{where} ORDER BY created_at DESC, seq DESC").fetchall()  # noqa: S608
            return _with_words(connection, rows)

    def experiment(self, experiment_id: str) -> ExperimentRow:
        """Return one experiment, archived or not.

        Raises
        ------
        TrackingError
            If there is none with this id.
        """
        with self._reading() as connection:
            if connection is not None:
                rows = connection.execute(f"SELECT {_COLUMNS} FROM experiments WHERE id = ?", (experiment_id,)).fetchall()  # noqa: S608
                if rows:
                    return _with_words(connection, rows)[0]
        raise _unknown(experiment_id)

    def keys(self, experiment_id: str) -> list[KeyRow]:
        """Return the keys of an experiment, in the order in which they first came."""
        sql = """SELECT key, count, first_step, last_step FROM series
            WHERE experiment = (SELECT seq FROM experiments WHERE id = ?) ORDER BY seq"""
        return [KeyRow(*row) for row in self._rows(sql, (experiment_id,))]

    def series(self, experiment_id: str, key: str, *, after: int = 0) -> Series:
        """Return the points of a key, in order of arrival; none where there is no such key.

        Parameters
        ----------
        experiment_id, key
            Which ones.
        after
            The ``mark`` of an earlier answer: only what came since is read.
        """
        sql = """SELECT chunks.start, chunks.count, chunks.points FROM chunks JOIN series ON chunks.series = series.seq
            WHERE series.experiment = (SELECT seq FROM experiments WHERE id = ?) AND series.key = ? AND chunks.start + chunks.count > ?
            ORDER BY chunks.start"""
        return _joined(self._rows(sql, (experiment_id, key, after)), after)

    def marks(self, experiment_id: str) -> list[Mark]:
        """Return what happened to an experiment beside its numbers, oldest first: checkpoints saved, notes."""
        sql = """SELECT kind, step, at, text, uri, target, attempt FROM marks
            WHERE experiment = (SELECT seq FROM experiments WHERE id = ?) ORDER BY seq"""
        return [Mark(*row) for row in self._rows(sql, (experiment_id,))]

    def followed(self, log: str) -> int:
        """Return how far a log was read, in bytes."""
        rows = self._rows("SELECT offset FROM followed WHERE log = ?", (log,))
        return int(rows[0][0]) if rows else 0

    def followed_mark(self, log: str) -> LogMark | None:
        """Return what a log had where its reading ended; None where that is not known."""
        rows = self._rows("SELECT log, offset FROM followed WHERE log LIKE ?", (f"{log}/%",))
        return LogMark(rows[0][1], *rows[0][0].split("/")[1:]) if rows else None

    def version(self) -> int:
        """Return a number that is a higher one as soon as anything was logged in this process, or written by any; cheap.

        What this process has logged is written before, unless something is in the way of that: then it comes later, and whoever logs is
        told, not whoever looks.
        """
        bring(self.path, held_up_seconds=_VERSION_SECONDS)
        with self._lock, self._in_words():
            connection = self._open()
            seen = None
            if connection is not None:
                # The file's own number does not count what came through this connection, and begins again with each.
                seen = (self._opened, self._written, connection.execute("PRAGMA data_version").fetchone()[0])
            if seen != self._seen:
                self._seen = seen
                self._version += 1
            return self._version

    # What a person says about it

    def tag(self, experiment_id: str, *tags: str) -> None:
        """Add tags to an experiment."""
        with self._changing(experiment_id) as (connection, seq):
            for tag in tags:
                connection.execute("INSERT OR IGNORE INTO tags (experiment, tag) VALUES (?, ?)", (seq, kept_text(tag)))

    def untag(self, experiment_id: str, *tags: str) -> None:
        """Take tags off an experiment."""
        with self._changing(experiment_id) as (connection, seq):
            for tag in tags:
                connection.execute("DELETE FROM tags WHERE experiment = ? AND tag = ?", (seq, tag))

    def note(self, experiment_id: str, text: str, *, step: int | None = None) -> None:
        """Write something down about an experiment, at a step or as a whole."""
        sql = """INSERT INTO marks (experiment, kind, step, at, text, attempt)
            VALUES (?, 'note', ?, ?, ?, (SELECT coalesce(max(number), 1) FROM attempts WHERE experiment = ?))"""
        with self._changing(experiment_id) as (connection, seq):
            connection.execute(sql, (seq, step, now(), kept_text(text), seq))

    def archive(self, experiment_id: str, *, archived: bool = True) -> None:
        """Put an experiment out of sight, or back; nothing of it is deleted."""
        with self._changing(experiment_id) as (connection, seq):
            connection.execute("UPDATE experiments SET archived = ? WHERE seq = ?", (archived, seq))

    def set_params(self, experiment_id: str, params: Mapping[str, Any]) -> None:
        """Add parameters to those of an experiment; one of the same name is replaced."""
        with self._changing(experiment_id) as (connection, seq):
            add_params(connection, seq, kept_params(params))

    # The file

    def _rows(self, sql: str, values: tuple[Any, ...]) -> list[Any]:
        with self._reading() as connection:
            return [] if connection is None else connection.execute(sql, values).fetchall()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        waiting = bring(self.path)
        if waiting:
            self._say_waiting(waiting)
        with self._lock, self._in_words():
            yield self._open()

    def _say_waiting(self, waiting: int) -> None:
        # The threads of panels look again by themselves, and what they print would land under any cell.
        if self.read_only or threading.current_thread().name.startswith(_OWN_THREADS):
            return
        if time.monotonic() - self._said_at >= _SAID_SECONDS:
            values = f"{waiting:,} value{' that was' if waiting == 1 else 's that were'} logged in this process"
            why = trouble(self.path) or "The file is being written to by another process, or slow; they are kept in memory and tried again."
            warn_again(f"{values} {'is' if waiting == 1 else 'are'} not in the file yet, and not in what is shown here. {why}")
        self._said_at = time.monotonic()

    @contextmanager
    def _changing(self, experiment_id: str) -> Iterator[tuple[sqlite3.Connection, int]]:
        bring(self.path)
        if self.read_only:
            raise TrackingError(f"The experiments in {self.path} are opened for reading only. Nothing was changed.")
        with self._lock, self._in_words():
            connection = self._open(to_write=True)
            if connection is None:
                raise _unknown(experiment_id)
            with Writing(connection, self.path):
                found = connection.execute("SELECT seq FROM experiments WHERE id = ?", (experiment_id,)).fetchone()
                if found is None:
                    raise _unknown(experiment_id)
                yield connection, found[0]
            self._written += 1

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            self.close()
            why = one_line(str(error))
            if is_busy(error):
                raise TrackingError(
                    f"Another process is writing to {self.path}, for {BUSY_SECONDS:.0f} seconds at least. Nothing was changed.",
                    hint="Try again when it has ended that.",
                ) from None
            if _is_protected(error) and "readonly" in why:
                raise TrackingError(
                    f"The experiments in {self.path} can be read but not written here ({why}). Nothing was changed.",
                    hint="%loops export FILE takes them along; LOOPS_NB_HOME names the folder that is used.",
                ) from None
            raise TrackingError(f"The experiments in {self.path} cannot be used for now ({why}). Nothing was harmed.") from None

    def _open(self, *, to_write: bool = False) -> sqlite3.Connection | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            self.close()
            return None
        is_other = self._file is None or not os.path.samestat(found, self._file)
        if is_other or (to_write and self._is_for_reading):
            self.close()
        if self._connection is None:
            self._connection = self._connect(to_write=to_write)
            self._file = self.path.stat()
            self._opened += 1
        return self._connection

    def _connect(self, *, to_write: bool) -> sqlite3.Connection:
        self._is_for_reading = self.read_only
        try:
            return open_store(self.path, read_only=self.read_only, busy_seconds=BUSY_SECONDS)
        except sqlite3.OperationalError as error:
            if self.read_only or to_write or not _is_protected(error):
                raise
            # Another person's folder, or a disk that is write-protected: what is there can be read all the same.
            try:
                made = open_store(self.path, read_only=True, busy_seconds=BUSY_SECONDS)
            except sqlite3.Error:
                raise error from None
            self._is_for_reading = True
            return made


# Held on to for good: closing a connection of the parent could harm what the parent does with it.
_of_parents: list[sqlite3.Connection | None] = []


def _given(path: str | os.PathLike[str]) -> Path:
    try:
        return expanded(path)
    except ConfigError as error:
        raise TrackingError(error.message, hint=error.hint) from None


def now() -> int:
    """Return the time as the store keeps it: milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def _is_protected(error: Exception) -> bool:
    """Tell whether a file, or the folder where SQLite puts files beside it, must not be written by this person."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)


def _unknown(experiment_id: str) -> TrackingError:
    return TrackingError(f"There is no experiment {experiment_id!r:.60} on this machine.", hint="%loops experiments lists them.")


def _with_words(connection: sqlite3.Connection, rows: Sequence[Any]) -> list[ExperimentRow]:
    tags: dict[int, list[str]] = {}
    notes: dict[int, list[str]] = {}
    many = len(rows) > 1
    of, values = ("", ()) if many else (" WHERE experiment = ?", (rows[0][0],)) if rows else ("", ())
    for seq, tag in connection.execute(f"SELECT experiment, tag FROM tags{of} ORDER BY tag", values):  # noqa: S608
        tags.setdefault(seq, []).append(tag)
    kind = f"{of} {'AND' if of else 'WHERE'} kind = 'note'"
    for seq, text in connection.execute(f"SELECT experiment, text FROM marks{kind} ORDER BY seq", values):  # noqa: S608
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
        )
        for seq, key, name, run_id, session_id, created_at, params, archived, last_at in rows
    ]


def _joined(chunks: Sequence[tuple[int, int, bytes]], after: int) -> Series:
    import numpy as np  # noqa: PLC0415 - writing needs none

    if not chunks:
        none: npt.NDArray[np.int64] = np.empty(0, np.int64)
        no_values: npt.NDArray[np.float64] = np.empty(0, np.float64)
        return Series(none, none, no_values, no_values, np.empty(0, np.int32), after)
    parts = [unpack(points, count) for _, count, points in chunks]
    skipped = max(0, after - chunks[0][0])
    step, at, tokens, value, attempt = (np.concatenate(columns)[skipped:] for columns in zip(*parts, strict=True))
    last_start, last_count, _ = chunks[-1]
    return Series(step, at, tokens, value, attempt.astype(np.int32), last_start + last_count)
