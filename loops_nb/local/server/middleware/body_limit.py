"""Limits of request bodies: the size of each, the sum of all that are held, and the time that they take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from loops_nb.local.http_errors import HTTPError

_DATA_PLANE = ("/trainers/", "/samplers/")
#: A body that comes on has a second more for each so many bytes: much less than any network carries.
_BYTES_A_SECOND = 32 << 10
#: Such bodies are always taken, so that polls, saves and ends get through when large ones have taken all the room.
_SMALL = 64 << 10


class BodyLimit:
    """Answer 413 to a body that is too long, 503 to one for which there is no room now, 408 to one that does not come.

    Parameters
    ----------
    app : ASGIApp
        What is behind.
    limit, data_limit : int
        Most bytes, and those for the data plane.
    total : int
        Most bytes of all bodies that are held at one time.
    seconds : float
        How long a body may take; longer by a second for each 32 KiB that have come.
    waiting : callable, optional
        Tells the bytes of those bodies that were accepted and still wait to be worked on.
    """

    def __init__(
        self,
        app: ASGIApp,
        limit: int,
        data_limit: int,
        *,
        total: int,
        seconds: float,
        waiting: Callable[[], int] = lambda: 0,
    ) -> None:
        self._app = app
        self._limit = limit
        self._data_limit = data_limit
        self._total = total
        self._seconds = seconds
        self._waiting = waiting
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._data_limit if scope["path"].startswith(_DATA_PLANE) else self._limit
        body = _Body(self, receive, limit)
        headers = Headers(scope=scope)
        announced = headers.get("content-length", "0")
        try:
            # Before the first byte of it is read.
            body.expect(int(announced) if announced.isdecimal() else 0)
            # Without either header there is none.
            has_body = announced != "0" or "transfer-encoding" in headers
            await self._app(scope, body.receive if has_body else receive, send)
        except HTTPError as problem:
            await problem.response()(scope, receive, send)
        except ClientDisconnect:
            pass  # no client is left to answer; what was not read completely was not begun
        finally:
            self._held -= body.held

    def take(self, size: int) -> None:
        """Hold so many bytes more.

        Raises
        ------
        HTTPError
            503, if there is no room for them.
        """
        if size > _SMALL and self._held + size + self._waiting() > self._total:
            text = (
                "The bodies of other requests take all the room that there is for bodies; send this one again in a "
                "moment."
            )
            raise HTTPError(
                503, "TOO_MANY_BODIES", text, details={"limit_bytes": self._total}, headers={"Retry-After": "1"}
            )
        self._held += size

    @property
    def seconds(self) -> float:
        """How long a body may take to begin with."""
        return self._seconds


class _Body:
    """The body of one request."""

    def __init__(self, limits: BodyLimit, receive: Receive, limit: int) -> None:
        self._limits = limits
        self._receive = receive
        self._limit = limit
        self._received = 0
        self._until: float | None = None
        self._complete = False
        self.held = 0

    def expect(self, size: int) -> None:
        """Check a size and make room for it."""
        if size > self._limit:
            text = f"The request body is longer than {self._limit} bytes."
            raise HTTPError(413, "BODY_TOO_LARGE", text, details={"limit_bytes": self._limit})
        if size > self.held:
            # What comes in pieces of unknown number is counted in larger steps, so that a large body is seen to be one.
            more = max(size, min(self._limit, 2 * self.held)) - self.held
            self._limits.take(more)
            self.held += more

    async def receive(self) -> Message:
        """Return the next piece of it."""
        if self._complete:
            return await self._receive()  # nothing of it is to come: this waits for the client's end
        loop = asyncio.get_running_loop()
        if self._until is None:
            self._until = loop.time() + self._limits.seconds
        try:
            async with asyncio.timeout_at(self._until + self._received / _BYTES_A_SECOND):
                message = await self._receive()
        except TimeoutError:
            text = f"The request body did not come in time; {self._received} bytes of it came. Nothing was done."
            raise HTTPError(408, "REQUEST_TIMEOUT", text, headers={"Connection": "close"}) from None
        self._complete = not message.get("more_body", False)
        self._received += len(message.get("body", b""))
        self.expect(self._received)
        return message
