"""The file that holds all experiments: opened, made, upgraded, refused.

SQLite in WAL mode with ``synchronous=NORMAL``: what a commit wrote outlives the process (``kill -9``) at once, and a machine that loses
its power from the next moment on at which SQLite moves the log into the file; in no case is the file harmed.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path
from types import TracebackType

from loops_nb.errors import TrackingError

#: A write that another process is in the way of is tried for so long.
BUSY_SECONDS = 10.0
#: Pause between two tries to get the write lock.
BUSY_PAUSE_SECONDS = 0.02
#: What made each version of the file out of the one before it.
STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE experiments (
            seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, run_id TEXT, session_id TEXT,
            created_at INTEGER NOT NULL, last_at INTEGER NOT NULL, archived INTEGER NOT NULL DEFAULT 0, params TEXT NOT NULL)""",
        "CREATE INDEX experiments_run ON experiments (run_id)",
        "CREATE TABLE tags (experiment INTEGER NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (experiment, tag)) WITHOUT ROWID",
        # `number` is what points carry; `opening` tells which opening of the experiment it belongs to, so that a retried write finds it.
        # The key's columns stand first: SQLite 3.40 checks the others of such a table wrongly.
        """CREATE TABLE attempts (
            experiment INTEGER NOT NULL, opening TEXT NOT NULL, number INTEGER NOT NULL,
            PRIMARY KEY (experiment, opening)) WITHOUT ROWID""",
        """CREATE TABLE marks (
            seq INTEGER PRIMARY KEY AUTOINCREMENT, experiment INTEGER NOT NULL, kind TEXT NOT NULL, step INTEGER, at INTEGER NOT NULL,
            text TEXT NOT NULL, uri TEXT, target TEXT, attempt INTEGER NOT NULL)""",
        "CREATE INDEX marks_experiment ON marks (experiment, seq)",
        """CREATE TABLE series (
            seq INTEGER PRIMARY KEY AUTOINCREMENT, experiment INTEGER NOT NULL, key TEXT NOT NULL, count INTEGER NOT NULL,
            first_step INTEGER NOT NULL, last_step INTEGER NOT NULL, appended INTEGER NOT NULL, UNIQUE (experiment, key))""",
        # `start` counts the points of the series before this chunk: it stays true when chunks are merged.
        """CREATE TABLE chunks (
            seq INTEGER PRIMARY KEY, series INTEGER NOT NULL, start INTEGER NOT NULL, count INTEGER NOT NULL, points BLOB NOT NULL)""",
        "CREATE UNIQUE INDEX chunks_series ON chunks (series, start)",
    ),
    # How far logs of the SDK were read.
    ("CREATE TABLE followed (log TEXT PRIMARY KEY, offset INTEGER NOT NULL) WITHOUT ROWID",),
)
SCHEMA_VERSION = len(STEPS)


def open_store(path: Path, *, read_only: bool = False, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """Open the file, made or upgraded where that is needed.  A file that is up to date is opened without its write lock.

    Parameters
    ----------
    path
        The file.
    read_only
        Write nothing, also no upgrade.
    busy_seconds
        How long this and the statements of the connection wait for locks of other processes.

    Raises
    ------
    TrackingError
        If a newer version of ``loops_nb`` wrote it, or it is no file of ours.
    sqlite3.Error, OSError
        If it cannot be read or written for now.
    """
    connection = _read_only(path, busy_seconds) if read_only else _writable(path, busy_seconds)
    try:
        found = check_version(connection, path, oldest=SCHEMA_VERSION if read_only else 0)
        if found < SCHEMA_VERSION:
            _upgrade(connection, path)
    except sqlite3.DatabaseError as error:
        connection.close()
        if "not a database" not in str(error):
            raise
        raise TrackingError(
            f"{path} is not a file of experiments. Nothing in it was changed.", hint="Move it away, or set LOOPS_NB_HOME to another folder."
        ) from None
    except BaseException:
        connection.close()
        raise
    return connection


class Writing:
    """A transaction: everything inside is done, or nothing.

    Parameters
    ----------
    connection
        The open file.
    path
        Its path, for errors.

    Raises
    ------
    TrackingError
        On entering, if a newer version of ``loops_nb`` has upgraded the file since it was opened.
    sqlite3.Error
        If another process is writing, or nothing was written.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        #: Whether it is in the file for good; true also where an interrupt came as the commit returned.
        self.is_committed = False

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            check_version(self._connection, self._path)
        except BaseException:
            self._undo()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None:
            self._undo()
            return
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            self._undo()
            raise
        except BaseException:
            # An interrupt: the statement ran to its end before it was raised.
            self.is_committed = not self._connection.in_transaction
            self._undo()
            raise
        self.is_committed = True

    def _undo(self) -> None:
        # A full disk has rolled back already.
        if self._connection.in_transaction:
            self._connection.rollback()


def is_busy(error: BaseException) -> bool:
    """Tell whether it is only a lock of another connection that is in the way."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _writable(path: Path, busy_seconds: float) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A mode that cannot be set must not keep a file from being written: the disk may know no modes.
    if not path.exists():
        with contextlib.suppress(OSError):
            path.touch(mode=0o600)
    connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    try:
        _switch_to_wal(connection, busy_seconds)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint = 1000")
    except BaseException as error:
        if isinstance(error, sqlite3.DatabaseError) and "not a database" in str(error):
            return connection
        connection.close()
        raise
    return connection


def _switch_to_wal(connection: sqlite3.Connection, busy_seconds: float) -> None:
    # SQLite does not wait by itself for others that make the same switch in the same moment.
    until = time.monotonic() + busy_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(BUSY_PAUSE_SECONDS)
        else:
            return


def _read_only(path: Path, busy_seconds: float) -> sqlite3.Connection:
    uri = path.absolute().as_uri()
    connection = sqlite3.connect(f"{uri}?mode=ro", timeout=busy_seconds, isolation_level=None, check_same_thread=False, uri=True)
    try:
        connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        if is_busy(error) or _has_log(path):
            # Read as it is, the file would be without what was written last.
            raise
        # A folder that cannot be written has no room for the shared memory of WAL; then nothing writes the file either.
        return sqlite3.connect(f"{uri}?immutable=1", isolation_level=None, check_same_thread=False, uri=True)
    except sqlite3.DatabaseError:
        # No file of ours: the next question is told the same, and whoever asks it says so in words.
        pass
    return connection


def _has_log(path: Path) -> bool:
    try:
        return path.with_name(f"{path.name}-wal").stat().st_size > 0
    except OSError:
        return False


def check_version(connection: sqlite3.Connection, path: Path, *, oldest: int = 0) -> int:
    """Return the version of the file.

    Raises
    ------
    TrackingError
        If it is older than ``oldest``, or newer than what is known here.
    """
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if found < oldest:
        raise TrackingError(
            f"The experiments in {path} are in an older form (schema {found}; this is {SCHEMA_VERSION}). Nothing was changed.",
            hint="Opened for writing once, the file is upgraded: %loops experiments does that.",
        )
    if found > SCHEMA_VERSION:
        raise TrackingError(
            f"The experiments in {path} were written by a newer version of loops_nb (schema {found}, this one knows {SCHEMA_VERSION})."
            " Nothing was changed.",
            hint="Upgrade loops_nb, or set LOOPS_NB_HOME to another folder.",
        )
    return found


def _upgrade(connection: sqlite3.Connection, path: Path) -> None:
    with Writing(connection, path):
        # Another process may have done it since.
        for number in range(check_version(connection, path), SCHEMA_VERSION):
            for statement in STEPS[number]:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
