"""Authentication with the token of the service, or with any key."""

from __future__ import annotations

import hashlib
import hmac

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from loops_nb.local.http_errors import HTTPError

_SCHEMES = {"bearer", "api-key"}
_HOW = (
    "loops_nb finds the token by itself where the same user runs it; other programs send it as their API key:"
    " 'loops-nb token' prints it, and BASETEN_API_KEY hands it to the official clients."
)


class Auth:
    """Demand ``Authorization: Bearer <token>`` or ``Api-Key <token>``.

    The key itself goes no further than this: what is behind sees ``scope["key_hash"]``.

    Parameters
    ----------
    app : ASGIApp
        What is behind.
    token : str
        The token; empty to let any key pass.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        # Only a digest is kept, and the time that comparing digests takes says nothing of the token.
        self._token_digest = hashlib.sha256(token.encode()).digest() if token else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it here."""
        if scope["type"] == "http" and not _is_open(scope["path"]):
            key = _key(Headers(scope=scope).get("authorization", ""))
            digest = hashlib.sha256(key.encode("utf-8", "replace")).digest()
            if not key or not self._opens(digest):
                await self._problem(given=bool(key)).response()(scope, receive, send)
                return
            scope["key_hash"] = digest
        await self._app(scope, receive, send)

    def _opens(self, digest: bytes) -> bool:
        return not self._token_digest or hmac.compare_digest(digest, self._token_digest)

    def _problem(self, *, given: bool) -> HTTPError:
        headers = {"WWW-Authenticate": "Bearer"}
        if not self._token_digest:
            text = "No API key: send the header 'Authorization: Bearer <key>' (any key opens this local service)."
            return HTTPError(401, "UNAUTHORIZED", text, headers=headers)
        what = (
            "This key is not the token of this local service."
            if given
            else "No token: send 'Authorization: Bearer <token>'."
        )
        # By the name of the service, clients say how to get its token and not how to get a key of the hosted one.
        return HTTPError(401, "UNAUTHORIZED", f"{what} {_HOW}", details={"service": "loops_nb.local"}, headers=headers)


def _is_open(path: str) -> bool:
    # What is below /files is opened by the signature in its URL.
    return path in {"/", "/health"} or path.startswith("/files/")


def _key(header: str) -> str:
    scheme, _, key = header.strip().partition(" ")
    return key.strip() if scheme.lower() in _SCHEMES else ""
