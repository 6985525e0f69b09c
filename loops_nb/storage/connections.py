"""One connection to a server of files: HTTP/1.1, one answer after the other."""

from __future__ import annotations

import contextlib
import math
import re
import select
import socket
import struct
import sys
import time

from loops_nb.client.allowance import Allowance
from loops_nb.storage.faults import Kind, StorageFault
from loops_nb.storage.places import Place

#: An answer's head, or a line of a chunked body, is never longer.
HEAD_BYTES = 64 * 1024
#: A server that sends less than this for as long as it may be silent is given up: no link that is of use is slower.
LEAST_BYTES_A_SECOND = 1024
_END_OF_HEAD = b"\r\n\r\n"
_MOST_INTERIM = 20
#: A buffer that does not get full is handed over after this; the bytes of a slow connection are to be seen too.
_BREATH_SECONDS = 0.5
#: No control characters: what came in a header may go out in one.
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class Head:
    """Status and headers of an answer; names in lower case, the values of repeated ones joined by commas."""

    __slots__ = ("headers", "keeps", "status")

    def __init__(self, status: int, headers: dict[str, str], *, keeps: bool) -> None:
        self.status = status
        self.headers = headers
        self.keeps = keeps


class Connection:
    """A connected socket with what was read from it too early.

    Parameters
    ----------
    sock
        Connected, with its time limit set.
    place
        The server that it leads to.
    prefix, extra
        For plain http through a proxy: what stands before each path, and headers for the proxy.
    silence
        Seconds without a byte after which a read fails, for a socket in the clear: there the system can wait, and fill a whole buffer at
        a call, which takes half the CPU.  Else the socket's own limit counts.
    """

    __slots__ = ("_allowance", "_buffer", "_end", "_patience", "_silence", "_sock", "_start", "extra", "place", "prefix", "stopped", "used")

    def __init__(self, sock: socket.socket, place: Place, *, prefix: str = "", extra: str = "", silence: float | None = None) -> None:
        self._sock = sock
        self._patience = silence if silence is not None else sock.gettimeout() or math.inf
        self._allowance = self._anew()
        self._silence = silence if silence is not None and _waits_in_the_system(sock, min(silence, _BREATH_SECONDS)) else None
        self._buffer = bytearray(HEAD_BYTES)
        self._start = self._end = 0
        self.place = place
        self.prefix = prefix
        self.extra = extra
        self.used = False
        self.stopped = False

    def ask(self, request: bytes) -> Head:
        """Send a request and read the head of its answer.

        Raises
        ------
        StorageFault
            If the connection breaks, or what comes is no HTTP.
        OSError
            If the connection breaks.
        """
        self._sock.sendall(request)
        self._allowance = self._anew()
        for _ in range(_MOST_INTERIM):
            head = self._head()
            self.used = True
            if head.status >= 200:  # noqa: PLR2004 - HTTP statuses are their own names
                return head
        raise StorageFault("the server sent no final answer")

    def take(self, view: memoryview) -> int:
        """Read what comes within a moment into a buffer; 0 at the end of the stream."""
        kept = self._end - self._start
        if kept:
            count = min(kept, len(view))
            view[:count] = memoryview(self._buffer)[self._start : self._start + count]
            self._start += count
            return count
        return self._received(view, socket.MSG_WAITALL)

    def line(self) -> bytes:
        """Read a line, without its end.

        Raises
        ------
        StorageFault
            If it does not end, or is too long.
        """
        searched = self._start
        while True:
            found = self._buffer.find(b"\r\n", searched, self._end)
            if found >= 0:
                text = bytes(self._buffer[self._start : found])
                self._start = found + 2
                return text
            searched = self._more(max(self._start, self._end - 1))

    @property
    def usable(self) -> bool:
        """Whether another request can be sent: nothing came unasked, not even its end."""
        if self._start != self._end or self.stopped or self._sock.fileno() < 0:
            return False
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(self._sock, select.POLLIN)
            return not poll.poll(0)
        return not select.select([self._sock], [], [], 0)[0]

    @property
    def socket(self) -> socket.socket:
        """What it goes over."""
        return self._sock

    def stop(self) -> None:
        """Let whoever reads from it fail at once; may be called from another thread."""
        self.stopped = True
        end(self._sock)

    def close(self) -> None:
        """Close it."""
        with contextlib.suppress(OSError):
            self._sock.close()

    def _head(self) -> Head:
        searched = self._start
        while True:
            found = self._buffer.find(_END_OF_HEAD, searched, self._end)
            if found >= 0:
                text = self._buffer[self._start : found].decode("latin-1")
                self._start = found + len(_END_OF_HEAD)
                return _parsed(text)
            searched = self._more(max(self._start, self._end - 3))

    def _more(self, searched: int) -> int:
        """Read more into the buffer and return where to search on."""
        if self._start:
            # To the front, so that there is room for as much as may come.
            self._buffer[: self._end - self._start] = self._buffer[self._start : self._end]
            searched -= self._start
            self._end -= self._start
            self._start = 0
        if self._end == HEAD_BYTES:
            raise StorageFault("the server sent headers that do not end", Kind.ODD)
        room = memoryview(self._buffer)[self._end :]
        count = self._received(room)
        if not count:
            raise StorageFault("the server closed the connection")
        self._end += count
        return searched

    def _anew(self) -> Allowance:
        return Allowance(self._patience, self._patience, rate=LEAST_BYTES_A_SECOND)

    def _received(self, view: memoryview, flags: int = 0) -> int:
        """Receive what comes, and end an answer that comes far too slowly."""
        began = time.monotonic()
        count = self._sock.recv_into(view) if self._silence is None else self._awaited(view, self._silence, flags)
        self._allowance.spend(time.monotonic() - began, count)
        if count and self._allowance.left <= 0:
            raise StorageFault(f"it came too slowly, at less than {LEAST_BYTES_A_SECOND // 1024} KiB/s", Kind.SLOW)
        return count

    def _awaited(self, view: memoryview, silence: float, flags: int) -> int:
        """Receive as often as it takes until something comes."""
        until = 0.0
        while True:
            try:
                return self._sock.recv_into(view, 0, flags)
            except BlockingIOError:
                # Nothing for a breath.
                now = time.monotonic()
                until = until or now - min(silence, _BREATH_SECONDS) + silence
            if now >= until:
                raise TimeoutError


