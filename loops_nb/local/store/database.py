"""Record store over SQLite: one file, written to disk before a response says that something exists.

One file in WAL mode with ``synchronous=FULL``, so that a commit is on the disk when it returns.  One process at a time
owns a data folder, and one thread (the server's event loop) owns the connection; so every request is one step that no
other request divides.
"""

# ruff: noqa: S608 - the names of tables and columns are those of our own classes

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from loops_nb.config.file_systems import file_system_of
from loops_nb.local.errors import StoreError
from loops_nb.local.files import lock_file, private_folder
from loops_nb.local.store.ids import new_id
from loops_nb.local.store.process_logs import ProcessLogs
from loops_nb.local.store.records import (
    TABLES,
    CheckpointRecord,
    DeletedRunRecord,
    Event,
    RunRecord,
    StoredRecord,
    TombstoneRecord,
)

SCHEMA_VERSION = 3
DATABASE = "records.sqlite3"

T = TypeVar("T", bound=StoredRecord)
#: Where the ids of deleted records stay: they are not given out again.
_DELETED: dict[type[StoredRecord], type[StoredRecord]] = {
    CheckpointRecord: TombstoneRecord,
    RunRecord: DeletedRunRecord,
}
_SQL_TYPES = {str: "TEXT", int: "INTEGER", bool: "INTEGER", bytes: "BLOB", float: "REAL"}


