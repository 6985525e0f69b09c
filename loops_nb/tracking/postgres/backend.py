"""The part of `loops_nb.tracking.store.ExperimentStore` that differs for PostgreSQL."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from loops_nb.config.fork_safety import ForkAware, keep_inherited, reset_on_fork
from loops_nb.config.postgres_address import PostgresAddress
from loops_nb.errors import TrackingError
from loops_nb.tracking.location import StoreAwayError
from loops_nb.tracking.postgres.connection import PostgresConnection, connect, driver, unusable

# A connection that was idle for so long is checked before it is used: the server may have been restarted.
_IDLE_SECONDS = 1.0
#: Connections that stay open for the next store of this process, and for how long: opening takes several round trips.
_MAX_KEPT = 2
_KEPT_SECONDS = 60.0
#: A server whose failure took so long to be seen is not tried again within some time: a panel asks often.
_SLOW_SECONDS, _AWAY_SECONDS = 0.5, 3.0


class _Connections(ForkAware):
    """Connections of this process that no store uses at the moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[PostgresAddress, list[PostgresConnection]] = {}
        self._errors: dict[PostgresAddress, tuple[float, StoreAwayError]] = {}
        # Held here, so that a store that is collected gives back its connection before that is collected, too.
        self._used: set[PostgresConnection] = set()
        reset_on_fork(self)

    def take(self, address: PostgresAddress, *, to_write: bool, read_only: bool) -> PostgresConnection | None:
        with self._lock:
            found = self._idle.get(address, [])
            connection = found.pop() if found else None
        if connection is not None and self._answers(connection):
            self._used.add(connection)
            return connection
        began = time.monotonic()
        failed_at, error = self._errors.get(address, (began, None))
        if error is not None and began - failed_at < _AWAY_SECONDS:
            raise StoreAwayError(error.message, hint=error.hint)
        try:
            made = connect(address, to_write=to_write, read_only=read_only)
        except StoreAwayError as away:
            if time.monotonic() - began > _SLOW_SECONDS:
                self._errors[address] = time.monotonic(), away
            raise
        self._errors.pop(address, None)
        if made is not None:
            self._used.add(made)
        return made

    def give_back(self, connection: PostgresConnection) -> None:
        self._used.discard(connection)
        if not connection.is_usable:
            return
        with self._lock:
            idle = self._idle.setdefault(connection.address, [])
            idle.append(connection)
            stale = [of for of in idle if time.monotonic() - of.used_at > _KEPT_SECONDS]
            surplus = idle[: max(0, len(idle) - _MAX_KEPT)]
            for one in {id(of): of for of in (*stale, *surplus)}.values():
                idle.remove(one)
                one.close()

    def close(self) -> None:
        """Close all of them."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for connection in (one for found in idle.values() for one in found):
            connection.close()

    def _answers(self, connection: PostgresConnection) -> bool:
        if time.monotonic() - connection.used_at < _IDLE_SECONDS:
            return connection.is_usable
        try:
            connection.execute("SELECT 1")
        except driver().Error:
            connection.close()
            return False
        return True

    def after_fork_in_child(self) -> None:
        for idle in self._idle.values():
            for connection in idle:
                keep_inherited(connection)
        keep_inherited(self._used)
        self._lock, self._idle, self._errors, self._used = threading.Lock(), {}, {}, set()


_connections = _Connections()


@atexit.register
def close_idle() -> None:
    """Close the connections that no store uses."""
    _connections.close()


class PostgresBackend:
    """A team's store.

    Parameters
    ----------
    address : PostgresAddress
        The store.
    read_only : bool
        Write nothing.
    """

    def __init__(self, address: PostgresAddress, *, read_only: bool) -> None:
        self.location: PostgresAddress = address
        self._read_only = read_only
        self._connection: PostgresConnection | None = None

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    @property
    def identity(self) -> Hashable:
        return None if self._connection is None else str(self.location)

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        return (driver().Error, OSError)

    def open(self, *, to_write: bool = False) -> PostgresConnection | None:
        connection = self._connection
        if connection is not None and not connection.is_usable:
            self.close()
            connection = None
        if connection is None:
            connection = _connections.take(self.location, to_write=to_write, read_only=self._read_only)
            self._connection = connection
        return connection

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            _connections.give_back(connection)

    def abandon(self) -> None:
        """Forget the connection of the parent process, in a forked child."""
        if self._connection is not None:
            keep_inherited(self._connection)
        self._connection = None

    def version(self, connection: PostgresConnection) -> Hashable:
        return connection.change_count()

    @contextmanager
    def snapshot(self, connection: PostgresConnection) -> Iterator[None]:
        with connection.snapshot():
            yield

    def read_together(
        self, connection: PostgresConnection, statements: Sequence[tuple[str, tuple[Any, ...]]]
    ) -> list[list[Any]]:
        return connection.read_together(statements)

    @contextmanager
    def transaction(self, connection: PostgresConnection, *, alone: bool = False) -> Iterator[None]:
        with connection.transaction(alone=alone):
            yield
            connection.count_change()

    def explained(self, error: Exception) -> TrackingError:
        connection = self._connection
        if connection is not None:
            connection.close()
        self.close()
        return unusable(self.location, error)
