"""Restrict a process to loopback: connecting, sending or resolving elsewhere is refused and recorded.

An audit hook sees every socket of Python's own, whichever library it is in, and cannot be taken out again.
"""

from __future__ import annotations

import ipaddress
import sys

#: What was tried and refused, for the test that asks.
refused: list[str] = []

_HOST_AT = {"socket.connect": 1, "socket.sendto": 1, "socket.getaddrinfo": 0, "socket.gethostbyname": 0}


class NotThisMachineError(OSError):
    """A connection to another machine was refused."""


def guard() -> None:
    """Put the hook in; once a process is enough."""
    sys.addaudithook(_watch)


def is_here(target: object) -> bool:
    """Tell whether an address of a socket, or a host's name, is on this machine."""
    # A path or bytes is a socket of the file system.
    host = target[0] if isinstance(target, tuple) else target
    if host is None or isinstance(host, bytes) or (isinstance(host, str) and host.startswith("/")):
        return True
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return host == "localhost"


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    at = _HOST_AT.get(event)
    if at is None or is_here(arguments[at]):
        return
    line = f"{event} {arguments[at]!r}"
    refused.append(line)
    raise NotThisMachineError(f"not on this machine: {line}")
