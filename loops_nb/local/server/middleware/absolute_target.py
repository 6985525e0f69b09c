"""Absolute-form request targets (``GET http://127.0.0.1:8787/v1/... HTTP/1.1``), as clients send them to a proxy."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send


class AbsoluteTarget:
    """Turn an absolute target into a path and let its host overrule the ``Host`` header, as HTTP says."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it here."""
        if scope["type"] == "http" and not scope["path"].startswith("/"):
            scope = _with_path(scope)
        await self._app(scope, receive, send)


def _with_path(scope: Scope) -> Scope:
    raw = bytes(scope.get("raw_path") or scope["path"].encode("utf-8", "replace")).decode("latin-1")
    try:
        parts = urlsplit(raw)
    except ValueError:
        # An empty host passes no host check.
        parts = urlsplit("http:///")
    host = parts.netloc.rpartition("@")[2] if parts.scheme in {"http", "https"} else ""
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    path = parts.path or "/"
    return {
        **scope,
        "path": unquote(path),
        "raw_path": path.encode("latin-1"),
        "headers": [(b"host", host.encode("latin-1")), *headers],
    }
