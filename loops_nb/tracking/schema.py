"""SQLite schema of the file of experiments: opening, creation, upgrade and version checks.

WAL mode with ``synchronous=NORMAL``: a commit survives the death of the process (``kill -9``) at once, and a power
failure after the next checkpoint of the WAL; in no case is the file corrupted.  On file systems that several machines
may share, `loops_nb.tracking.journal` sets another mode.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
from pathlib import Path
from types import TracebackType

from loops_nb.errors import TrackingError
from loops_nb.tracking.chunks import values_of
from loops_nb.tracking.journal import choose_journal, commit, is_busy, prepare_to_read, wal_refusal

#: How long a write is retried while another process has the lock.
BUSY_SECONDS = 10.0
#: Statements that upgrade the file to each version from the one before it.
STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE experiments (
            seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, run_id TEXT,
            session_id TEXT, created_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
            archived INTEGER NOT NULL DEFAULT 0, params TEXT NOT NULL)""",
        "CREATE INDEX experiments_run ON experiments (run_id)",
        (
            "CREATE TABLE tags (experiment INTEGER NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (experiment, tag)) WITHOUT "
            "ROWID"
        ),
        # Points have the `number`; `opening` is the token of the write session with the attempt within it, by which a
        # retried write finds the number. The columns of the key come first: SQLite 3.40 checks the others of such a
        # table wrongly.
        """CREATE TABLE attempts (
            experiment INTEGER NOT NULL, opening TEXT NOT NULL, number INTEGER NOT NULL,
            PRIMARY KEY (experiment, opening)) WITHOUT ROWID""",
        """CREATE TABLE marks (
            seq INTEGER PRIMARY KEY AUTOINCREMENT, experiment INTEGER NOT NULL, kind TEXT NOT NULL, step INTEGER,
            at INTEGER NOT NULL, text TEXT NOT NULL, uri TEXT, target TEXT, attempt INTEGER NOT NULL)""",
        "CREATE INDEX marks_experiment ON marks (experiment, seq)",
        """CREATE TABLE series (
            seq INTEGER PRIMARY KEY AUTOINCREMENT, experiment INTEGER NOT NULL, key TEXT NOT NULL,
            count INTEGER NOT NULL, first_step INTEGER NOT NULL, last_step INTEGER NOT NULL, appended INTEGER NOT NULL,
            UNIQUE (experiment, key))""",
        # `start` is the number of points of the series before this chunk; it stays valid when chunks are merged.
        """CREATE TABLE chunks (
            seq INTEGER PRIMARY KEY, series INTEGER NOT NULL, start INTEGER NOT NULL, count INTEGER NOT NULL,
            points BLOB NOT NULL)""",
        "CREATE UNIQUE INDEX chunks_series ON chunks (series, start)",
    ),
    # Offset up to which each request log of the SDK was read.
    ('CREATE TABLE followed (log TEXT PRIMARY KEY, "offset" INTEGER NOT NULL) WITHOUT ROWID',),
    (
        # Summaries of each series, so that a listing reads no points. SQLite stores NaN as NULL: a last value of NULL
        # is NaN, and the extremes are NULL while all values are NaN.
        "ALTER TABLE series ADD COLUMN last_value REAL",
        "ALTER TABLE series ADD COLUMN min_value REAL",
        "ALTER TABLE series ADD COLUMN max_value REAL",
        # Write sessions of processes; `outcome` is NULL until the session has ended.
        """CREATE TABLE sessions (
            seq INTEGER PRIMARY KEY, experiment INTEGER NOT NULL, token TEXT NOT NULL UNIQUE, host TEXT NOT NULL,
            pid INTEGER NOT NULL, at INTEGER NOT NULL, outcome TEXT)""",
        "CREATE INDEX sessions_experiment ON sessions (experiment)",
    ),
    (
        "ALTER TABLE experiments ADD COLUMN project TEXT",
        "ALTER TABLE experiments ADD COLUMN summary TEXT NOT NULL DEFAULT '{}'",
        # The environments of a sweep are mostly the same, so each is stored once.
        "CREATE TABLE environments (seq INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, content TEXT NOT NULL)",
        # One row each time that a process began or resumed the experiment; `token` is that of the write session.
        """CREATE TABLE starts (
            experiment INTEGER NOT NULL, token TEXT NOT NULL, at INTEGER NOT NULL, environment INTEGER NOT NULL,
            PRIMARY KEY (experiment, token)) WITHOUT ROWID""",
    ),
    (
        # `reward` is the text NaN for a NaN, which SQLite would store as NULL; `cut` counts the characters not kept.
        """CREATE TABLE samples (
            seq INTEGER PRIMARY KEY AUTOINCREMENT, experiment INTEGER NOT NULL, step INTEGER NOT NULL,
            at INTEGER NOT NULL, attempt INTEGER NOT NULL, prompt TEXT NOT NULL, completion TEXT NOT NULL, reward REAL,
            fields TEXT NOT NULL, cut INTEGER NOT NULL)""",
        "CREATE INDEX samples_experiment ON samples (experiment, step)",
        # How many samples were dropped to keep an experiment in its bounds.
        "CREATE TABLE samples_dropped (experiment INTEGER PRIMARY KEY, count INTEGER NOT NULL)",
    ),
    # When a checkpoint vanishes that was saved with a lifetime; no listing of the service says it.
    ("ALTER TABLE marks ADD COLUMN expires_at INTEGER",),
    (
        # Who began it.
        "ALTER TABLE experiments ADD COLUMN author TEXT",
        # Batches that wait to be sent to a team's store. A stream is a process that writes to it; its batches are sent
        # in the order of their numbers. `refused` says why the store does not take one.
        """CREATE TABLE outbox (
            seq INTEGER PRIMARY KEY AUTOINCREMENT, store TEXT NOT NULL, stream TEXT NOT NULL, number INTEGER NOT NULL,
            host TEXT NOT NULL, pid INTEGER NOT NULL, at INTEGER NOT NULL, count INTEGER NOT NULL,
            content BLOB NOT NULL, refused TEXT, UNIQUE (stream, number))""",
        # In a team's store: the newest batch of each stream that is in it, so that none is written a second time.
        "CREATE TABLE deliveries (stream TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID",
    ),
)
#: Version whose upgrade fills the summaries of the series from their points.
_SUMMARIES = 3
SCHEMA_VERSION = len(STEPS)


