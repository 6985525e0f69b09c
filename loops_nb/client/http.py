"""The transports of httpx with our connections: pools that follow the environment, and streams that end an answer which drips."""

from __future__ import annotations

import ssl
import time
import zlib
from collections.abc import Iterable
from contextvars import ContextVar
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx

from loops_nb.client.allowance import Allowance
from loops_nb.config.network import Proxy, proxy_for, ssl_context

#: The answer that this thread or task waits for.
AWAITED: ContextVar[Allowance | None] = ContextVar("AWAITED", default=None)
#: A listing of a million checkpoints is 0.4 GB; what is larger than this is no listing.
MOST_BODY_BYTES = 2 * 1024**3
#: JSON shrinks to a twentieth; what grows by more than this when it is unpacked is not a listing.
_MOST_GROWTH = 200
_FREE_GROWTH = 64 * 1024**2
_PACKED = frozenset({"gzip", "x-gzip", "deflate"})
_LIMITS: dict[str, Any] = {"max_connections": 32, "max_keepalive_connections": 8, "keepalive_expiry": 60.0}


class AnswerTooSlow(httpx.ReadTimeout):
    """An answer had begun, and came too slowly.  The streams raise it; httpcore and httpx pass it on as it is."""

    def __init__(self) -> None:
        super().__init__("the answer came too slowly")


class AnswerTooLarge(Exception):  # noqa: N818 - not an error of the tree: it never leaves the transport
    """An answer is larger than any listing."""


class Body:
    """Collects the body of an answer and unpacks it; ends one that is larger than any listing.

    Parameters
    ----------
    headers
        Those of the answer, in lower case.
    """

    def __init__(self, headers: dict[str, str]) -> None:
        coding = headers.get("content-encoding", "").strip().lower()
        if coding not in {"", "identity"} and coding not in _PACKED:
            raise httpx.RemoteProtocolError("the answer came in a content-encoding that was not asked for")
        # The header says gzip or zlib; the number means: see for yourself which.
        self._unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32) if coding in _PACKED else None
        self._chunks: list[bytes] = []
        self._size = self._received = 0

    def add(self, chunk: bytes) -> None:
        """Take a chunk in.

        Raises
        ------
        AnswerTooLarge
            If the body is too large by now.
        httpx.RemoteProtocolError
            If it cannot be unpacked.
        """
        self._received += len(chunk)
        if self._unpacker is None:
            self._keep(chunk)
            return
        while chunk:
            try:
                unpacked = self._unpacker.decompress(chunk, _FREE_GROWTH)
            except zlib.error:
                raise httpx.RemoteProtocolError("the answer cannot be unpacked") from None
            self._keep(unpacked)
            if self._size > _FREE_GROWTH and self._size > _MOST_GROWTH * self._received:
                raise AnswerTooLarge
            chunk = self._unpacker.unconsumed_tail

    def end(self) -> bytes:
        """Return all of it.

        Raises
        ------
        httpx.RemoteProtocolError
            If a packed one was cut.
        """
        if self._unpacker is not None and self._received and not self._unpacker.eof:
            raise httpx.RemoteProtocolError("the packed answer is incomplete")
        return b"".join(self._chunks)

    def _keep(self, data: bytes) -> None:
        self._chunks.append(data)
        self._size += len(data)
        if self._size > MOST_BODY_BYTES:
            raise AnswerTooLarge


def headers_of(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers of an answer: names in lower case, the values of repeated ones joined by commas."""
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def proxy_of(url: str) -> Proxy | None:
    """Return the proxy by way of which an address is reached, if any; errors as in `PooledTransport`."""
    parts = urlsplit(url)
    return proxy_for(parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))


def _options(url: str) -> dict[str, Any]:
    proxy = proxy_of(url)
    options: dict[str, Any] = {"ssl_context": ssl_context() if url.startswith("https") else _no_https()}
    if proxy is not None:
        # A name and a password are bytes to a proxy; which ones, no standard says.
        auth = (proxy.username.encode(), proxy.password.encode()) if proxy.username or proxy.password else None
        options["proxy"] = httpcore.Proxy(proxy.shown, auth=auth, ssl_context=ssl_context() if proxy.scheme == "https" else None)
    return options


@cache
def _no_https() -> ssl.SSLContext:
    # For plain http to this machine: no certificates are loaded, so any https would fail closed.
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class _Timer:
    """Measures one read against the allowance of the answer that is waited for."""

    def __init__(self, timeout: float | None) -> None:
        self._allowance = AWAITED.get()
        self._started = time.monotonic()
        self.timeout = timeout
        if self._allowance is not None:
            # Not 0: that would mean not to wait at all, and raise another error.
            left = max(self._allowance.left, 0.001)
            self.timeout = left if timeout is None else min(timeout, left)

    def came(self, data: bytes) -> bytes:
        """Take note of what a read brought."""
        if self._allowance is not None:
            self._allowance.spend(time.monotonic() - self._started, len(data))
            if data and self._allowance.left <= 0:
                raise AnswerTooSlow
        return data

    def too_late(self, error: httpcore.ReadTimeout) -> httpcore.ReadTimeout | AnswerTooSlow:
        """Return the error for a read that brought nothing in time."""
        return AnswerTooSlow() if self._allowance is not None and self._allowance.begun else error


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        timer = _Timer(timeout)
        try:
            return timer.came(self._stream.read(max_bytes, timer.timeout))
        except httpcore.ReadTimeout as error:
            raise timer.too_late(error) from None

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None) -> _Stream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.SyncBackend):
    def connect_tcp(self, *args: Any, **options: Any) -> _Stream:
        return _Stream(super().connect_tcp(*args, **options))


class _AsyncStream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - as its base has it
        timer = _Timer(timeout)
        try:
            return timer.came(await self._stream.read(max_bytes, timer.timeout))
        except httpcore.ReadTimeout as error:
            raise timer.too_late(error) from None

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as its base has it
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as its base has it
    ) -> _AsyncStream:
        return _AsyncStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _AsyncBackend(httpcore.AnyIOBackend):
    async def connect_tcp(self, *args: Any, **options: Any) -> _AsyncStream:
        return _AsyncStream(await super().connect_tcp(*args, **options))


class PooledTransport(httpx.HTTPTransport):
    """The transport of httpx for the service at an address, by way of the environment's proxy.

    Parameters
    ----------
    url
        The address.

    Raises
    ------
    ConfigError
        If the environment names a proxy or certificates that cannot be used.
    """

    def __init__(self, url: str) -> None:
        options = _options(url)
        super().__init__(verify=options["ssl_context"], trust_env=False)
        # httpx has no parameter for the network backend, so the pool that it made, which holds no connection yet, is replaced.
        self._pool = httpcore.ConnectionPool(network_backend=_Backend(), **options, **_LIMITS)


class AsyncPooledTransport(httpx.AsyncHTTPTransport):
    """The same as `PooledTransport` for the event loop that runs."""

    def __init__(self, url: str) -> None:
        options = _options(url)
        super().__init__(verify=options["ssl_context"], trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(network_backend=_AsyncBackend(), **options, **_LIMITS)
