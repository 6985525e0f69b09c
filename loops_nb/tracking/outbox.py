"""Batches that wait in the file of this machine until a team's store takes them."""

from __future__ import annotations

import os
import platform
import sqlite3
from typing import NamedTuple

from loops_nb.config.local_services import is_alive
from loops_nb.config.postgres_address import PostgresAddress
from loops_nb.tracking.entries import now
from loops_nb.tracking.sql import SqlConnection

#: A stream of a process that cannot be seen to have ended is taken over when its batches wait for so long.
_ABANDONED_MILLIS = 10 * 60 * 1000
#: Batches and bytes that are sent in one transaction.
_MAX_BATCHES, _MAX_BYTES = 64, 4_000_000
_PUT = """
    INSERT INTO outbox (store, stream, number, host, pid, at, count, content) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO NOTHING"""
_STREAMS = """
    SELECT stream, host, pid, min(at) FROM outbox WHERE store = ? AND refused IS NULL
    GROUP BY stream, host, pid ORDER BY min(seq)"""
_NEXT = """
    SELECT number, count, content FROM outbox WHERE stream = ? AND refused IS NULL ORDER BY number LIMIT ?"""
_REFUSE = """
    UPDATE outbox SET refused = ?, stream = stream || '/' || number WHERE stream = ? AND number = ?"""
_WAITING = """
    SELECT store, sum(count), min(at), sum(CASE WHEN refused IS NULL THEN 0 ELSE count END), max(refused) FROM outbox
    GROUP BY store ORDER BY store"""


class WaitingBatch(NamedTuple):
    """One batch that is not sent yet: its number in its stream, the number of its values, and its content."""

    number: int
    size: int
    content: bytes


class WaitingValues(NamedTuple):
    """What waits for one store.

    Parameters
    ----------
    store : str
        Its address.
    size : int
        Number of values, marks and samples.
    since : int
        Time of the oldest batch; milliseconds since 1970.
    refused : int
        How many of them the store does not take.
    reason : str or None
        Why it does not.
    """

    store: str
    size: int
    since: int
    refused: int
    reason: str | None


def put(
    connection: SqlConnection, address: PostgresAddress, stream: str, number: int, count: int, content: bytes
) -> None:
    """Add a batch of this process, within a transaction; nothing is done if it is there after a commit that failed."""
    row = (str(address), stream, number, platform.node(), os.getpid(), now(), count, content)
    connection.execute(_PUT, row)


def streams_to_send(connection: sqlite3.Connection, address: PostgresAddress, own: frozenset[str]) -> list[str]:
    """Return the streams of this process, then those whose processes have ended."""
    host, at = platform.node(), now()
    found = connection.execute(_STREAMS, (str(address),)).fetchall()
    ended = [
        stream
        for stream, of_host, pid, since in found
        if stream not in own and ((of_host == host and not is_alive(pid)) or at - since > _ABANDONED_MILLIS)
    ]
    return [stream for stream, *_ in found if stream in own] + ended


def next_batches(connection: sqlite3.Connection, stream: str, *, single: bool) -> list[WaitingBatch]:
    """Return the oldest batches of a stream that fit in one transaction, or only the first of them."""
    found: list[WaitingBatch] = []
    size = 0
    for row in connection.execute(_NEXT, (stream, 1 if single else _MAX_BATCHES)):
        batch = WaitingBatch._make(row)
        size += len(batch.content)
        if found and size > _MAX_BYTES:
            break
        found.append(batch)
    return found


def remove(connection: sqlite3.Connection, stream: str, number: int) -> None:
    """Remove the batches of a stream up to a number, which are in the store."""
    connection.execute("DELETE FROM outbox WHERE stream = ? AND number <= ?", (stream, number))


def refuse(connection: sqlite3.Connection, stream: str, number: int, why: str) -> None:
    """Keep a batch that the store does not take, apart from its stream, which goes on without it."""
    connection.execute(_REFUSE, (why, stream, number))


def waiting_values(connection: sqlite3.Connection) -> list[WaitingValues]:
    """Return what waits for each store."""
    return [WaitingValues._make(row) for row in connection.execute(_WAITING)]