def open_store(path: Path, *, read_only: bool = False, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """Open the file; creates or upgrades it if needed.  An up-to-date file is opened without its write lock.

    Parameters
    ----------
    path : Path
        The file.
    read_only : bool, default False
        Write nothing, not even an upgrade.
    busy_seconds : float, default 10
        How long this and the statements of the connection wait for locks of other processes.

    Returns
    -------
    sqlite3.Connection
        In autocommit mode, usable from any thread.

    Raises
    ------
    TrackingError
        If a newer version of ``loops_nb`` wrote the file, or it is no file of experiments.
    sqlite3.Error, OSError
        If it cannot be read or written at the moment.
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
            f"{path} is not a file of experiments. Nothing in it was changed.",
            hint="Move it away, or set LOOPS_NB_HOME to another folder.",
        ) from None
    except BaseException:
        connection.close()
        raise
    return connection


class Transaction:
    """A transaction: everything inside is written, or nothing.

    Parameters
    ----------
    connection : sqlite3.Connection
        The open file.
    path : Path
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
        #: Whether it is committed; also True if an interrupt came while the commit returned.
        self.is_committed: bool = False

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            check_version(self._connection, self._path)
        except BaseException:
            self._roll_back()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._roll_back()
            return
        try:
            commit(self._connection)
        except sqlite3.Error:
            self._roll_back()
            raise
        except BaseException:
            # An interrupt: it is raised after the statement has ended, or while the commit waits.
            self.is_committed = not self._connection.in_transaction
            self._roll_back()
            raise
        self.is_committed = True

    def _roll_back(self) -> None:
        # SQLite has rolled back itself if the disk is full.
        if self._connection.in_transaction:
            self._connection.rollback()


def _writable(path: Path, busy_seconds: float) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The disk may not support modes; that must not prevent writing.
    if not path.exists():
        with contextlib.suppress(OSError):
            path.touch(mode=0o600)
    connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    try:
        choose_journal(connection, path, busy_seconds=busy_seconds)
    except BaseException as error:
        if isinstance(error, sqlite3.DatabaseError) and "not a database" in str(error):
            return connection
        connection.close()
        raise
    return connection


def _read_only(path: Path, busy_seconds: float) -> sqlite3.Connection:
    uri = path.absolute().as_uri()
    connection = sqlite3.connect(
        f"{uri}?mode=ro", timeout=busy_seconds, isolation_level=None, check_same_thread=False, uri=True
    )
    try:
        prepare_to_read(connection, path)
        connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        if is_busy(error):
            raise
        if _has_log(path):
            # Without the WAL, the newest values would be missing.
            raise wal_refusal(path) or error from None
        # In a read-only folder there is no place for the shared memory of the WAL; then nothing writes the file either.
        return sqlite3.connect(f"{uri}?immutable=1", isolation_level=None, check_same_thread=False, uri=True)
    except sqlite3.DatabaseError:
        # Not a database: the next statement raises the same, and `open_store` translates it.
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
        If it is older than ``oldest``, or newer than `SCHEMA_VERSION`.
    """
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if found < oldest:
        raise TrackingError(
            f"The experiments in {path} have an older format (schema {found}, current is {SCHEMA_VERSION})."
            " Nothing was changed.",
            hint="Opened for writing once, the file is upgraded: %loops experiments does that.",
        )
    if found > SCHEMA_VERSION:
        raise TrackingError(
            f"The experiments in {path} were written by a newer version of loops_nb (schema {found}, this one knows"
            f" {SCHEMA_VERSION}). Nothing was changed.",
            hint="Upgrade loops_nb, or set LOOPS_NB_HOME to another folder.",
        )
    return found


def _upgrade(connection: sqlite3.Connection, path: Path) -> None:
    with Transaction(connection, path):
        # Another process may have upgraded it meanwhile.
        for number in range(check_version(connection, path), SCHEMA_VERSION):
            for statement in STEPS[number]:
                connection.execute(statement)
            if number + 1 == _SUMMARIES:
                _summarize(connection)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _summarize(connection: sqlite3.Connection) -> None:
    for (series,) in connection.execute("SELECT seq FROM series").fetchall():
        last, lowest, highest = math.nan, math.nan, math.nan
        chunks = connection.execute("SELECT points, count FROM chunks WHERE series = ? ORDER BY start", (series,))
        for points, count in chunks:
            last, low, high = summary_of(values_of(points, count))
            lowest = low if math.isnan(lowest) else min(lowest, low)
            highest = high if math.isnan(highest) else max(highest, high)
        connection.execute(
            "UPDATE series SET last_value = ?, min_value = ?, max_value = ? WHERE seq = ?",
            (last, lowest, highest, series),
        )


def summary_of(values: list[float]) -> tuple[float, float, float]:
    """Return the last, the lowest and the highest of values; NaN is neither lowest nor highest unless all are NaN."""
    if math.isnan(sum(values)):
        numbers = [value for value in values if not math.isnan(value)] or [math.nan]
        return values[-1], min(numbers), max(numbers)
    return values[-1], min(values), max(values)