class RecordStore:
    """The records of one service.

    Parameters
    ----------
    data_dir : Path
        Folder; made, with access for its owner only, when it is not there.

    Raises
    ------
    StoreError
        If the folder cannot be written, is in use by another service, or was written by a newer version.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._events: dict[str, list[Event]] = {}
        self.logs: ProcessLogs = ProcessLogs(data_dir / "logs")
        try:
            private_folder(data_dir)
            self._lock = lock_file(data_dir / "lock")
        except BlockingIOError:
            raise StoreError(
                f"the data folder {data_dir} is in use by another local service{_elsewhere(data_dir)}; "
                "stop that one, or name another folder"
            ) from None
        except OSError as error:
            raise StoreError(f"the data folder {data_dir} cannot be written ({error.strerror or error})") from None
        try:
            self._connection = _open(data_dir / DATABASE)
            self._opened = (data_dir / DATABASE).stat()
        except (sqlite3.Error, OSError) as error:
            self._lock.release()
            raise StoreError(f"the records in {data_dir} cannot be opened ({error})") from None
        except StoreError:
            self._lock.release()
            raise

    def close(self) -> None:
        """Close the file and give the folder free."""
        self._connection.close()
        self._lock.release()

    def is_there(self) -> bool:
        """Return whether the open file is still the one in the data folder; a removed one would lose all records."""
        try:
            return os.path.samestat(self._opened, (self.data_dir / DATABASE).stat())
        except OSError:
            return False

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Do everything inside or nothing; on return it is on the disk.

        Raises
        ------
        StoreError
            If the data folder was removed while it was in use.
        """
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._need_folder()
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.rollback()
            self._events.clear()
            raise

    def _need_folder(self) -> None:
        if not self.is_there():
            raise StoreError(f"the data folder {self.data_dir} was removed while it was in use")

    # Records

    def insert(self, record: StoredRecord) -> None:
        """Add a row.

        Raises
        ------
        sqlite3.IntegrityError
            If its id is taken.
        """
        columns = record.__struct_fields__
        marks = ", ".join("?" * len(columns))
        sql = f"INSERT INTO {record.table} ({', '.join(columns)}) VALUES ({marks})"
        self._connection.execute(sql, [getattr(record, column) for column in columns])

    def update(self, record: StoredRecord) -> None:
        """Replace the row with the record's id."""
        columns = [column for column in record.__struct_fields__ if column != "id"]
        sets = ", ".join(f"{column} = ?" for column in columns)
        sql = f"UPDATE {record.table} SET {sets} WHERE id = ?"
        self._connection.execute(sql, [*(getattr(record, column) for column in columns), record.id])

    def delete(self, record: StoredRecord) -> None:
        """Remove the row with the record's id."""
        self._connection.execute(f"DELETE FROM {record.table} WHERE id = ?", (record.id,))

    def get(self, kind: type[T], key: str | None) -> T | None:
        """Return the row with an id; None if there is none, or no id."""
        if not key:
            return None
        return next(iter(self.find(kind, id=key)), None)

    def find(self, kind: type[T], **equals: str | None) -> list[T]:
        """Return the rows with these values, newest first; a value of None is no filter."""
        return self._select(kind, equals, "ORDER BY created_at DESC, seq DESC")

    def newest(self, kind: type[T], **equals: str | None) -> T | None:
        """Return the row with these values that was inserted last, whatever the clock said when it was made."""
        return next(iter(self._select(kind, equals, "ORDER BY seq DESC LIMIT 1")), None)

    def _select(self, kind: type[T], equals: dict[str, str | None], order: str) -> list[T]:
        where, values = _where(equals)
        sql = f"SELECT {', '.join(kind.__struct_fields__)} FROM {kind.table}{where} {order}"
        return [_make(kind, row) for row in self._connection.execute(sql, values)]

    def sequence(self, record: StoredRecord) -> int:
        """Return the insertion number of a row, 0 if there is none; numbers of deleted rows are not reused."""
        return int(self._value(f"SELECT seq FROM {record.table} WHERE id = ?", record.id) or 0)

    def last_sequence(self, kind: type[StoredRecord]) -> int:
        """Return the number of the row that was inserted last into a table, also if it was deleted since."""
        return int(self._value("SELECT seq FROM sqlite_sequence WHERE name = ?", kind.table) or 0)

    def documents(self, **equals: str | None) -> list[bytes]:
        """Return the JSON documents of checkpoints with these values, newest first."""
        where, values = _where(equals)
        sql = f"SELECT document FROM checkpoints{where} ORDER BY created_at DESC, seq DESC"
        return [row[0] for row in self._connection.execute(sql, values)]

    def files(self, checkpoint_id: str, *, offset: int, limit: int) -> tuple[list[Any], int]:
        """Return rows (name, node_rank, size_bytes, created_at) of a checkpoint's files, and their total number."""
        total = self._value("SELECT count(*) FROM files WHERE checkpoint_id = ?", checkpoint_id)
        if offset >= total:
            return [], total
        sql = (
            "SELECT name, node_rank, size_bytes, created_at FROM files WHERE checkpoint_id = ? ORDER BY node_rank, "
            "name LIMIT ? OFFSET ?"
        )
        return self._connection.execute(sql, (checkpoint_id, min(limit, total), offset)).fetchall(), total

    def _value(self, sql: str, key: str) -> Any:
        row = self._connection.execute(sql, (key,)).fetchone()
        return row and row[0]

    def fresh_id(self, kind: type[StoredRecord]) -> str:
        """Return an id that no row of the table has, nor a deleted one had."""
        deleted = _DELETED.get(kind)
        while True:
            made = new_id(secrets.SystemRandom())
            if self.get(kind, made) is None and (deleted is None or self.get(deleted, made) is None):
                return made

    # Events

    def add_event(self, subject: str, event: Event) -> Event:
        """Add an event; its time never lies before the subject's last one."""
        known = self.events(subject)
        if known and known[-1].at > event.at:
            event = msgspec.structs.replace(event, at=known[-1].at)
        self._connection.execute(
            "INSERT INTO events (subject, at, kind, pace, idle_after_seconds, note) VALUES (?, ?, ?, ?, ?, ?)",
            (subject, event.at, event.kind, event.pace, event.idle_after_seconds, event.note),
        )
        known.append(event)
        return event

    def events(self, subject: str) -> list[Event]:
        """Return a subject's events, oldest first."""
        known = self._events.get(subject)
        if known is None:
            sql = "SELECT at, kind, pace, idle_after_seconds, note FROM events WHERE subject = ? ORDER BY seq"
            known = [
                Event(at=at, kind=kind, pace=pace, idle_after_seconds=idle, note=note)
                for at, kind, pace, idle, note in self._connection.execute(sql, (subject,))
            ]
            self._events[subject] = known
        return known

    # Settings

    def setting(self, key: str) -> str | None:
        """Return a stored setting."""
        found: str | None = self._value("SELECT value FROM settings WHERE key = ?", key)
        return found

    def set_setting(self, key: str, value: str) -> None:
        """Store a setting."""
        sql = "INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        self._connection.execute(sql, (key, value))


