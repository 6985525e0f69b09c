"""Where the service is: checked once, before a key can go there."""

from __future__ import annotations

import os
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from loops_nb.config.loopback import ascii_host, is_loopback
from loops_nb.errors import CredentialsError, InvalidArgumentError

HOSTED_URL = "https://api.baseten.co"
ENV_URL = "LOOPS_BASE_URL"


class Address(NamedTuple):
    """The checked root of the API.

    Parameters
    ----------
    url
        Without a trailing slash.
    source
        ``argument``, ``LOOPS_BASE_URL`` or ``default``.
    is_loopback
        Whether it is this machine.
    """

    url: str
    source: str
    is_loopback: bool


def resolve_address(argument: str | None = None) -> Address:
    """Return the address to use: the argument, ``LOOPS_BASE_URL``, then the hosted service.

    Raises
    ------
    InvalidArgumentError
        If it is no http(s) URL, or has parts that an API root cannot have.
    CredentialsError
        If it is plain http to another machine: a key would cross the network in the clear.
    """
    if argument is not None:
        return checked_address(argument, "argument", "base_url")
    if os.environ.get(ENV_URL, "").strip():
        return checked_address(os.environ[ENV_URL], ENV_URL, ENV_URL)
    return checked_address(HOSTED_URL, "default", "base_url")


def checked_address(text: str, source: str, argument: str) -> Address:
    """Check one URL; ``argument`` is its name in error texts."""
    url = text.strip().rstrip("/") if isinstance(text, str) else ""
    try:
        parts = urlsplit(url)
        host, port_is_fine = ascii_host(parts.hostname or ""), parts.port is None or parts.port > 0
    except ValueError:
        host, parts, port_is_fine = "", urlsplit(""), False
    if parts.scheme not in {"http", "https"} or not host or not port_is_fine or not url.isprintable() or " " in url:
        raise InvalidArgumentError(f"{argument} must be an address such as {HOSTED_URL} or http://127.0.0.1:8787.", argument=argument)
    if parts.username is not None or parts.password is not None:
        raise InvalidArgumentError(f"{argument} must not hold a user name or a password (it is not shown here).", argument=argument)
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise InvalidArgumentError(
            f"{argument} must not have a query (?) or a fragment (#): {parts.scheme}://{parts.netloc}", argument=argument
        )
    loopback = is_loopback(host)
    if parts.scheme == "http" and not loopback:
        raise CredentialsError(
            f"{argument} is plain http to another machine ({host}): the API key would cross the network in the clear, so nothing was sent.",
            hint="Use https://, or an address of this machine.",
        )
    if not url.isascii():
        port = "" if parts.port is None else f":{parts.port}"
        url = f"{parts.scheme}://{host}{port}{quote(parts.path, safe='/%')}"
    return Address(url, source, loopback)
