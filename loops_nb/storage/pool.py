"""Connections that wait for their next request."""

from __future__ import annotations

import os
import threading

from loops_nb.storage.connections import Connection
from loops_nb.storage.places import Place


class Pool:
    """Keeps idle connections, the last used one first.

    Parameters
    ----------
    most
        How many are kept; the oldest is closed when there would be more.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._pid = os.getpid()
        self._closed = False

    def get(self, place: Place) -> Connection | None:
        """Return an idle connection to a server that can be used, or None."""
        while True:
            with self._lock:
                if self._pid != os.getpid():
                    # A forked child must not share its parent's sockets.
                    self._idle, self._pid = [], os.getpid()
                found = next((i for i in range(len(self._idle) - 1, -1, -1) if self._idle[i].place == place), None)
                if found is None:
                    return None
                connection = self._idle.pop(found)
            if connection.usable:
                return connection
            connection.close()

    def put(self, connection: Connection) -> None:
        """Keep a connection for later."""
        with self._lock:
            dropped = connection
            if not self._closed and self._pid == os.getpid():
                self._idle.append(connection)
                if len(self._idle) <= self._most:
                    return
                dropped = self._idle.pop(0)
        dropped.close()

    def close(self) -> None:
        """Close all, and keep none from now on."""
        with self._lock:
            idle, self._idle, self._closed = self._idle, [], True
        for connection in idle:
            connection.close()
