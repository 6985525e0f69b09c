"""Connection pools over httpx: they follow the proxy settings and limit the time and size of answers.

httpx's transports are used without its clients: those parse redirects and cookies themselves, and raise on hostile
ones.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
import weakref
import zlib
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpcore
import httpx

from loops_nb.client.time_limit import TimeLimit
from loops_nb.config.fork_safety import ForkAware, keep_inherited, reset_on_fork
from loops_nb.config.network import Proxy, fingerprint, proxy_for, ssl_context

#: The time limit of the answer that this thread or task waits for.
_time_limit: ContextVar[TimeLimit | None] = ContextVar("_time_limit", default=None)
#: A listing of a million checkpoints has 0.4 GB.
MAX_BODY_BYTES = 2 * 1024**3
#: JSON is compressed to about a twentieth; a larger ratio is an attack (a "zip bomb").
_MAX_RATIO = 200
_RATIO_APPLIES_ABOVE = 64 * 1024**2
_COMPRESSED = frozenset({"gzip", "x-gzip", "deflate"})
_LIMITS: dict[str, Any] = {"max_connections": 32, "max_keepalive_connections": 8, "keepalive_expiry": 60.0}


class Reply(NamedTuple):
    """An answer as it came, whatever its status; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class AnswerTooSlow(httpx.ReadTimeout):
    """An answer had begun and arrived too slowly; raised by the streams, passed on by httpcore and httpx."""

    def __init__(self) -> None:
        super().__init__("the answer came too slowly")


class AnswerTooLarge(Exception):  # noqa: N818 - not an error of the tree: it never leaves the transport
    """The body of an answer is too large."""


class Body:
    """Collects and decompresses the body of an answer, up to a limit.

    Parameters
    ----------
    headers : dict of str
        Headers of the answer, names in lower case.
    """

    def __init__(self, headers: dict[str, str]) -> None:
        coding = headers.get("content-encoding", "").strip().lower()
        if coding not in {"", "identity"} and coding not in _COMPRESSED:
            raise httpx.RemoteProtocolError("the answer has a content-encoding that was not requested")
        # This number makes zlib detect gzip and zlib itself.
        self._decompressor = zlib.decompressobj(zlib.MAX_WBITS | 32) if coding in _COMPRESSED else None
        self._chunks: list[bytes] = []
        self._size = self._received = 0

    def add(self, chunk: bytes) -> None:
        """Add a chunk.

        Raises
        ------
        AnswerTooLarge
            If the body is too large.
        httpx.RemoteProtocolError
            If it cannot be decompressed.
        """
        self._received += len(chunk)
        if self._decompressor is None:
            self._keep(chunk)
            return
        while chunk:
            try:
                decompressed = self._decompressor.decompress(chunk, _RATIO_APPLIES_ABOVE)
            except zlib.error:
                raise httpx.RemoteProtocolError("the answer cannot be decompressed") from None
            self._keep(decompressed)
            if self._size > _RATIO_APPLIES_ABOVE and self._size > _MAX_RATIO * self._received:
                raise AnswerTooLarge
            chunk = self._decompressor.unconsumed_tail

    def end(self) -> bytes:
        """Return the whole body.

        Raises
        ------
        httpx.RemoteProtocolError
            If a compressed body was cut off.
        """
        if self._decompressor is not None and self._received and not self._decompressor.eof:
            raise httpx.RemoteProtocolError("the compressed answer is incomplete")
        return b"".join(self._chunks)

    def _keep(self, data: bytes) -> None:
        self._chunks.append(data)
        self._size += len(data)
        if self._size > MAX_BODY_BYTES:
            raise AnswerTooLarge


