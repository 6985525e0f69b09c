"""Connections to file servers: urllib3 pools, direct or through a proxy, with deadlines and bounded response heads.

urllib3 never sees a presigned URL: it is asked for ``/``, and the connection classes here put the real target on the
wire.  So no log record, exception or representation of urllib3 can show one.
"""

from __future__ import annotations

import base64
import contextlib
import email.errors
import http.client
import io
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, cast

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, InvalidHeader

from loops_nb.checkpoints.http.errors import FaultKind, StorageFault
from loops_nb.checkpoints.http.urls import Origin, PresignedUrl
from loops_nb.client.time_limit import TimeLimit
from loops_nb.config.fork_safety import keep_inherited
from loops_nb.config.network import Proxy, certificate_hint, proxy_for, ssl_context

#: A server that does not accept a connection in this time is down.
CONNECT_SECONDS = 10.0
#: Limit of a response head, and of the framing between two reads of a chunked body.
HEAD_BYTES = 64 * 1024
#: A server that sends less than this for as long as it may be silent is given up: no usable link is slower.
MIN_BYTES_PER_SECOND = 1024
MAX_INTERIM_RESPONSES = 20
#: The socket's own timeout: a read in progress looks this often whether the time of silence is over.
_POLL_SECONDS = 0.5
_BUFFER_BYTES = io.DEFAULT_BUFFER_SIZE
#: No control characters: a header value such as an ETag may be sent back to the server.
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_BROKEN_HEAD = (
    email.errors.MissingHeaderBodySeparatorDefect,
    email.errors.FirstHeaderLineIsContinuationDefect,
    email.errors.InvalidHeaderDefect,
    email.errors.MisplacedEnvelopeHeaderDefect,
)
_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: ([0-9]{3})")


class Exchange:
    """One request while its response head is awaited: what the connection needs to know, and what it reports.

    Parameters
    ----------
    url : PresignedUrl
        What is requested.
    proxy : Proxy or None
        The proxy on the way.
    silence : float
        Seconds without a byte after which a read fails.
    watch : callable
        Called with each socket before it is waited for, so that another thread can end the wait.
    """

    __slots__ = ("is_reused", "proxy", "response", "silence", "url", "watch")

    def __init__(
        self, url: PresignedUrl, proxy: Proxy | None, silence: float, watch: Callable[[socket.socket], None]
    ) -> None:
        self.url: PresignedUrl = url
        self.proxy: Proxy | None = proxy
        self.silence: float = silence
        self.watch: Callable[[socket.socket], None] = watch
        self.response: FileResponse | None = None
        #: Whether it was sent on a connection that had carried another request before.
        self.is_reused: bool = False


_EXCHANGE: ContextVar[Exchange] = ContextVar("loops_nb_file_exchange")


