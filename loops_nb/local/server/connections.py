"""Connection limits: how many may be open, and how long each may keep the server waiting.

uvicorn waits for ever for the rest of a request and for a client that reads nothing.  Here every wait for a client
ends.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import math
import sys
from collections.abc import Iterable
from functools import partial
from typing import Any

import h11
import msgspec
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from loops_nb.local.settings import ConnectionLimits

_LOG = logging.getLogger(__name__)
#: Of the files that this process may open, those that the records, the processes of trainers and new connections need.
_SPARE_FILES = 0.5
_FEWEST = 8
#: Longest head of a request.
HEAD_BYTES = 32 << 10
#: A younger connection may have its request on the way: it is not closed to make room for another one.
_GRACE_SECONDS = 1.0
#: Between two looks for connections that can be closed.
_PAUSE_SECONDS = 0.25


class ConnectionPhase(enum.Enum):
    """What a connection is waiting for."""

    IDLE = "a request"
    HEAD = "the rest of a request's head"
    ANSWER = "the application"
    UNREAD = "the client, to read"
    UNWANTED = "the rest of a body that was answered already"
    CLOSING = "its own end"


_CLOSABLE = {ConnectionPhase.IDLE, ConnectionPhase.HEAD, ConnectionPhase.UNWANTED, ConnectionPhase.CLOSING}


class IdleConnections:
    """Room for new connections when as many are open as may be: that of connections with no request in work.

    Looking through all of them for each new one would take the server's time when there are many new ones.
    """

    def __init__(self) -> None:
        self._closable: list[LimitedProtocol] = []
        self._looked_at = -math.inf

    def make(self, connections: Iterable[object], now: float) -> bool:
        """Close a connection, and tell whether there was one to close."""
        if self._close_one(now):
            return True
        if now - self._looked_at < _PAUSE_SECONDS:
            return False
        self._looked_at = now
        self._closable = [
            other for other in connections if isinstance(other, LimitedProtocol) and other.is_closable(now)
        ]
        # At the end first those that never asked for anything, then those that have been idle for longest.
        self._closable.sort(key=lambda other: (other.cycle is None, other.waited(now)))
        return self._close_one(now)

    def _close_one(self, now: float) -> bool:
        while self._closable:
            found = self._closable.pop()
            if found in found.connections and found.is_closable(now):
                found.drop()
                return True
        return False


class LimitedProtocol(H11Protocol):
    """uvicorn's protocol over h11, with an end to each wait; `expire` must be called every second or so."""

    def __init__(self, *arguments: Any, limits: ConnectionLimits, room: IdleConnections, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._limits = limits
        self._room = room
        self._seen: tuple[ConnectionPhase, object] = (ConnectionPhase.IDLE, None)
        self._since = self.loop.time()

    # uvicorn's own methods have these signatures.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, if there is room for it or room can be made."""
        super().connection_made(transport)
        if len(self.connections) <= self._limits.connections:
            return
        _LOG.warning(
            "%d connections are open, which is the limit: the longest idle one is closed for a new one",
            self._limits.connections,
        )
        if not self._room.make(self.connections, self.loop.time()):
            text = f"{self._limits.connections} connections are open already; close some, or try again in a moment."
            self._refuse(503, "TOO_MANY_CONNECTIONS", text, retry_after=1)
            self.connections.discard(self)

    def pause_writing(self) -> None:
        """Note since when the client reads nothing."""
        super().pause_writing()
        self._since = self.loop.time()

    @property
    def phase(self) -> ConnectionPhase:
        """What is waited for now."""
        if self.transport.is_closing():
            return ConnectionPhase.CLOSING
        if self.cycle is not None and not self.cycle.response_complete:
            return ConnectionPhase.UNREAD if self.flow.write_paused else ConnectionPhase.ANSWER
        if self.conn.their_state is h11.SEND_BODY:
            return ConnectionPhase.UNWANTED
        return ConnectionPhase.HEAD if self.conn.trailing_data[0] else ConnectionPhase.IDLE

    def waited(self, now: float) -> float:
        """Return the seconds for which the connection has been waiting for the same thing, seen from the last call."""
        seen = (self.phase, self.cycle)
        if seen != self._seen:
            if seen[0] is not ConnectionPhase.UNREAD:
                self._since = now
            self._seen = seen
        return now - self._since

    def is_closable(self, now: float) -> bool:
        """Return whether it has no request in work, and has had the time to send one."""
        return self.waited(now) > _GRACE_SECONDS and self.phase in _CLOSABLE

    def expire(self, now: float) -> None:
        """End the connection if its client has kept it waiting for too long."""
        waited, limits = self.waited(now), self._limits
        match self.phase:
            case ConnectionPhase.IDLE if waited > limits.idle_seconds:
                self.timeout_keep_alive_handler()
            case ConnectionPhase.HEAD if waited > limits.head_seconds:
                self._refuse(
                    408, "REQUEST_TIMEOUT", f"The head of the request did not come within {limits.head_seconds:g} s."
                )
            case ConnectionPhase.UNREAD if waited > limits.unread_seconds:
                _LOG.warning("an answer was not read for %g s, so its connection was closed", limits.unread_seconds)
                self.drop()
            case ConnectionPhase.UNWANTED | ConnectionPhase.CLOSING if waited > limits.closing_seconds:
                self.drop()
            case _:
                pass

    def drop(self) -> None:
        """Close the connection now, whatever is still to be sent."""
        self.connections.discard(self)
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        if len(self.conn.trailing_data[0]) > HEAD_BYTES:
            self._refuse(431, "HEAD_TOO_LARGE", "The head of the request is too long.")
        else:
            self._refuse(400, "INVALID_HTTP", msg)

    def _refuse(self, status: int, code: str, message: str, *, retry_after: int | None = None) -> None:
        """Answer without the application, and close the connection."""
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self.drop()  # an answer is on its way already; nothing can follow it
            return
        body = msgspec.json.encode({"code": code, "message": message, "details": {}})
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Connection", "close")]
        headers += [] if retry_after is None else [("Retry-After", str(retry_after))]
        response = h11.Response(status_code=status, headers=headers, reason=STATUS_PHRASES[status])
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def protocol(limits: ConnectionLimits) -> Any:
    """Return what makes a protocol with these limits for each connection, as uvicorn's configuration takes it."""
    return partial(LimitedProtocol, limits=limits, room=IdleConnections())


def allowed_limits(wanted: ConnectionLimits) -> ConnectionLimits:
    """Return limits with no more connections than this process may have, for each one is an open file."""
    if sys.platform == "win32":
        return wanted
    import resource  # not on Windows

    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files == resource.RLIM_INFINITY:
        return wanted
    return msgspec.structs.replace(wanted, connections=min(wanted.connections, max(_FEWEST, int(files * _SPARE_FILES))))
