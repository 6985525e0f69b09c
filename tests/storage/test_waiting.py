"""How a connection waits for bytes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from loops_nb.storage import connections
from loops_nb.storage.connections import Connection
from loops_nb.storage.places import Place

SILENCE = 0.3
Ends = tuple[Connection, socket.socket]


@pytest.fixture(params=[SILENCE, None], ids=["the system waits", "the interpreter waits"])
def ends(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ends]:
    """A connection and its other end; over TLS the socket's own limit counts."""
    monkeypatch.setattr(connections, "_BREATH_SECONDS", SILENCE / 4)
    here, there = socket.socketpair()
    here.settimeout(SILENCE)
    connection = Connection(here, Place("http", "localhost", 80), silence=request.param)
    yield connection, there
    connection.close()
    there.close()


def test_nothing_comes(ends: Ends) -> None:
    connection, _ = ends
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        connection.take(memoryview(bytearray(10)))
    assert time.monotonic() - began >= SILENCE * 0.9


def test_no_head_comes(ends: Ends) -> None:
    with pytest.raises(TimeoutError):
        ends[0].ask(b"GET / HTTP/1.1\r\n\r\n")


def test_what_comes_is_handed_over_though_the_buffer_is_not_full(ends: Ends) -> None:
    connection, there = ends
    there.sendall(b"abc")
    view = memoryview(bytearray(10))
    assert connection.take(view) == 3
    assert bytes(view[:3]) == b"abc"
    with pytest.raises(TimeoutError):
        connection.take(view)


def test_the_end_comes(ends: Ends) -> None:
    connection, there = ends
    there.sendall(b"abc")
    there.close()
    view = memoryview(bytearray(10))
    assert [connection.take(view), connection.take(view)] == [3, 0]


def test_it_is_stopped_while_it_waits(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    connection, _ = ends
    if connection._silence is not None:
        monkeypatch.setattr(connection, "_silence", 60.0)
    else:
        connection.socket.settimeout(60.0)
    came: list[int] = []
    waiting = threading.Thread(target=lambda: came.append(connection.take(memoryview(bytearray(10)))))
    waiting.start()
    connection.stop()
    waiting.join()
    assert came == [0]