class Wire(io.RawIOBase):
    """The receiving side of a socket, limited in time and, where `http.client` reads, in bytes.

    Parameters
    ----------
    sock : socket.socket
        Where the bytes come from.
    raw : io.RawIOBase
        The socket's own reader; as long as it is open, so is the socket.
    silence : float
        Seconds without a byte after which a read fails.
    """

    def __init__(self, sock: socket.socket, raw: io.RawIOBase, silence: float) -> None:
        super().__init__()
        self._sock = sock
        self._raw = raw
        self._silence = silence
        self._time_limit = TimeLimit(silence, silence, rate=MIN_BYTES_PER_SECOND)
        #: Bytes that the buffered reader may still take; a head or a trailer without end is refused.
        self.budget: int = HEAD_BYTES
        #: Nothing more is read for the buffered reader: it hands over what it holds.
        self.is_detached = False
        self.has_received: bool = False
        self.is_stopped: bool = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Read for the buffered reader, which never may meet the end of the stream."""
        if self.is_detached:
            return 0
        if self.budget <= 0:
            raise StorageFault("the server sent headers that do not end", FaultKind.PROTOCOL_ERROR)
        count = self.receive(buffer)
        if not count:
            raise StorageFault("the server closed the connection")
        self.budget -= count
        return count

    def receive(self, view: memoryview, *, is_optional: bool = False) -> int | None:
        """Receive once into a buffer.

        Parameters
        ----------
        view : memoryview
            The buffer.
        is_optional : bool, default False
            Whether to return None if nothing comes for a moment.

        Returns
        -------
        int or None
            Number of bytes; 0 at the end of the stream.

        Raises
        ------
        StorageFault
            If nothing comes for too long, too little comes, or the connection breaks.
        """
        fault: StorageFault | None = None
        count = 0
        began = time.monotonic()
        while True:
            try:
                count = self._sock.recv_into(view)
            except TimeoutError as error:
                if is_optional:
                    return None
                if time.monotonic() - began < self._silence:
                    continue
                fault = fault_of(error)
            except OSError as error:
                fault = fault_of(error)
            break
        if self.is_stopped:
            fault = StorageFault("it was stopped here", FaultKind.STOPPED)
        elif count:
            self.has_received = True
            self._time_limit.spend(time.monotonic() - began, count)
            if self._time_limit.left <= 0:
                speed = f"{MIN_BYTES_PER_SECOND // 1024} KiB/s"
                fault = StorageFault(f"it came too slowly, at less than {speed}", FaultKind.SLOW)
        if fault is not None:
            # Raised outside the except clauses: no other exception becomes its context.
            raise fault
        return count

    def stop(self) -> None:
        """End a read in progress; callable from another thread."""
        self.is_stopped = True
        shut_down(self._sock)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BufferedWire(io.BufferedReader):
    """Buffered reader that reports at its end whether unrequested bytes were left."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(wire, _BUFFER_BYTES)
        self._wire = wire
        self.has_leftover: bool = False

    def take_buffered(self) -> bytes:
        """Return what is buffered, without reading from the socket."""
        self._wire.is_detached = True
        return self.read1(_BUFFER_BYTES)

    def close(self) -> None:
        if not self.closed:
            self.has_leftover = bool(self.take_buffered())
        super().close()


