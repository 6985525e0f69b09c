"""What differs between the file of this machine and a team's store: opening, transactions, errors, news of writes."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from loops_nb.config.fork_safety import keep_inherited
from loops_nb.config.postgres_address import PostgresAddress
from loops_nb.errors import TrackingError, one_line
from loops_nb.tracking.journal import is_busy
from loops_nb.tracking.location import Location
from loops_nb.tracking.schema import Transaction, open_store
from loops_nb.tracking.sql import SqlConnection

#: Reads and changes wait no longer than this for locks of other processes.
BUSY_SECONDS = 3.0


class StoreBackend(Protocol):
    """Connection of a store."""

    @property
    def location(self) -> Location: ...
    @property
    def is_open(self) -> bool: ...
    @property
    def identity(self) -> Hashable:
        """Of what is open: with the number of a series it tells a series from all others; None if nothing is."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What its statements raise."""

    def open(self, *, to_write: bool = False) -> Any:
        """Return a `loops_nb.tracking.sql.SqlConnection`; None if there is no store yet."""

    def close(self) -> None: ...
    def abandon(self) -> None: ...
    def version(self, connection: Any, /) -> Hashable:
        """Return what changes with each write of any process; cheap."""

    def snapshot(self, connection: Any, /) -> AbstractContextManager[None]: ...
    def read_together(self, connection: Any, statements: Sequence[tuple[str, tuple[Any, ...]]], /) -> list[list[Any]]:
        """Return the rows of statements that all see the store as it is at the first of them."""

    def transaction(self, connection: Any, /, *, alone: bool = False) -> AbstractContextManager[None]: ...
    def explained(self, error: Exception, /) -> TrackingError:
        """Return one of `errors` as one for users; the connection is closed."""


def backend_for(location: Location, *, read_only: bool) -> StoreBackend:
    """Return the backend of a file or a team's store."""
    if isinstance(location, PostgresAddress):
        from loops_nb.tracking.postgres.backend import PostgresBackend  # only where the address says so

        return PostgresBackend(location, read_only=read_only)
    return SqliteBackend(location, read_only=read_only)


@contextmanager
def writing(location: Location) -> Iterator[SqlConnection]:
    """Begin a transaction of a store, which is created if there is none.

    Raises
    ------
    TrackingError, sqlite3.Error, OSError
        If it cannot be written.
    """
    if isinstance(location, PostgresAddress):
        backend = backend_for(location, read_only=False)
        try:
            connection = backend.open(to_write=True)
            with backend.transaction(connection):
                yield connection
        except backend.errors as error:
            raise backend.explained(error) from None
        finally:
            backend.close()
        return
    file = open_store(location)
    try:
        with Transaction(file, location):
            yield file
    finally:
        file.close()


class SqliteBackend:
    """A file of experiments.

    Parameters
    ----------
    path : Path
        The file.
    read_only : bool
        Write nothing.
    """

    errors: tuple[type[Exception], ...] = (sqlite3.Error, OSError)

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self.location: Path = path
        self._read_only = read_only
        self._connection: sqlite3.Connection | None = None
        self._file: os.stat_result | None = None
        self._is_opened_read_only = read_only
        self._open_count = 0
        self._change_count = 0

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    @property
    def identity(self) -> Hashable:
        found = self._file
        return None if self._connection is None or found is None else (str(self.location), found.st_dev, found.st_ino)

    def open(self, *, to_write: bool = False) -> sqlite3.Connection | None:
        try:
            found = self.location.stat()
        except FileNotFoundError:
            self.close()
            return None
        is_other = self._file is None or not os.path.samestat(found, self._file)
        if is_other or (to_write and self._is_opened_read_only):
            self.close()
        if self._connection is None:
            self._connection = self._connect(to_write=to_write)
            self._file = self.location.stat()
            self._open_count += 1
        return self._connection

    def _connect(self, *, to_write: bool) -> sqlite3.Connection:
        self._is_opened_read_only = self._read_only
        try:
            return open_store(self.location, read_only=self._read_only, busy_seconds=BUSY_SECONDS)
        except sqlite3.OperationalError as error:
            if self._read_only or to_write or not _is_protected(error):
                raise
            # The folder of another user, or a write-protected disk: the file can still be read.
            try:
                made = open_store(self.location, read_only=True, busy_seconds=BUSY_SECONDS)
            except sqlite3.Error:
                raise error from None
            self._is_opened_read_only = True
            return made

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def abandon(self) -> None:
        if self._connection is not None:
            keep_inherited(self._connection)
        self._connection = None

    def version(self, connection: sqlite3.Connection) -> Hashable:
        # The file's own number does not count what came through this connection, and begins again with each.
        return self._open_count, self._change_count, connection.execute("PRAGMA data_version").fetchone()[0]

    @contextmanager
    def snapshot(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Make several reads see the file as it is at the first of them, whatever other processes write meanwhile."""
        connection.execute("BEGIN")
        try:
            yield
        finally:
            if connection.in_transaction:
                connection.execute("COMMIT")

    def read_together(
        self, connection: sqlite3.Connection, statements: Sequence[tuple[str, tuple[Any, ...]]]
    ) -> list[list[Any]]:
        with self.snapshot(connection):
            return [connection.execute(sql, values).fetchall() for sql, values in statements]

    @contextmanager
    def transaction(self, connection: sqlite3.Connection, *, alone: bool = False) -> Iterator[None]:
        del alone  # one writes at a time in any case
        with Transaction(connection, self.location):
            yield
        self._change_count += 1

    def explained(self, error: Exception) -> TrackingError:
        self.close()
        why = one_line(str(error))
        if is_busy(error):
            return TrackingError(
                f"Another process is writing to {self.location}, for {BUSY_SECONDS:.0f} seconds at least. Nothing was "
                f"changed.",
                hint="Try again when it has ended that.",
            )
        if _is_protected(error) and "readonly" in why:
            return TrackingError(
                f"The experiments in {self.location} can be read but not written here ({why}). Nothing was changed.",
                hint="%loops export FILE takes them along; LOOPS_NB_HOME names the folder that is used.",
            )
        return TrackingError(
            f"The experiments in {self.location} cannot be used for now ({why}). Nothing was harmed.",
            hint="Make that folder usable, or name another one by LOOPS_NB_HOME and restart the kernel.",
        )


def _is_protected(error: Exception) -> bool:
    """Whether this user must not write the file, or the folder in which SQLite puts files beside it."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)
