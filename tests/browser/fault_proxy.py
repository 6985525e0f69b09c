"""Stands before the local service and sees every request; a test can change the answers, refuse, or let them wait."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Edit = Callable[[Any], Any]


class Seen(NamedTuple):
    """A request: when it came (`time.monotonic`), and what it was."""

    at: float
    method: str
    path: str
    query: str
    key: str


class FaultProxy:
    """An ASGI application around the service that `wrap` is given.

    Attributes
    ----------
    seen
        Every request so far.
    edits
        What to make of the answer to a request, by ``METHOD /path``: it gets the decoded body and returns another one,
        decoded or as bytes.
    answer
        Returns what to answer in the service's place, or None.
    """

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.edits: dict[str, Edit] = {}
        self.answer: Callable[[Seen], Response | None] = lambda _: None
        self._gate = threading.Event()
        self._gate.set()
        self._app: ASGIApp | None = None

    def wrap(self, app: ASGIApp) -> ASGIApp:
        """Stand before the service from now on."""
        self._app = app
        return self

    def refuse(self, status: int, text: str, *, key: str | None = None, method: str | None = None) -> None:
        """Answer with an error from now on: everything, or what comes with a key, or by a method."""

        def answer(seen: Seen) -> Response | None:
            meant = key in (None, seen.key) and method in (None, seen.method)
            return JSONResponse({"error": text}, status_code=status) if meant else None

        self.answer = answer

    def hold(self) -> None:
        """Leave everything unanswered until `relent`."""
        self._gate.clear()

    def relent(self) -> None:
        """Let everything through again."""
        self.answer = lambda _: None
        self._gate.set()

    def listings(self) -> list[Seen]:
        """Return the GET requests so far."""
        return [seen for seen in list(self.seen) if seen.method == "GET" and seen.path.startswith("/v1/")]

    def quiet_for(self) -> float:
        """Return the seconds since the last GET request."""
        found = self.listings()
        return time.monotonic() - found[-1].at if found else float("inf")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        assert self._app is not None
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        key = request.headers.get("authorization", "").partition(" ")[2]
        seen = Seen(time.monotonic(), request.method, request.url.path, request.url.query, key)
        self.seen.append(seen)
        if not self._gate.is_set():
            await asyncio.to_thread(self._gate.wait)
        own = self.answer(seen)
        edit = self.edits.get(f"{seen.method} {seen.path}")
        if own is not None:
            await own(scope, receive, send)
        elif edit is not None:
            await self._edited(edit, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _edited(self, edit: Edit, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._app is not None
        parts: list[bytes] = []
        status = 500

        async def collect(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                parts.append(message.get("body", b""))

        # An answer that was edited must not be taken for the one that the service knows.
        plain = [
            (name, value) for name, value in scope["headers"] if name not in (b"if-none-match", b"accept-encoding")
        ]
        await self._app({**scope, "headers": plain}, receive, collect)
        changed = edit(json.loads(b"".join(parts)))
        body = changed if isinstance(changed, bytes) else json.dumps(changed).encode()
        await Response(body, status, media_type="application/json")(scope, receive, send)
