"""Host header check against DNS rebinding: only names of this machine are answered."""

from __future__ import annotations

import ipaddress
import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from loops_nb.local.http_errors import HTTPError

# The URLs in the answers are made of it, so it must not hold what has a meaning in a URL.
_HOST = re.compile(r"(?:\[(?P<address>[0-9a-f.]*:[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::[0-9]{1,5})?")


class HostCheck:
    """Let pass what calls the service by a loopback address, ``localhost`` or ``*.localhost``.

    Parameters
    ----------
    listens_on : str
        The address that the service listens on.  Beyond loopback, that name and any plain IP address pass too:
        rebinding needs a name.
    """

    def __init__(self, app: ASGIApp, listens_on: str) -> None:
        self._app = app
        self._listens_on = listens_on.lower()
        self._any_address = not is_local_name(self._listens_on)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it here."""
        if scope["type"] == "http":
            hosts = [value for name, value in Headers(scope=scope).items() if name == "host"]
            if len(hosts) != 1 or not self._passes(host_name(hosts[0])):
                text = (
                    "The local service answers only to loopback addresses, localhost and *.localhost; this Host "
                    "header names another one."
                )
                await HTTPError(403, "HOST_NOT_ALLOWED", text).response()(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _passes(self, name: str) -> bool:
        if is_local_name(name):
            return True
        return self._any_address and (name == self._listens_on or _address(name) is not None)


def host_name(header: str) -> str:
    """Return the name in a ``Host`` header, without the port and in lower case; empty when it is not one."""
    found = _HOST.fullmatch(header.strip().lower())
    return (found["address"] or found["name"]) if found else ""


def is_local_name(name: str) -> bool:
    """Return whether a name can only mean this machine."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _address(name)
    return address is not None and address.is_loopback


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
