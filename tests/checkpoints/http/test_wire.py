"""How a response waits for bytes."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator
from typing import cast

import pytest

from loops_nb.checkpoints.http import FaultKind, StorageFault, connections
from loops_nb.checkpoints.http.connections import Wire

SILENCE = 0.3
Ends = tuple[Wire, socket.socket]


def wire_of(sock: socket.socket, silence: float) -> Wire:
    sock.settimeout(min(silence, SILENCE / 4))
    return Wire(sock, cast("io.RawIOBase", sock.makefile("rb", buffering=0)), silence)


@pytest.fixture
def ends() -> Iterator[Ends]:
    """A wire and the socket at its other end."""
    near, far = socket.socketpair()
    with near, far:
        wire = wire_of(near, SILENCE)
        yield wire, far
        wire.close()


def test_silence_is_a_fault_after_its_time_and_not_before(ends: Ends) -> None:
    wire, _ = ends
    began = time.monotonic()
    with pytest.raises(StorageFault) as caught:
        wire.receive(memoryview(bytearray(10)))
    assert caught.value.kind is FaultKind.SILENT
    assert time.monotonic() - began >= SILENCE * 0.9


def test_bytes_are_returned_though_the_buffer_is_not_full(ends: Ends) -> None:
    wire, far = ends
    far.sendall(b"abc")
    view = memoryview(bytearray(10))
    assert wire.receive(view) == 3
    assert bytes(view[:3]) == b"abc"
    with pytest.raises(StorageFault):
        wire.receive(view)


def test_end_of_stream_is_zero_bytes(ends: Ends) -> None:
    wire, far = ends
    far.sendall(b"abc")
    far.close()
    view = memoryview(bytearray(10))
    assert [wire.receive(view), wire.receive(view)] == [3, 0]


def test_stop_ends_a_wait_in_another_thread() -> None:
    near, far = socket.socketpair()
    with near, far:
        wire = wire_of(near, 60.0)
        kinds: list[FaultKind] = []

        def receive() -> None:
            with pytest.raises(StorageFault) as caught:
                wire.receive(memoryview(bytearray(10)))
            kinds.append(caught.value.kind)

        waiting = threading.Thread(target=receive)
        waiting.start()
        wire.stop()
        waiting.join()
        wire.close()
    assert kinds == [FaultKind.STOPPED]


def test_buffered_reader_gets_no_more_than_a_head(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    wire, far = ends
    monkeypatch.setattr(connections, "HEAD_BYTES", 100)
    wire.budget = 100
    far.sendall(b"x" * 500)
    view = memoryview(bytearray(60))
    assert [wire.readinto(view), wire.readinto(view)] == [60, 60]
    with pytest.raises(StorageFault, match="do not end"):
        wire.readinto(view)
