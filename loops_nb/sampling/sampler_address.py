"""The address of a sampler, which an answer of the service gives, and whether the key may be sent there."""

from __future__ import annotations

from urllib.parse import urlsplit

from loops_nb.api.models import Sampler
from loops_nb.client.address import Address, checked_address
from loops_nb.config.trusted_hosts import is_trusted_sampler
from loops_nb.errors import CredentialsError, InvalidArgumentError, UnreadableAnswerError

_SYNC = "/sync"
_WAKE = "/wake"


def sampler_address(sampler: Sampler, service: Address) -> Address:
    """Return the address of a sampler.

    Parameters
    ----------
    sampler : Sampler
        As the service answered it.
    service : Address
        The address of the connection, which the key belongs to.

    Raises
    ------
    UnreadableAnswerError
        If there is none, or it is not a URL.
    CredentialsError
        If it is not trusted: neither the same host, nor both on the hosted service's domain.
    """
    if not sampler.base_url:
        raise UnreadableAnswerError(
            f"The service gave no address for sampler {sampler.id}, so no request can be sent to it.",
            hint=f"It may be too new: look again with %loops sampler {sampler.id}",
        )
    try:
        address = checked_address(sampler.base_url, f"sampler {sampler.id}", "base_url")
    except InvalidArgumentError as error:
        raise UnreadableAnswerError(f"The address of sampler {sampler.id} cannot be used: {error.message}") from None
    if not is_trusted_sampler(address.url, service.url):
        there, here = urlsplit(address.url), urlsplit(service.url)
        raise CredentialsError(
            f"Sampler {sampler.id} is at {there.scheme}://{there.netloc}, which is not {here.netloc}: "
            "your API key was not sent there, and nothing was asked.",
            hint="Check the connection with %loops doctor",
        )
    return address


def wake_address(address: Address) -> Address:
    """Return the address that wakes a sampler."""
    return address._replace(url=address.url.removesuffix(_SYNC) + _WAKE)
