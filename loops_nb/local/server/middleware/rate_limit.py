"""Token-bucket rate limit for each key and each endpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from loops_nb.local.http_errors import json_response

_MOST_BUCKETS = 10_000


class RateLimit:
    """Answer 429 with the documented body when a key asks one endpoint too often.

    Parameters
    ----------
    per_second : int
        Requests a second, and at once after a pause; 0 switches the limit off.
    words : iterable of str
        The fixed parts of the routes' paths; every other part of a path is an id and does not make another endpoint.
    clock : callable, optional
        Gives seconds.
    """

    def __init__(
        self, app: ASGIApp, per_second: int, words: Iterable[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._per_second = per_second
        self._words = frozenset(words)
        self._clock = clock
        self._buckets: dict[tuple[bytes, str, str], tuple[float, float]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it here."""
        if self._per_second and "key_hash" in scope and scope["path"].startswith("/v1/"):
            wait = self._take(scope["key_hash"], scope["method"], scope["path"])
            if wait > 0:
                seconds = max(1, math.ceil(wait))
                body = {"error": "Rate limit exceeded. Please try again later.", "retry_after": seconds}
                await json_response(body, 429, {"Retry-After": str(seconds)})(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _take(self, key: bytes, method: str, path: str) -> float:
        now = self._clock()
        endpoint = "/".join(part if part in self._words else "*" for part in path.split("/")[:10])
        left, since = self._buckets.get((key, method, endpoint), (float(self._per_second), now))
        left = min(float(self._per_second), left + (now - since) * self._per_second)
        if left < 1:
            return (1 - left) / self._per_second
        if len(self._buckets) >= _MOST_BUCKETS:
            # Those that have filled up again say nothing.
            self._buckets = {
                name: (n, t)
                for name, (n, t) in self._buckets.items()
                if n + (now - t) * self._per_second < self._per_second
            }
        self._buckets[key, method, endpoint] = (left - 1, now)
        return 0.0
