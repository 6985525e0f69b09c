"""Any key opens the local service, and none does not: so a program that forgot its key finds out here."""

from __future__ import annotations

import hashlib

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from loops_nb.local.problems import Problem

_SCHEMES = {"bearer", "api-key"}


class Auth:
    """Demand ``Authorization: Bearer <key>`` or ``Api-Key <key>``.

    The key itself goes no further than this: what is behind sees ``scope["key_hash"]``.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it here."""
        if scope["type"] == "http" and not _is_open(scope["path"]):
            key = _key(Headers(scope=scope).get("authorization", ""))
            if not key:
                text = "No API key: send the header 'Authorization: Bearer <key>' (any key opens the local service)."
                problem = Problem(401, "UNAUTHORIZED", text, headers={"WWW-Authenticate": "Bearer"})
                await problem.response()(scope, receive, send)
                return
            scope["key_hash"] = hashlib.sha256(key.encode("utf-8", "replace")).digest()
        await self._app(scope, receive, send)


def _is_open(path: str) -> bool:
    return path in {"/", "/health"} or path.startswith("/files/")


def _key(header: str) -> str:
    scheme, _, key = header.strip().partition(" ")
    return key.strip() if scheme.lower() in _SCHEMES else ""
