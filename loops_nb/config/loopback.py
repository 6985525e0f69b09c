"""What host names are: which of them are this machine, where alone a key may go over plain http, and how they are sent."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    """Tell whether a host name is this machine by definition, without asking a name server."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def ascii_host(host: str) -> str:
    """Return a host name in the form in which name servers are asked for it.

    Raises
    ------
    ValueError
        If it cannot be one: a label of it is empty or longer than 63 characters.
    """
    return host if ":" in host else host.encode("idna").decode("ascii")