def _elsewhere(data_dir: Path) -> str:
    system = file_system_of(data_dir)
    return "" if system.is_local else f", perhaps on another machine that shares {system}"


def _open(path: Path) -> sqlite3.Connection:
    # The event loop may run in another thread than the one that opens; it is never used by two at once.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        path.chmod(0o600)
        if not file_system_of(path.parent).is_local:
            # The index of the WAL is then in the memory of this process, which has the folder for itself anyway: these
            # file systems have no memory that processes share.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        found = _schema_version(connection, path)
        if found < SCHEMA_VERSION:
            _create(connection, found)
    except BaseException:
        connection.close()
        raise
    return connection


def _schema_version(connection: sqlite3.Connection, path: Path) -> int:
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if found > SCHEMA_VERSION:
        raise StoreError(
            f"the records in {path.parent} were written by a newer version of loops_nb "
            f"(schema {found}, this one reads {SCHEMA_VERSION}); upgrade loops_nb, or name another folder"
        )
    return found


def _create(connection: sqlite3.Connection, found: int) -> None:
    """Make what a file of an older version (0: a new one) has not."""
    connection.execute("BEGIN EXCLUSIVE")
    for kind in TABLES:
        if kind.since > found:
            columns = ", ".join(_column(name, hint) for name, hint in _columns(kind).items())
            connection.execute(f"CREATE TABLE {kind.table} (seq INTEGER PRIMARY KEY AUTOINCREMENT, {columns})")
            for name in kind.indexed:
                connection.execute(f"CREATE INDEX {kind.table}_{name} ON {kind.table} ({name}, created_at)")
    if found < 1:
        connection.execute("CREATE UNIQUE INDEX checkpoints_name ON checkpoints (run_id, target, name)")
        connection.execute(
            "CREATE TABLE events (seq INTEGER PRIMARY KEY AUTOINCREMENT, subject TEXT NOT NULL, at INTEGER NOT NULL, "
            "kind TEXT NOT NULL, "
            "pace REAL NOT NULL, idle_after_seconds INTEGER, note TEXT NOT NULL)"
        )
        connection.execute("CREATE INDEX events_subject ON events (subject, seq)")
        connection.execute("CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")


@cache
def _columns(kind: type[StoredRecord]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {name: hints[name] for name in kind.__struct_fields__}


def _column(name: str, hint: Any) -> str:
    if get_origin(hint) is UnionType:
        return f"{name} {_SQL_TYPES[next(t for t in get_args(hint) if t is not type(None))]}"
    column = f'"{name}" {_SQL_TYPES[hint]} NOT NULL'
    if name == "id":
        column += " UNIQUE"
    return column


def _make(kind: type[T], row: Sequence[Any]) -> T:
    # Not strict: SQLite has integers in place of booleans.
    return msgspec.convert(dict(zip(kind.__struct_fields__, row, strict=True)), kind, strict=False)


def _where(equals: dict[str, str | None]) -> tuple[str, list[str]]:
    used = {name: value for name, value in equals.items() if value is not None}
    if not used:
        return "", []
    return " WHERE " + " AND ".join(f"{name} = ?" for name in used), list(used.values())
