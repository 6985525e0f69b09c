"""Which connection a listing came from: a DataFrame knows it by a mark that says nothing about it."""

from __future__ import annotations

import secrets
import threading

from loops_nb.client.exchange import Exchange

#: Under which name a frame carries the mark in its ``attrs``.
CONNECTION_ATTR = "loops_connection"


class _Marks:
    """The connections of this process that a listing came from; there are as many as a person has opened."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._exchanges: dict[str, Exchange] = {}

    def of(self, exchange: Exchange) -> str:
        with self._lock:
            for mark, known in self._exchanges.items():
                if _same(known, exchange):
                    self._exchanges[mark] = exchange
                    return mark
            # Random: neither the address nor the key can be told from it, and one of another process means nothing here.
            mark = secrets.token_hex(8)
            self._exchanges[mark] = exchange
            return mark

    def get(self, mark: object) -> Exchange | None:
        with self._lock:
            return self._exchanges.get(mark) if isinstance(mark, str) else None

    def all(self) -> list[Exchange]:
        with self._lock:
            return list(self._exchanges.values())


_marks = _Marks()


def mark_of(exchange: Exchange) -> str:
    """Return the mark of a connection: the same for the same address, key and way to send it."""
    return _marks.of(exchange)


def marked(mark: object) -> Exchange | None:
    """Return the connection with this mark; None if there is none in this process."""
    return _marks.get(mark)


def the_only_one() -> Exchange | None:
    """Return the connection that listings came from, if they all came from one."""
    known = _marks.all()
    return known[0] if len(known) == 1 else None


def _same(one: Exchange, other: Exchange) -> bool:
    return (one.address.url, one.key.secret, one.scheme) == (other.address.url, other.key.secret, other.scheme)