def _waits_in_the_system(sock: socket.socket, seconds: float) -> bool:
    """Let the system end a wait after some time, not the interpreter, which asks twice for everything; False where that is not known."""
    if sys.platform != "linux":
        return False
    whole = int(seconds)
    limit = struct.pack("ll", whole, max(1, int((seconds - whole) * 1e6)))
    sock.setblocking(True)  # noqa: FBT003 - the standard library's own
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    return True


def end(sock: socket.socket) -> None:
    """Let whoever waits for a socket fail at once; may be called from another thread."""
    with contextlib.suppress(OSError):
        # Not that of an SSL socket, which would forget its key while the other thread reads.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _parsed(text: str) -> Head:
    first, *lines = text.split("\r\n")
    version, _, rest = first.partition(" ")
    code = rest[:3]
    if version not in {"HTTP/1.1", "HTTP/1.0"} or len(code) != 3 or not (code.isascii() and code.isdigit()):  # noqa: PLR2004
        raise StorageFault("the server's answer is no HTTP", Kind.BROKEN)
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip() or not _VALUE.fullmatch(value):
            raise StorageFault("the server sent headers that cannot be read", Kind.ODD)
        key = name.lower()
        value = value.strip()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    options = headers.get("connection", "").lower()
    keeps = "keep-alive" in options if version == "HTTP/1.0" else "close" not in options
    return Head(int(code), headers, keeps=keeps)
