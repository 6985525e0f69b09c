"""Which hosts may get the API key.

======================  ====================================================================================
Address                 The key may be sent there
======================  ====================================================================================
named by the user       over https to any host, over plain http only to this machine
in a ``pyproject.toml`` the same, but only if the host is this machine or belongs to the hosted service
of a sampler            over https, if it has the service's host and port, or both belong to the hosted service;
                        with a service on this machine, only if it has the same scheme, host and port
of a redirect           if it has the same scheme, host and port
======================  ====================================================================================
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

_HOSTED_DOMAIN = ".baseten.co"
_HTTPS_PORTS = {None, 443}


def is_plain_http_to_network(scheme: str, host: str) -> bool:
    """Tell whether a key would cross the network in the clear: plain http to another machine."""
    return scheme == "http" and not is_loopback(host)


def is_trusted_for_project(url: str) -> bool:
    """Tell whether a ``pyproject.toml``, which may come from others, may name an address that gets the key.

    Parameters
    ----------
    url : str
        The address; text that is no URL counts as trusted, since no client can be made for it.
    """
    try:
        host = (urlsplit(url).hostname or "").lower()
    except ValueError:
        return True
    return is_loopback(host) or is_hosted(host)


def is_trusted_sampler(sampler_url: str, service_url: str) -> bool:
    """Tell whether the key of a service may be sent to the address that it answered for a sampler.

    Parameters
    ----------
    sampler_url : str
        The checked address of the sampler.
    service_url : str
        The checked address of the service, which the key belongs to.
    """
    sampler, service = urlsplit(sampler_url), urlsplit(service_url)
    if is_loopback(service.hostname or ""):
        return is_same_origin(sampler_url, service_url)
    if sampler.scheme != "https":
        return False
    if (sampler.hostname, sampler.port) == (service.hostname, service.port):
        return True
    hosts = (sampler.hostname or "", service.hostname or "")
    return all(map(is_hosted, hosts)) and {sampler.port, service.port} <= _HTTPS_PORTS


def is_same_origin(url: str, other: str) -> bool:
    """Tell whether two URLs have the same scheme, host and port."""
    first, second = urlsplit(url), urlsplit(other)
    return (first.scheme, first.netloc.lower()) == (second.scheme, second.netloc.lower())


def is_hosted(host: str) -> bool:
    """Tell whether a host belongs to the hosted service."""
    return host.lower().endswith(_HOSTED_DOMAIN)


def is_loopback(host: str) -> bool:
    """Tell whether a host name is this machine by definition, without a DNS lookup."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def ascii_host(host: str) -> str:
    """Return a host name in its ASCII form, as in a DNS query.

    Raises
    ------
    ValueError
        If it cannot be one: a label of it is empty or longer than 63 characters.
    """
    return host if ":" in host else host.encode("idna").decode("ascii")
