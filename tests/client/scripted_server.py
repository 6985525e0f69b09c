"""A real HTTP server on loopback with scripted answers, including truncated bodies and closed sockets."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class Received:
    """One request as it arrived."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None


@dataclass
class Answer:
    """What to send back; ``length`` and ``cut_after`` make it lie or end early.

    ``raw`` is sent in place of everything else.  From byte ``drip_from`` on, a byte is sent every ``drip_seconds``.
    """

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    cut_after: int | None = None
    hang_until: threading.Event | None = None
    raw: bytes | None = None
    drip_seconds: float = 0.0
    drip_from: int = 0

    def wire(self) -> bytes:
        if self.raw is not None:
            return self.raw
        raw = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        headers = {
            "content-type": "application/json",
            "content-length": str(self.length if self.length is not None else len(raw)),
        }
        headers |= self.headers
        head = f"HTTP/1.1 {self.status} X\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
        return head.encode() + (raw if self.cut_after is None else raw[: self.cut_after])


HANG_UP = Answer(cut_after=-1)
"""Close the connection without any answer."""

Script = Callable[[Received], Answer]


class ScriptedServer:
    """Answers each request by calling the script; records what came and how many connections were opened."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.received: list[Received] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self._closing = False
        self._stopped = threading.Event()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._closing:
                    connection.close()
                    return
                self.connections += 1
                self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as stream:
                while (request := _read(stream)) is not None:
                    self.received.append(request)
                    answer = self.script(request)
                    if answer is HANG_UP:
                        return
                    if answer.hang_until is not None:
                        answer.hang_until.wait(30)
                        return
                    self._send(connection, answer)
                    if answer.cut_after is not None or answer.raw is not None:
                        return
        except OSError:
            return

    def _send(self, connection: socket.socket, answer: Answer) -> None:
        wire = answer.wire()
        if not answer.drip_seconds:
            connection.sendall(wire)
            return
        connection.sendall(wire[: answer.drip_from])
        for at in range(answer.drip_from, len(wire)):
            # Ends with the server: nothing else would, for the client may be gone without a word.
            if self._stopped.wait(answer.drip_seconds):
                return
            connection.sendall(wire[at : at + 1])

    def close(self) -> None:
        self._stopped.set()
        with self._lock:
            self._closing = True
            connections = list(self._open)
        self._listener.close()
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _read(stream: Any) -> Received | None:
    line = stream.readline().decode("latin-1").strip()
    if line.count(" ") < 2:
        return None
    method, target, _ = line.split(" ", 2)
    headers = {}
    while header := stream.readline().decode("latin-1").strip():
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    return Received(method, target, headers, stream.read(int(headers.get("content-length", 0))))


@contextmanager
def serving(*answers: Answer | Any) -> Iterator[ScriptedServer]:
    """Serve these answers one after the other; the last one again and again."""
    queue = [a if isinstance(a, Answer) else Answer(a) for a in answers]

    def script(_: Received) -> Answer:
        return queue.pop(0) if len(queue) > 1 else queue[0]

    with ScriptedServer(script) as server:
        yield server


def closed_port() -> int:
    """Return a port that refuses connections until this process ends: it is bound, so no other server gets it."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    port = int(bound.getsockname()[1])
    bound.detach()
    return port
