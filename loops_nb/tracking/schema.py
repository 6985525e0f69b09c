"""The file that holds all experiments: opened, made, upgraded, refused.

SQLite in WAL mode with ``synchronous=NORMAL``: what a commit wrote outlives the process (``kill -9``) at once, and a machine that loses
its power from the next moment on at which SQLite moves the log into the file; in no case is the file harmed.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING

from loops_nb.errors import TrackingError

if TYPE_CHECKING:
    from collections.abc import Iterator

_BUSY_SECONDS = 10.0
_PAUSE_SECONDS = 0.02
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


def open_store(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open the file, made or upgraded where that is needed.

    Parameters
    ----------
    path
        The file.
    read_only
        Write nothing, also no upgrade.

    Raises
    ------
    TrackingError
        If a newer version of ``loops_nb`` wrote it, or it is no file of ours.
    sqlite3.Error, OSError
        If it cannot be read or written for now.
    """
    connection = _read_only(path) if read_only else _writable(path)
    try:
        found = _version(connection, path, oldest=SCHEMA_VERSION if read_only else 0)
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


@contextlib.contextmanager
def writing(connection: sqlite3.Connection, path: Path) -> Iterator[None]:
    """Do everything inside or nothing.

    Raises
    ------
    TrackingError
        If a newer version of ``loops_nb`` has upgraded the file since it was opened.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        _version(connection, path)
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk has rolled back already.
        if connection.in_transaction:
            connection.rollback()
        raise


def _writable(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A failed chmod must not keep a person from a file that can be written: it may be on a disk that knows no modes.
    if not path.exists():
        with contextlib.suppress(OSError):
            path.touch(mode=0o600)
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        _switch_to_wal(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint = 1000")
    except sqlite3.DatabaseError as error:
        if "not a database" in str(error):
            return connection
        connection.close()
        raise
    return connection


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    # SQLite does not wait by itself for others that make the same switch in the same moment.
    until = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def _read_only(path: Path) -> sqlite3.Connection:
    uri = path.absolute().as_uri()
    connection = sqlite3.connect(f"{uri}?mode=ro", timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=True)
    try:
        connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.OperationalError:
        # A folder that nobody can write has no room for the shared memory of WAL; then nobody writes the file either.
        connection.close()
        return sqlite3.connect(f"{uri}?immutable=1", isolation_level=None, check_same_thread=False, uri=True)
    except sqlite3.DatabaseError:
        # No file of ours: the next question is told the same, and whoever asks it says so in words.
        pass
    return connection


def _version(connection: sqlite3.Connection, path: Path, *, oldest: int = 0) -> int:
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
    with writing(connection, path):
        # Another process may have done it since.
        for number in range(_version(connection, path), SCHEMA_VERSION):
            for statement in STEPS[number]:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
