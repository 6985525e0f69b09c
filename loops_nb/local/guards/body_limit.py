"""Bodies have a limit, whatever ``Content-Length`` says."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from loops_nb.local.problems import Problem

_DATA_PLANE = ("/trainers/", "/samplers/")


class BodyLimit:
    """Answer 413 to a body that is too long.

    Parameters
    ----------
    limit, data_limit
        Most bytes, and those for the data plane.
    """

    def __init__(self, app: ASGIApp, limit: int, data_limit: int) -> None:
        self._app = app
        self._limit = limit
        self._data_limit = data_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._data_limit if scope["path"].startswith(_DATA_PLANE) else self._limit
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdecimal() and int(announced) > limit:
            await _problem(limit).response()(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise _problem(limit)
            return message

        await self._app(scope, counted, send)


def _problem(limit: int) -> Problem:
    text = f"The request body is longer than {limit} bytes."
    return Problem(413, "BODY_TOO_LARGE", text, details={"limit_bytes": limit}, headers={"Connection": "close"})
