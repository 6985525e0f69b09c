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

from loops_nb.errors import TrackingError, one_line
from loops_nb.home import home_dir
from loops_nb.tracking.chunks import unpack
from loops_nb.tracking.recorder import bring, flush
from loops_nb.tracking.rows import ExperimentRow, KeyRow, Mark, Series
from loops_nb.tracking.schema import open_store, writing
from loops_nb.tracking.values import kept_params, kept_text, read_params

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_COLUMNS = "seq, id, name, run_id, session_id, created_at, params, archived, last_at"


def store_path() -> Path:
    """Return the file that holds the experiments: ``experiments.sqlite`` in the folder of `loops_nb.home.home_dir`."""
    return home_dir() / "experiments.sqlite"


class Store:
    """The file of experiments: thread-safe, opened at the first need, never made by reading.

    What this process has logged is written before anything is read, so that a person sees it at once.

    Parameters
    ----------
    path
        The file; without it `store_path`.
    read_only
        Write nothing, neither tags nor an upgrade of an older file.

    Raises
    ------
    TrackingError
        By every method, if the file cannot be used.
    """

    def __init__(self, path: Path | None = None, *, read_only: bool = False) -> None:
        self.path = (path or store_path()).absolute()
        self.read_only = read_only
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._file: os.stat_result | None = None
        self._is_for_reading = read_only
        self._process = os.getpid()
        self._opened = 0
        self._written = 0
        self._seen: tuple[int, int, int] | None = None
        self._version = 0

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
            self._leave_to_parent()
            self.close()

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

    def version(self) -> int:
        """Return a number that is a higher one as soon as anything was logged in this process, or written by any; cheap.

        What this process has logged is written before, unless something is in the way of that: then it comes later, and whoever logs is
        told, not whoever looks.
        """
        bring(self.path)
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
            text = connection.execute("SELECT params FROM experiments WHERE seq = ?", (seq,)).fetchone()[0]
            merged = {**read_params(text), **read_params(kept_params(params))}
            connection.execute("UPDATE experiments SET params = ? WHERE seq = ?", (kept_params(merged), seq))

    # The file

    def _rows(self, sql: str, values: tuple[Any, ...]) -> list[Any]:
        with self._reading() as connection:
            return [] if connection is None else connection.execute(sql, values).fetchall()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        flush(self.path)
        with self._lock, self._in_words():
            yield self._open()

    @contextmanager
    def _changing(self, experiment_id: str) -> Iterator[tuple[sqlite3.Connection, int]]:
        flush(self.path)
        if self.read_only:
            raise TrackingError(f"The experiments in {self.path} are opened for reading only. Nothing was changed.")
        with self._lock, self._in_words():
            connection = self._open(to_write=True)
            if connection is None:
                raise _unknown(experiment_id)
            with writing(connection, self.path):
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
            if _is_protected(error) and "readonly" in why:
                raise TrackingError(
                    f"The experiments in {self.path} can be read but not written here ({why}). Nothing was changed.",
                    hint="%loops export FILE takes them along; LOOPS_NB_HOME names the folder that is used.",
                ) from None
            raise TrackingError(f"The experiments in {self.path} cannot be used for now ({why}). Nothing was harmed.") from None

    def _open(self, *, to_write: bool = False) -> sqlite3.Connection | None:
        self._leave_to_parent()
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
            return open_store(self.path, read_only=self.read_only)
        except sqlite3.OperationalError as error:
            if self.read_only or to_write or not _is_protected(error):
                raise
            # Another person's folder, or a disk that is write-protected: what is there can be read all the same.
            try:
                made = open_store(self.path, read_only=True)
            except sqlite3.Error:
                raise error from None
            self._is_for_reading = True
            return made

    def _leave_to_parent(self) -> None:
        """Leave alone, in a child process, what the parent has open, also by the lock that another of its threads may have held."""
        if self._process != os.getpid():
            _of_parents.append(self._connection)
            self._connection, self._process = None, os.getpid()


# Held on to for good: closing a connection of the parent could harm what the parent does with it.
_of_parents: list[sqlite3.Connection | None] = []


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
