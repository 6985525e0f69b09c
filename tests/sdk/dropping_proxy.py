"""A loopback proxy that can drop responses: the service did the work, the client never gets the answer."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator

_CHUNK = 65536


class CuttingProxy:
    """Hands connections on to a port of this machine.

    Parameters
    ----------
    upstream
        The port behind it.
    """

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._pattern: re.Pattern[bytes] | None = None
        self._left = 0
        self._open: set[socket.socket] = set()
        #: First lines of the requests whose answers were lost.
        self.lost: list[str] = []
        #: First lines of all requests.
        self.seen: list[str] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_answers(self, pattern: str, count: int = 1) -> None:
        """Drop the responses to the next requests whose first line matches, by closing the connection."""
        with self._lock:
            self._pattern, self._left = re.compile(pattern.encode()), count

    def lead_to(self, url: str) -> None:
        """Hand new connections on to another service."""
        self._upstream = port_of(url)

    def close(self) -> None:
        """Stop, and cut what is open."""
        self._listener.close()
        with self._lock:
            left = list(self._open)
        for one in left:
            _cut(one)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._upstream))
            except OSError:
                client.close()
                continue
            with self._lock:
                self._open |= {client, server}
            doomed = threading.Event()
            threading.Thread(target=self._hand_on, args=(client, server, doomed), daemon=True).start()
            threading.Thread(target=self._hand_back, args=(server, client, doomed), daemon=True).start()

    def _hand_on(self, client: socket.socket, server: socket.socket, doomed: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(_CHUNK):
                first = data.partition(b"\r\n")[0]
                if first.endswith(b" HTTP/1.1"):
                    self._look(first, doomed)
                server.sendall(data)
        self._end(client, server)

    def _hand_back(self, server: socket.socket, client: socket.socket, doomed: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while (data := server.recv(_CHUNK)) and not doomed.is_set():
                client.sendall(data)
        self._end(client, server)

    def _look(self, first: bytes, doomed: threading.Event) -> None:
        with self._lock:
            self.seen.append(first.decode())
            if self._left and self._pattern is not None and self._pattern.search(first):
                self._left -= 1
                self.lost.append(first.decode())
                doomed.set()

    def _end(self, *ends: socket.socket) -> None:
        for end in ends:
            _cut(end)
        with self._lock:
            self._open -= set(ends)


def port_of(url: str) -> int:
    """Return the port of a service's URL."""
    return int(url.rsplit(":", 1)[1])


def _cut(end: socket.socket) -> None:
    # Shutting down wakes the other thread's recv; closing alone does not.
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextlib.contextmanager
def cutting_proxy(url: str) -> Iterator[CuttingProxy]:
    """Put a proxy before a service."""
    proxy = CuttingProxy(port_of(url))
    try:
        yield proxy
    finally:
        proxy.close()
