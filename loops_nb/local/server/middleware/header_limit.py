"""Limit of the number and size of request headers."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from loops_nb.local.http_errors import HTTPError
from loops_nb.local.server.connections import HEAD_BYTES

MOST_HEADERS = 100


class HeadLimit:
    """Answer 431 to too many headers, or to too long ones."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it here."""
        if scope["type"] == "http":
            headers = scope["headers"]
            if len(headers) > MOST_HEADERS or sum(len(name) + len(value) for name, value in headers) > HEAD_BYTES:
                text = f"The request has more than {MOST_HEADERS} headers, or more than {HEAD_BYTES} bytes of them."
                await HTTPError(431, "HEAD_TOO_LARGE", text, headers={"Connection": "close"}).response()(
                    scope, receive, send
                )
                return
        await self._app(scope, receive, send)
