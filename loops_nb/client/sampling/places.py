"""Where a sampler is reached, and whether the key may go there: the address comes out of an answer."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from loops_nb.client.address import Address, checked_address
from loops_nb.errors import CredentialsError, InvalidArgumentError, UnreadableAnswerError
from loops_nb.models import Sampler

_HOSTED_DOMAIN = ".baseten.co"
_SYNC = "/sync"
_WAKE = "/wake"


def place_of(sampler: Sampler, service: Address) -> Address:
    """Return the address of a sampler.

    Parameters
    ----------
    sampler
        As the service answered it.
    service
        The address that the connection was made to; the key is meant for it.

    Raises
    ------
    UnreadableAnswerError
        If there is none, or it cannot be one.
    CredentialsError
        If it is somebody else's: neither the same host, nor both on the hosted service's domain.
    """
    if not sampler.base_url:
        raise UnreadableAnswerError(
            f"The service tells no address of sampler {sampler.id}, so nothing can be asked of it.",
            hint=f"It may be too new: look again with %loops sampler {sampler.id}",
        )
    try:
        place = checked_address(sampler.base_url, f"sampler {sampler.id}", "base_url")
    except InvalidArgumentError as error:
        raise UnreadableAnswerError(f"The address of sampler {sampler.id} cannot be used: {error.message}") from None
    there, here = urlsplit(place.url), urlsplit(service.url)
    if not _is_trusted(there, here, service):
        raise CredentialsError(
            f"Sampler {sampler.id} is at {there.scheme}://{there.netloc}, which is not {here.netloc}: "
            "your API key was not sent there, and nothing was asked.",
            hint="Check the connection with %loops doctor",
        )
    return place


def wake_place(place: Address) -> Address:
    """Return the address that wakes a sampler."""
    return place._replace(url=place.url.removesuffix(_SYNC) + _WAKE)


def _is_trusted(there: SplitResult, here: SplitResult, service: Address) -> bool:
    if service.is_loopback:
        return (there.scheme, there.netloc.lower()) == (here.scheme, here.netloc.lower())
    if there.scheme != "https":
        return False
    if (there.hostname, there.port) == (here.hostname, here.port):
        return True
    hosts = (there.hostname or "", here.hostname or "")
    return all(host.endswith(_HOSTED_DOMAIN) for host in hosts) and {there.port, here.port} <= {None, 443}
