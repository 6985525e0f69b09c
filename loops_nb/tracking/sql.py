"""What the SQL of both stores needs: connections, rows of many statements at once, locks of rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol


class SqlCursor(Protocol):
    """Rows of a statement."""

    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...


class SqlConnection(Protocol):
    """An open store that takes the SQL of SQLite: `sqlite3.Connection`, or one that translates it.

    One at another place also has ``fetch_each``, which sends statements of the same kind together.
    """

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> SqlCursor: ...
    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Any: ...


def fetch_each(connection: SqlConnection, sql: str, rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Execute a statement for each row of parameters, and return the rows that each returned."""
    together = getattr(connection, "fetch_each", None)
    if together is not None:
        found: list[list[Any]] = together(sql, rows)
        return found
    return [connection.execute(sql, row).fetchall() for row in rows]


def for_update(connection: SqlConnection) -> str:
    """Return the end of a ``SELECT`` that locks its rows until the end of the transaction."""
    # A transaction of SQLite has the whole file locked.
    return "FOR UPDATE" if hasattr(connection, "fetch_each") else ""
