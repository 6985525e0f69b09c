"""Journal of the file of experiments: WAL on a local disk, a rollback journal on file systems of several machines.

WAL mode needs memory that all processes share, which ends at one machine: on NFS, Lustre, SMB or FUSE it fails with
"locking protocol" or "disk I/O error", or two machines do not see the WAL of each other and harm the file.  A rollback
journal needs locks only, and these file systems have them.  It is truncated, not deleted: a machine may remember for
half a minute that a file does not exist, and would then overlook the journal of another one that was killed.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
import time
from pathlib import Path

from loops_nb.client.retry import backoff_seconds
from loops_nb.config.file_systems import FileSystem, file_system_of
from loops_nb.errors import LoopsError, TrackingError
from loops_nb.tracking.warn import print_note

#: First pause between two attempts to get a lock, and the longest.
_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.5
#: How long a commit waits for those that read; new ones wait for it.
_COMMIT_SECONDS = 2.0
#: How long a file in WAL mode is waited for.
_CHANGE_SECONDS = 0.5
#: Locks and answers of servers are slower than those of a disk.
_SHARED_BUSY_SECONDS = 10.0
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
#: A file system without locks, or whose server does not answer.
_LOCK_ERRORS = frozenset(
    {
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_IOERR_LOCK,
        sqlite3.SQLITE_IOERR_RDLOCK,
        sqlite3.SQLITE_IOERR_CHECKRESERVEDLOCK,
    }
)
#: Files that this process made, or changed, for a shared file system and has not said so of.
_unsaid: dict[Path, str] = {}


class WalHeldError(TrackingError):
    """A file in WAL mode that cannot be changed yet, because another process has it open."""


class UncertainCommitError(sqlite3.OperationalError):
    """A commit that failed at a moment in which it may have been done."""


def is_busy(error: BaseException) -> bool:
    """Whether the cause is a lock of another connection, or that the file system gives none at the moment."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _BUSY


def is_passing(error: sqlite3.Error, path: Path) -> bool:
    """Whether the same batch may be tried again at once, because the cause may pass.

    On file systems of several machines also for "disk I/O error": a server that starts again, a lock that it forgot.
    If that came from a commit, `WriteBatch.write` looks whether it is in the file.
    """
    if is_busy(error):
        return True
    code = getattr(error, "sqlite_errorcode", None) or 0
    return code & 0xFF == sqlite3.SQLITE_IOERR and not file_system_of(path.parent).is_local


def reason_of(error: Exception, path: Path) -> str:
    """Return why a file cannot be written for now, as the middle of a sentence."""
    code = getattr(error, "sqlite_errorcode", None) or 0
    system = file_system_of(path.parent)
    if code in _LOCK_ERRORS and not system.is_local:
        return f"its file system, {system}, gives no lock ({error}); LOOPS_NB_HOME may name a folder on a local disk"
    if is_busy(error):
        return "another process is writing to it, and has not ended that"
    return error.message if isinstance(error, LoopsError) else str(error)


def lock_pause(attempt: int) -> float:
    """Return the seconds to wait after a failed attempt to get a lock; the first is 1."""
    return backoff_seconds(attempt, first=_PAUSE_SECONDS, longest=_LONGEST_PAUSE_SECONDS)


def choose_journal(connection: sqlite3.Connection, path: Path, *, busy_seconds: float) -> None:
    """Set the journal of a connection that was just opened for writing.

    A new file on a local disk is in WAL mode; one that has a rollback journal keeps it: another machine may have the
    same folder open by its network.  On other file systems a file in WAL mode is changed, if no other process has it
    open.

    Raises
    ------
    WalHeldError
        If a file in WAL mode is on a shared file system and open in another process.
    sqlite3.Error
        If the file cannot be used at the moment.
    """
    system = file_system_of(path.parent)
    if system.is_local and _is_in_wal_mode(connection, busy_seconds):
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint = 1000")
        return
    if not system.is_local:
        _leave_wal_mode(connection, path, system, busy_seconds)
        _set_timeout(connection, max(busy_seconds, _SHARED_BUSY_SECONDS) if busy_seconds else 0.0)
        connection.execute("PRAGMA mmap_size = 0")
    connection.execute("PRAGMA journal_mode = TRUNCATE")
    # In this mode only FULL keeps the file whole when a machine or its power fails.
    connection.execute("PRAGMA synchronous = FULL")
    # Pages that do not fit into the cache would be written, and lock out those that read, before the commit.
    connection.execute("PRAGMA cache_spill = OFF")


def commit(connection: sqlite3.Connection) -> None:
    """Commit; waits for those that read, and holds off new ones meanwhile, where a journal makes that necessary.

    A rolled back transaction would give its place up each time, and never come to an end while there is always one
    that reads.
    """
    until = time.monotonic() + _COMMIT_SECONDS
    attempt = 0
    while True:
        try:
            connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            attempt += 1
            if is_busy(error) and connection.in_transaction and time.monotonic() < until:
                time.sleep(lock_pause(attempt))
                continue
            raise _uncertain(error) from None
        else:
            return


