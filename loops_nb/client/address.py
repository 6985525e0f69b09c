"""Resolves and checks the address of the service, before a key can be sent there."""

from __future__ import annotations

import os
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from loops_nb.config.local_services import own_service_url
from loops_nb.config.trusted_hosts import ascii_host, is_loopback, is_plain_http_to_network
from loops_nb.errors import CredentialsError, InvalidArgumentError

HOSTED_URL = "https://api.baseten.co"
ENV_URL = "LOOPS_BASE_URL"


class Address(NamedTuple):
    """The checked root of the API.

    Parameters
    ----------
    url : str
        Without a trailing slash.
    source : str
        ``argument``, ``LOOPS_BASE_URL`` or ``default``.
    is_loopback : bool
        Whether it is this machine.
    """

    url: str
    source: str
    is_loopback: bool


class BaseURL(NamedTuple):
    """An address as it was configured, not checked yet.

    Parameters
    ----------
    url : str
        Root of the API.
    source : str
        ``argument``, ``setting``, ``LOOPS_BASE_URL`` or ``project``.
    """

    url: str
    source: str


def configured_url(argument: str | None = None, *, setting: str = "", project: str = "") -> BaseURL | None:
    """Return the address to use; None if none is configured.

    This is the only place with the order: the argument, the setting, ``LOOPS_BASE_URL``, the project file.

    Parameters
    ----------
    argument : str, optional
        Given by the caller.
    setting : str, default ""
        The value of ``%config LoopsMagics.base_url``.
    project : str, default ""
        ``base_url`` in ``[tool.loops_nb]`` of a ``pyproject.toml``.
    """
    if argument is not None:
        return BaseURL(argument, "argument")
    candidates = (
        BaseURL(setting, "setting"),
        BaseURL(os.environ.get(ENV_URL, "").strip(), ENV_URL),
        BaseURL(project, "project"),
    )
    return next((candidate for candidate in candidates if candidate.url), None)


def resolve_address(argument: str | None = None) -> Address:
    """Return the address to use: as in `configured_url`, else the hosted service.

    Raises
    ------
    InvalidArgumentError
        If it is not an http(s) URL, or has parts that an API root cannot have.
    CredentialsError
        If it is plain http to another machine: a key would cross the network in the clear.
    """
    url, source = configured_url(argument) or BaseURL(HOSTED_URL, "default")
    address = checked_address(url, source, ENV_URL if source == ENV_URL else "base_url")
    return address._replace(url=own_service_url(address.url))


def checked_address(text: str, source: str, argument: str) -> Address:
    """Check a URL; ``argument`` is its name in error texts."""
    url = text.strip().rstrip("/") if isinstance(text, str) else ""
    try:
        parts = urlsplit(url)
        host, port_is_fine = ascii_host(parts.hostname or ""), parts.port is None or parts.port > 0
    except ValueError:
        host, parts, port_is_fine = "", urlsplit(""), False
    if parts.scheme not in {"http", "https"} or not host or not port_is_fine or not url.isprintable() or " " in url:
        raise InvalidArgumentError(
            f"{argument} must be an address such as {HOSTED_URL} or http://127.0.0.1:8787.", argument=argument
        )
    if parts.username is not None or parts.password is not None:
        raise InvalidArgumentError(
            f"{argument} must not hold a user name or a password (it is not shown here).", argument=argument
        )
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise InvalidArgumentError(
            f"{argument} must not have a query (?) or a fragment (#): {parts.scheme}://{parts.netloc}",
            argument=argument,
        )
    if is_plain_http_to_network(parts.scheme, host):
        raise CredentialsError(
            f"{argument} is plain http to another machine ({host}): the API key would cross the network in the clear, "
            f"so nothing was sent.",
            hint="Use https://, or an address of this machine.",
        )
    if not url.isascii():
        port = "" if parts.port is None else f":{parts.port}"
        url = f"{parts.scheme}://{host}{port}{quote(parts.path, safe='/%')}"
    return Address(url, source, is_loopback(host))