class FileResponse(http.client.HTTPResponse):
    """Response of `http.client` that reads through a `Wire` and refuses malformed heads."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        exchange = _EXCHANGE.get()
        self.wire: Wire = Wire(sock, self.fp.detach(), exchange.silence)
        self.reader: _BufferedWire = _BufferedWire(self.wire)
        self.fp: io.BufferedReader = self.reader
        exchange.response = self

    def begin(self) -> None:
        """Read the head of the final response.

        Raises
        ------
        StorageFault
            If the head is malformed or too long, or the connection breaks.
        """
        super().begin()
        for _ in range(MAX_INTERIM_RESPONSES):
            if self.status >= 200:  # noqa: PLR2004 - HTTP statuses are their own names
                break
            self.headers: http.client.HTTPMessage = cast("http.client.HTTPMessage", None)
            super().begin()
        else:
            raise StorageFault("the server sent no final answer", FaultKind.PROTOCOL_ERROR)
        is_broken = any(isinstance(defect, _BROKEN_HEAD) for defect in self.msg.defects)
        if is_broken or not all(_HEADER_VALUE.fullmatch(str(value)) for value in self.msg.values()):
            raise StorageFault("the server sent headers that cannot be read", FaultKind.PROTOCOL_ERROR)


class FileConnection(HTTPConnection):
    """urllib3 connection that sends the target of the current `Exchange` and can be interrupted while it connects."""

    response_class: Any = FileResponse
    # `http.client.HTTPConnection.debuglevel = 1` prints requests, also if another library sets it.
    debuglevel = 0
    _has_answered = False

    def _new_conn(self) -> socket.socket:
        exchange = _EXCHANGE.get()
        self._has_answered = False
        server = exchange.proxy or exchange.url.origin
        try:
            return _open_socket(server.host, server.port, exchange)
        except OSError as error:
            fault = fault_of(error)
        if exchange.proxy is not None:
            text = _of_proxy(exchange.proxy, exchange.url.origin, f"cannot be reached ({fault.reason})")
            fault = StorageFault(text, FaultKind.UNUSABLE)
        raise fault

    def connect(self) -> None:
        exchange = _EXCHANGE.get()
        status = 0
        try:
            super().connect()
        except OSError as error:
            refused = _TUNNEL_REFUSED.match(str(error))
            if refused is None:
                raise
            status = int(refused[1])
        if status and exchange.proxy is not None:
            text = _of_proxy(exchange.proxy, exchange.url.origin, f"answered {status}")
            raise StorageFault(text, FaultKind.UNUSABLE, status=status)

    def putrequest(self, method: str, url: str, skip_host: bool = False, skip_accept_encoding: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - as in http.client
        exchange = _EXCHANGE.get()
        if self.sock is not None:
            exchange.is_reused = self._has_answered
            exchange.watch(self.sock)
        target = exchange.url.target
        if self.proxy_is_forwarding:
            target = f"http://{exchange.url.origin.netloc}{target}"
        super().putrequest(method, target, skip_host=skip_host, skip_accept_encoding=skip_accept_encoding)

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]
        response = super().getresponse()
        self._has_answered = True
        return response


class SecureFileConnection(FileConnection, HTTPSConnection):
    """The same over TLS."""

    def connect(self) -> None:
        try:
            super().connect()
        finally:
            duplicate, self._duplicate = self._duplicate, None
            if duplicate is not None:
                duplicate.close()

    _duplicate: socket.socket | None = None

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        # The handshake takes the socket over; a duplicate of its descriptor can still shut it down.
        self._duplicate = sock.dup()
        _EXCHANGE.get().watch(self._duplicate)
        return sock


class _FilePool(HTTPConnectionPool):
    ConnectionCls = FileConnection


class _SecureFilePool(HTTPSConnectionPool):
    ConnectionCls = SecureFileConnection


class Answer:
    """Head of a response, and the connection that its body comes from.

    Parameters
    ----------
    urllib3_response : urllib3.BaseHTTPResponse
        What urllib3 returned; its body was not read.
    response : FileResponse
        The response of `http.client` below it.
    """

    __slots__ = ("_buffered", "_early", "_response", "_urllib3_response", "headers", "status")

    def __init__(self, urllib3_response: urllib3.BaseHTTPResponse, response: FileResponse) -> None:
        self.status: int = urllib3_response.status
        #: Names in lower case; the values of repeated ones are joined by commas.
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in urllib3_response.headers.itermerged()}
        self._urllib3_response = urllib3_response
        self._response = response
        # What came together with the head; everything else is received straight into the caller's buffer.
        self._early = memoryview(b"" if response.chunked else response.reader.take_buffered())

    def receive(self, view: memoryview, *, is_optional: bool = False) -> int | None:
        """Receive bytes of a body without chunks; see `Wire.receive`."""
        if self._early:
            count = min(len(self._early), len(view))
            view[:count] = self._early[:count]
            self._early = self._early[count:]
            return count
        return self._response.wire.receive(view, is_optional=is_optional)

    def receive_chunked(self, view: memoryview) -> int:
        """Receive bytes of a chunked body; 0 after its last chunk.

        Raises
        ------
        StorageFault
            If the chunks are malformed, or the connection breaks before the last one.
        """
        self._response.wire.budget = HEAD_BYTES
        try:
            data = self._response.read1(len(view))
        except (http.client.HTTPException, ValueError):
            data = None
        if data is None or len(data) > len(view):
            raise StorageFault("the server sent chunks that cannot be read", FaultKind.PROTOCOL_ERROR)
        view[: len(data)] = data
        return len(data)

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._response.wire.is_stopped

    def stop(self) -> None:
        """End a read in progress; callable from another thread."""
        self._response.wire.stop()

    def release(self, *, is_complete: bool) -> None:
        """Give the connection back to its pool, or close it.

        Parameters
        ----------
        is_complete : bool
            Whether the body was read to its end.
        """
        if is_complete and not self._early and not self.is_stopped and not self._response.will_close:
            self._response.close()
            if not self._response.reader.has_leftover:
                self._urllib3_response.release_conn()
                return
        self._urllib3_response.close()


class ConnectionPools:
    """One urllib3 pool for each server of files.

    Parameters
    ----------
    connections : int
        How many idle connections are kept to each.
    silence : float
        Seconds without a byte after which a read fails.
    """

    def __init__(self, connections: int, silence: float) -> None:
        self._connections = connections
        self._silence = silence
        self._lock = threading.Lock()
        self._pools: dict[Origin, tuple[Proxy | None, HTTPConnectionPool]] = {}

    def request(self, url: PresignedUrl, headers: dict[str, str], watch: Callable[[socket.socket], None]) -> Answer:
        """Send one request and return the head of its response.

        Sent once more when a kept connection turns out to be closed: the server never read the request then.

        Parameters
        ----------
        url : PresignedUrl
            What is requested.
        headers : dict of str
            Headers of the request, without ``Host``.
        watch : callable
            See `Exchange`.

        Raises
        ------
        StorageFault
            If no response head comes.
        ConfigError
            If the environment names a proxy or certificates that cannot be used.
        """
        headers = {**headers, "Host": url.origin.netloc}
        while True:
            proxy, pool = self._pool(url.origin)
            exchange = Exchange(url, proxy, self._silence, watch)
            result = self._send(pool, exchange, headers)
            if isinstance(result, Answer):
                return result
            was_read = exchange.response is not None and exchange.response.wire.has_received
            if not exchange.is_reused or was_read or result.kind is not FaultKind.BROKEN:
                # The next attempt looks again which proxy and certificates the environment names.
                self.forget(url.origin)
                raise result

    def forget(self, origin: Origin) -> None:
        """Open new connections to a server from now on."""
        with self._lock:
            self._pools.pop(origin, None)

    def abandon(self) -> None:
        """Start over in a forked child, without touching the connections of its parent."""
        keep_inherited(self._pools)
        self._lock = threading.Lock()
        self._pools = {}

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            pools, self._pools = list(self._pools.values()), {}
        for _, pool in pools:
            pool.close()

    def _send(self, pool: HTTPConnectionPool, exchange: Exchange, headers: dict[str, str]) -> Answer | StorageFault:
        connect_seconds = min(CONNECT_SECONDS, self._silence)
        timeout = urllib3.Timeout(connect=connect_seconds, read=min(_POLL_SECONDS, self._silence))
        # With a full URL urllib3 forwards through a proxy, with a path it tunnels; neither is the real one.
        url = "/"
        if exchange.proxy is not None and exchange.url.origin.scheme == "http":
            url = f"http://{exchange.url.origin.netloc}/"
        token = _EXCHANGE.set(exchange)
        try:
            answered = pool.urlopen(
                "GET",
                url,
                headers=headers,
                redirect=False,
                retries=False,
                assert_same_host=False,
                timeout=timeout,
                preload_content=False,
                decode_content=False,
            )
        except StorageFault as fault:
            return fault
        except (HTTPError, http.client.HTTPException, OSError) as error:
            return fault_of(error)
        finally:
            _EXCHANGE.reset(token)
        if exchange.response is None:
            return StorageFault("there was no answer")
        return Answer(answered, exchange.response)

    def _pool(self, origin: Origin) -> tuple[Proxy | None, HTTPConnectionPool]:
        with self._lock:
            if origin not in self._pools:
                self._pools[origin] = self._new_pool(origin)
            return self._pools[origin]

    def _new_pool(self, origin: Origin) -> tuple[Proxy | None, HTTPConnectionPool]:
        proxy = proxy_for(origin.scheme, origin.host, origin.port)
        options: dict[str, Any] = {"maxsize": self._connections}
        if origin.scheme == "https":
            options["ssl_context"] = ssl_context()
        manager: urllib3.PoolManager
        if proxy is None:
            manager = urllib3.PoolManager(**options)
        elif proxy.scheme == "http":
            address = f"http://{Origin('http', proxy.host, proxy.port).netloc}"
            manager = urllib3.ProxyManager(address, proxy_headers=_proxy_headers(proxy), **options)
        else:
            text = f"files are read through http proxies only, and {proxy.variable} names {proxy.shown}"
            raise StorageFault(f"{text}. {proxy.hint_for(origin.host)}".rstrip("."), FaultKind.UNUSABLE)
        manager.pool_classes_by_scheme = {"http": _FilePool, "https": _SecureFilePool}
        return proxy, manager.connection_from_host(origin.host, origin.port, origin.scheme)


def shut_down(sock: socket.socket) -> None:
    """End all waits for a socket; callable from another thread."""
    with contextlib.suppress(OSError):
        # Not the method of an SSL socket, which would drop its TLS state while the other thread reads.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def fault_of(error: Exception) -> StorageFault:
    """Return what an exception of urllib3, `http.client` or the socket means; its own text may hold anything."""
    while isinstance(error, HTTPError):
        inner = next((part for part in error.args if isinstance(part, Exception)), error.__cause__)
        if not isinstance(inner, Exception):
            break
        error = inner
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = certificate_hint(str(error))
        # Not trusted now means not trusted a moment later either.
        return StorageFault(f"the certificate of the server is not trusted. {hint}".rstrip("."), FaultKind.UNUSABLE)
    for types, reason, kind in _FAULTS:
        if isinstance(error, types):
            return StorageFault(reason, kind)
    number = getattr(error, "errno", None)
    return StorageFault(f"the connection broke ({os.strerror(number)})" if number else "the connection broke")


#: The first entry that fits counts: some of these classes are derived from others.
_FAULTS: tuple[tuple[tuple[type[Exception], ...], str, FaultKind], ...] = (
    ((http.client.RemoteDisconnected,), "the server closed the connection", FaultKind.BROKEN),
    ((http.client.BadStatusLine, http.client.UnknownProtocol), "the server's answer is no HTTP", FaultKind.BROKEN),
    ((InvalidHeader,), "the server gave a length that is no number", FaultKind.PROTOCOL_ERROR),
    ((http.client.HTTPException,), "the server sent headers that do not end", FaultKind.PROTOCOL_ERROR),
    ((ssl.SSLError,), "the secure connection broke", FaultKind.BROKEN),
    ((ConnectionResetError, BrokenPipeError), "the connection was reset", FaultKind.BROKEN),
    ((TimeoutError, urllib3.exceptions.TimeoutError), "no byte came for too long", FaultKind.SILENT),
    ((ConnectionRefusedError,), "nothing listens at its address", FaultKind.BROKEN),
    ((socket.gaierror,), "its host name is not known here", FaultKind.BROKEN),
)


def _open_socket(host: str, port: int, exchange: Exchange) -> socket.socket:
    """Connect to the first address of a host that accepts; each socket is watched before it is waited for."""
    last_error = OSError("its host name has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(min(CONNECT_SECONDS, exchange.silence))
            exchange.watch(sock)
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            last_error = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise last_error


def _of_proxy(proxy: Proxy, origin: Origin, text: str) -> str:
    return f"the proxy {proxy.shown}, which {proxy.variable} names, {text}. {proxy.hint_for(origin.host)}".rstrip(".")


def _proxy_headers(proxy: Proxy) -> dict[str, str]:
    if not proxy.username and not proxy.password:
        return {}
    pair = base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode("ascii")
    return {"Proxy-Authorization": f"Basic {pair}"}