def prepare_to_read(connection: sqlite3.Connection, path: Path) -> None:
    """Keep a connection for reading only off the memory that WAL mode shares, where that ends at one machine.

    Raises
    ------
    sqlite3.OperationalError
        If the file is in WAL mode there: such a connection could read it with that memory only.
    """
    if file_system_of(path.parent).is_local:
        return
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    try:
        in_wal_mode = connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    except sqlite3.OperationalError as error:
        # Newer versions of SQLite say "locked" of such a file while another process has it open, older ones "wal".
        if not is_busy(error) or not _has_wal_file(path):
            raise
        in_wal_mode = True
    if in_wal_mode:
        raise sqlite3.OperationalError(f"{path.name} is in WAL mode")
    _end_exclusive(connection)


def wal_refusal(path: Path) -> TrackingError | None:
    """Return why a file with a WAL cannot be read here by a connection that cannot change it; None if it can."""
    system = file_system_of(path.parent)
    if system.is_local:
        return None
    return TrackingError(
        f"{path} is in SQLite's WAL mode, which does not work on its file system ({system}), and is opened for reading "
        "only. Nothing was changed.",
        hint="Opened for writing once, it is changed: %loops experiments does that.",
    )


def write_seconds(folder: Path) -> float:
    """Return how long it takes to write something to the disk in a folder, in a file that is removed again.

    Raises
    ------
    sqlite3.Error, OSError
        If a file with a rollback journal cannot be written there.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=".doctor-", ignore_cleanup_errors=True) as made:
        connection = sqlite3.connect(Path(made) / "probe.sqlite", timeout=1.0, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = TRUNCATE")
            connection.execute("CREATE TABLE probe (number INTEGER)")
            began = time.perf_counter()
            connection.execute("INSERT INTO probe VALUES (1)")
            return time.perf_counter() - began
        finally:
            connection.close()


def say_of_journal(path: Path) -> None:
    """Print, once a file, that it was made or changed for a file system of several machines."""
    if _unsaid and (text := _unsaid.pop(path, "")):
        print_note(text)


def _is_in_wal_mode(connection: sqlite3.Connection, busy_seconds: float) -> bool:
    """Return whether a file on a local disk is in WAL mode; a new one is put into it."""
    try:
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found and connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            return False
    except sqlite3.OperationalError as error:
        if not is_busy(error):
            raise
    _set_journal(connection, "WAL", busy_seconds)
    return True


def _leave_wal_mode(connection: sqlite3.Connection, path: Path, system: FileSystem, busy_seconds: float) -> None:
    # Without the shared memory: SQLite then wants the file for itself if it is in WAL mode, also to read.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    # Those that have it open in WAL mode will not end soon, but another process may be changing it at this moment.
    _set_timeout(connection, _CHANGE_SECONDS if _has_wal_file(path) else busy_seconds)
    try:
        is_new = connection.execute("PRAGMA page_count").fetchone()[0] == 0
        was_wal = connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        if was_wal:
            _set_journal(connection, "TRUNCATE", _CHANGE_SECONDS)
    except sqlite3.OperationalError as error:
        if not os.access(path, os.W_OK):
            # The mode is left by writing; the caller reads it in another way.
            raise _protected() from None
        if not is_busy(error) or not _has_wal_file(path):
            raise
        raise WalHeldError(
            f"{path} is in SQLite's WAL mode, which does not work on its file system ({system}), and another process "
            "has it open, so it cannot be changed now. Nothing in it was changed.",
            hint="End the other notebooks and scripts that record there, or restart their kernels; then it is changed "
            "by itself.",
        ) from None
    _end_exclusive(connection)
    if is_new or was_wal:
        _unsaid[path] = _note(path, system, was_wal=was_wal)


def _protected() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("attempt to write a readonly database")
    error.sqlite_errorcode = sqlite3.SQLITE_READONLY
    return error


def _note(path: Path, system: FileSystem, *, was_wal: bool) -> str:
    done = "was changed to" if was_wal else "has"
    text = (
        f"Experiments are recorded to {path}. Other machines may share its file system ({system}), so it {done} a "
        "rollback journal in place of SQLite's WAL; nothing is to be done."
    )
    if not system.has_shared_locks:
        text += " It is mounted without locks between machines, so record from one machine at a time."
    return text


def _end_exclusive(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA locking_mode = NORMAL")
    # The lock is given back at the end of the next read.
    connection.execute("PRAGMA user_version").fetchone()


def _set_journal(connection: sqlite3.Connection, mode: str, busy_seconds: float) -> None:
    # SQLite itself does not wait for other connections that switch at the same moment.
    until = time.monotonic() + busy_seconds
    attempt = 0
    while True:
        try:
            connection.execute(f"PRAGMA journal_mode = {mode}")
        except sqlite3.OperationalError as error:
            attempt += 1
            if not is_busy(error) or time.monotonic() > until:
                raise
            time.sleep(lock_pause(attempt))
        else:
            return


def _set_timeout(connection: sqlite3.Connection, seconds: float) -> None:
    connection.execute(f"PRAGMA busy_timeout = {int(1000 * seconds)}")


def _uncertain(error: sqlite3.OperationalError) -> sqlite3.OperationalError:
    code = getattr(error, "sqlite_errorcode", None) or 0
    if code & 0xFF != sqlite3.SQLITE_IOERR:
        return error
    made = UncertainCommitError(str(error))
    made.sqlite_errorcode = code
    return made


def _has_wal_file(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return path.with_name(f"{path.name}-wal").exists()
    return False