def headers_of(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers of an answer: names in lower case, repeated ones joined by commas."""
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def proxy_of(url: str) -> Proxy | None:
    """Return the proxy for an address, if any; errors as in `PooledTransport`."""
    parts = urlsplit(url)
    return proxy_for(parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))


def _options(url: str) -> dict[str, Any]:
    proxy = proxy_of(url)
    options: dict[str, Any] = {"ssl_context": ssl_context() if url.startswith("https") else _no_https()}
    if proxy is not None:
        # No standard defines the encoding of the name and the password.
        auth = (proxy.username.encode(), proxy.password.encode()) if proxy.username or proxy.password else None
        options["proxy"] = httpcore.Proxy(
            proxy.shown, auth=auth, ssl_context=ssl_context() if proxy.scheme == "https" else None
        )
    return options


@cache
def _no_https() -> ssl.SSLContext:
    # For plain http to this machine: without certificates any https would fail closed.
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class _Timer:
    """Limits one read by the time limit of the current answer."""

    def __init__(self, timeout: float | None) -> None:
        self._time_limit = _time_limit.get()
        self._started = time.monotonic()
        self.timeout = timeout
        if self._time_limit is not None:
            # Not 0: that would be a non-blocking read, with another error.
            left = max(self._time_limit.left, 0.001)
            self.timeout = left if timeout is None else min(timeout, left)

    def record(self, data: bytes) -> bytes:
        """Count the bytes of a read."""
        if self._time_limit is not None:
            self._time_limit.spend(time.monotonic() - self._started, len(data))
            if data and self._time_limit.left <= 0:
                raise AnswerTooSlow
        return data

    def timeout_error(self, error: httpcore.ReadTimeout) -> httpcore.ReadTimeout | AnswerTooSlow:
        """Return the error for a read that timed out."""
        return AnswerTooSlow() if self._time_limit is not None and self._time_limit.begun else error


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        timer = _Timer(timeout)
        try:
            return timer.record(self._stream.read(max_bytes, timer.timeout))
        except httpcore.ReadTimeout as error:
            raise timer.timeout_error(error) from None

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> _Stream:
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
            return timer.record(await self._stream.read(max_bytes, timer.timeout))
        except httpcore.ReadTimeout as error:
            raise timer.timeout_error(error) from None

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


@dataclass
class Usage:
    """How many exchanges use a transport, and whether it is to be closed when the last of them has ended.

    httpcore forgets a connection that is still being opened when its pool is closed, and its socket stays open.
    """

    exchanges: int = 0
    is_ending: bool = False

    def end(self) -> bool:
        """Note that the transport is not needed any more; return whether it can be closed now."""
        self.is_ending = True
        return not self.exchanges

    def leave(self) -> bool:
        """Note the end of an exchange; return whether the transport can be closed now."""
        self.exchanges -= 1
        return self.is_ending and not self.exchanges


class PooledTransport(httpx.HTTPTransport):
    """httpx's transport with a connection pool whose reads are limited, through the environment's proxy.

    Parameters
    ----------
    url : str
        Root of the API.

    Raises
    ------
    ConfigError
        If the environment names a proxy or certificates that cannot be used.
    """

    def __init__(self, url: str) -> None:
        options = _options(url)
        super().__init__(verify=options["ssl_context"], trust_env=False)
        # httpx has no parameter for the network backend, so its pool, which holds no connection yet, is replaced.
        self._pool = httpcore.ConnectionPool(network_backend=_Backend(), **options, **_LIMITS)
        self.usage = Usage()


class AsyncPooledTransport(httpx.AsyncHTTPTransport):
    """The same as `PooledTransport` for the running event loop."""

    def __init__(self, url: str) -> None:
        options = _options(url)
        super().__init__(verify=options["ssl_context"], trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(network_backend=_AsyncBackend(), **options, **_LIMITS)
        self.usage = Usage()


class ConnectionPool(ForkAware):
    """Connections of one client, opened at the first request; safe to use from several threads.

    A change of the proxy or certificate variables opens new ones.

    Parameters
    ----------
    url : str
        Root of the API.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._transport: PooledTransport | None = None
        self._fingerprint = 0
        reset_on_fork(self)

    def exchange(self, request: httpx.Request, time_limit: TimeLimit) -> Reply:
        """Send a request and read the whole answer."""
        transport = self._enter()
        token = _time_limit.set(time_limit)
        try:
            response = transport.handle_request(request)
            try:
                headers = headers_of(response.headers.raw)
                body = Body(headers)
                for chunk in response.iter_raw():
                    body.add(chunk)
            finally:
                response.close()
        finally:
            _time_limit.reset(token)
            self._leave(transport)
        return Reply(response.status_code, headers, body.end())

    def close(self) -> None:
        """Close the connections, those in use when their answer has come; the next request opens new ones."""
        with self._lock:
            transport, self._transport = self._transport, None
            is_closed = transport is not None and transport.usage.end()
        if transport is not None and is_closed:
            transport.close()

    def after_fork_in_child(self) -> None:
        """Leave the connections to the parent process."""
        self._lock = threading.Lock()
        if self._transport is not None:
            keep_inherited(self._transport)
        self._transport = None

    def _enter(self) -> PooledTransport:
        wanted = fingerprint()
        with self._lock:
            former = self._transport
            if former is not None and self._fingerprint == wanted:
                former.usage.exchanges += 1
                return former
            opened = PooledTransport(self._url)
            opened.usage.exchanges += 1
            # A notebook that never calls close() must not collect open sockets.
            weakref.finalize(self, opened.close)
            self._transport, self._fingerprint = opened, wanted
            is_replaced = former is not None and former.usage.end()
        if former is not None and is_replaced:
            former.close()
        return opened

    def _leave(self, transport: PooledTransport) -> None:
        with self._lock:
            is_last = transport.usage.leave()
        if is_last:
            transport.close()


class AsyncConnectionPool:
    """The same as `ConnectionPool` for coroutines; in another event loop it opens new connections."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._transport: AsyncPooledTransport | None = None
        #: The event loop and the network settings that it was opened for.
        self._opened_for: tuple[asyncio.AbstractEventLoop | None, int] = (None, 0)

    async def exchange(self, request: httpx.Request, time_limit: TimeLimit) -> Reply:
        """Send a request and read the whole answer."""
        transport = await self._enter()
        token = _time_limit.set(time_limit)
        try:
            response = await transport.handle_async_request(request)
            try:
                headers = headers_of(response.headers.raw)
                body = Body(headers)
                async for chunk in response.aiter_raw():
                    body.add(chunk)
            finally:
                await response.aclose()
        finally:
            _time_limit.reset(token)
            if transport.usage.leave():
                await transport.aclose()
        return Reply(response.status_code, headers, body.end())

    async def close(self) -> None:
        """Close the connections, those in use when their answer has come; the next request opens new ones."""
        transport, self._transport = self._transport, None
        if transport is not None and transport.usage.end():
            await transport.aclose()

    async def _enter(self) -> AsyncPooledTransport:
        wanted = (asyncio.get_running_loop(), fingerprint())
        former = self._transport
        if former is not None and self._opened_for == wanted:
            former.usage.exchanges += 1
            return former
        opened = AsyncPooledTransport(self._url)
        opened.usage.exchanges += 1
        # Sockets belong to the loop that opened them; those of an ended loop (asyncio.run twice) are of no use.
        is_replaced = former is not None and self._opened_for[0] is wanted[0] and former.usage.end()
        self._transport, self._opened_for = opened, wanted
        if former is not None and is_replaced:
            await former.aclose()
        return opened
