"""Bodies have a limit, whatever ``Content-Length`` says."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from loops_nb.local.problems import Problem


class BodyLimit:
    """Answer 413 to a body that is too long.

    Parameters
    ----------
    limit
        Most bytes.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdecimal() and int(announced) > self._limit:
            await self._problem().response()(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise self._problem()
            return message

        await self._app(scope, counted, send)

    def _problem(self) -> Problem:
        text = f"The request body is longer than {self._limit} bytes."
        return Problem(413, "BODY_TOO_LARGE", text, details={"limit_bytes": self._limit}, headers={"Connection": "close"})
