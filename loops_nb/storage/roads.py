"""How to reach a server: directly or through the environment's proxy, in the clear or over TLS."""

from __future__ import annotations

import base64
import os
import socket
import ssl
from collections.abc import Callable

from loops_nb.config.network import Proxy, certificate_hint, proxy_for, ssl_context
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
    proxy = proxy_for(place.scheme, place.host, place.port)
    if proxy is None:
        sock = _socket(place.host, place.port, silence, hold)
        return _ready(sock, place, silence, hold)
    if proxy.scheme != "http":
        said = f"files are read through http proxies only, and {proxy.variable} names {proxy.shown}"
        raise StorageFault(f"{said}. {proxy.way_out(place.host)}".rstrip("."), Kind.UNFIT)
    sock = _socket_to_proxy(proxy, place, silence, hold)
    extra = _authorization(proxy)
    if place.scheme == "http":
        return Connection(sock, place, prefix=f"http://{place.netloc}", extra=extra, silence=silence)
    _tunnel(sock, place, proxy, extra)
    return _ready(sock, place, silence, hold)


def in_words(error: OSError) -> str:  # noqa: PLR0911 - one for each fault
    """Return what broke a connection, as the middle of a sentence."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of the server is not trusted. {certificate_hint(str(error))}".rstrip(".")
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


def _socket_to_proxy(proxy: Proxy, place: Place, silence: float, hold: Callable[[socket.socket], None]) -> socket.socket:
    try:
        return _socket(proxy.host, proxy.port, silence, hold)
    except OSError as error:
        said = _of_proxy(proxy, place, f"cannot be reached ({in_words(error)})")
    # Raised here, where no other error is being handled: nothing stands in its context.
    raise StorageFault(said, Kind.UNFIT)


def _ready(sock: socket.socket, place: Place, silence: float, hold: Callable[[socket.socket], None]) -> Connection:
    if place.scheme == "http":
        return Connection(sock, place, silence=silence)
    return Connection(_secured(sock, place, silence, hold), place)


def _secured(sock: socket.socket, place: Place, silence: float, hold: Callable[[socket.socket], None]) -> socket.socket:
    sock.settimeout(min(CONNECT_SECONDS, silence))
    try:
        secured = ssl_context().wrap_socket(sock, server_hostname=place.host, do_handshake_on_connect=False)
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


def _tunnel(sock: socket.socket, place: Place, proxy: Proxy, extra: str) -> None:
    host = f"[{place.host}]" if ":" in place.host else place.host
    asking = Connection(sock, place)
    try:
        head = asking.ask(f"CONNECT {host}:{place.port} HTTP/1.1\r\nHost: {host}:{place.port}\r\n{extra}\r\n".encode("latin-1"))
    except BaseException:
        sock.close()
        raise
    if not 200 <= head.status < 300 or not asking.usable:  # noqa: PLR2004 - HTTP statuses are their own names
        sock.close()
        raise StorageFault(_of_proxy(proxy, place, f"answered {head.status}"), Kind.UNFIT, status=head.status)


def _of_proxy(proxy: Proxy, place: Place, what: str) -> str:
    return f"the proxy {proxy.shown}, which {proxy.variable} names, {what}. {proxy.way_out(place.host)}".rstrip(".")


def _authorization(proxy: Proxy) -> str:
    if not proxy.username and not proxy.password:
        return ""
    pair = f"{proxy.username}:{proxy.password}"
    return f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode('ascii')}\r\n"
