"""How to reach a server: directly or through the environment's proxy, in the clear or over TLS."""

from __future__ import annotations

import base64
import os
import socket
import ssl
import urllib.request
from collections.abc import Callable
from urllib.parse import SplitResult, unquote, urlsplit

from loops_nb.config.loopback import is_loopback
from loops_nb.storage.connections import Connection
from loops_nb.storage.faults import Kind, StorageFault
from loops_nb.storage.places import Place

#: A server that does not take a connection in this time is not there.
CONNECT_SECONDS = 10.0


def connected(place: Place, *, silence: float, hold: Callable[[socket.socket], None]) -> Connection:
    """Open a connection.

    Parameters
    ----------
    place
        The server.
    silence
        Seconds without a byte after which a read fails.
    hold
        Called with the socket before it is waited for, so that another thread can end that.

    Raises
    ------
    StorageFault
        If there is no way to it.
    OSError
        If it cannot be reached.
    """
    proxy = _proxy(place)
    if proxy is None:
        sock = _socket(place.host, place.port, silence, hold)
        return _ready(sock, place, silence, hold)
    if proxy.scheme not in {"", "http"} or not proxy.hostname:
        raise StorageFault("only http proxies can be used, and the environment names another one", Kind.UNFIT)
    sock = _socket(proxy.hostname, proxy.port or 80, silence, hold)
    extra = _authorization(proxy)
    if place.scheme == "http":
        return Connection(sock, place, prefix=f"http://{place.netloc}", extra=extra, silence=silence)
    _tunnel(sock, place, extra)
    return _ready(sock, place, silence, hold)


def in_words(error: OSError) -> str:  # noqa: PLR0911 - one for each fault
    """Return what broke a connection, as the middle of a sentence."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "the certificate of the server is not trusted; behind a company proxy, set SSL_CERT_FILE to its certificate"
    if isinstance(error, ssl.SSLError):
        return "the secure connection broke"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "the connection was reset"
    if isinstance(error, TimeoutError):
        return "no byte came for too long"
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens at its address"
    if isinstance(error, socket.gaierror):
        return "its host name is not known here"
    return f"the connection broke ({os.strerror(error.errno)})" if error.errno else "the connection broke"


def _proxy(place: Place) -> SplitResult | None:
    # A proxy must not see what is meant for this machine.
    if is_loopback(place.host) or urllib.request.proxy_bypass(place.host):
        return None
    known = urllib.request.getproxies()
    named = known.get(place.scheme) or known.get("all")
    if not named:
        return None
    return urlsplit(named if "://" in named else f"http://{named}")


def _socket(host: str, port: int, silence: float, hold: Callable[[socket.socket], None]) -> socket.socket:
    failed: OSError | None = None
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(min(CONNECT_SECONDS, silence))
            hold(sock)
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(silence)
        except OSError as error:
            sock.close()
            failed = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failed or OSError("its host name has no address")


def _ready(sock: socket.socket, place: Place, silence: float, hold: Callable[[socket.socket], None]) -> Connection:
    if place.scheme == "http":
        return Connection(sock, place, silence=silence)
    return Connection(_secured(sock, place, silence, hold), place)


def _secured(sock: socket.socket, place: Place, silence: float, hold: Callable[[socket.socket], None]) -> socket.socket:
    # The client's one context: loading the certificates a second time costs more than most requests.
    from loops_nb.client.exchange import shared_ssl_context  # noqa: PLC0415 - brings httpx in

    sock.settimeout(min(CONNECT_SECONDS, silence))
    try:
        secured = shared_ssl_context().wrap_socket(sock, server_hostname=place.host, do_handshake_on_connect=False)
    except BaseException:
        sock.close()
        raise
    try:
        hold(secured)
        secured.do_handshake()
    except BaseException:
        secured.close()
        raise
    secured.settimeout(silence)
    return secured


def _tunnel(sock: socket.socket, place: Place, extra: str) -> None:
    host = f"[{place.host}]" if ":" in place.host else place.host
    asking = Connection(sock, place)
    try:
        head = asking.ask(f"CONNECT {host}:{place.port} HTTP/1.1\r\nHost: {host}:{place.port}\r\n{extra}\r\n".encode("latin-1"))
    except BaseException:
        sock.close()
        raise
    if not 200 <= head.status < 300 or not asking.usable:  # noqa: PLR2004 - HTTP statuses are their own names
        sock.close()
        raise StorageFault(f"the proxy answered {head.status}", Kind.BUSY if head.status >= 500 else Kind.UNFIT)  # noqa: PLR2004


def _authorization(proxy: SplitResult) -> str:
    if proxy.username is None:
        return ""
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode('ascii')}\r\n"
