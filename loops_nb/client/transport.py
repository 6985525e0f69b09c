"""Sends requests: authentication, retries, redirects and errors around one connection pool."""

from __future__ import annotations

import time
from asyncio import CancelledError
from collections.abc import Generator, Iterator
from typing import Any, TypeVar

import tenacity

from loops_nb.client.address import Address
from loops_nb.client.config import ClientConfig, TransientError
from loops_nb.client.deletion_notices import DELETION_NOTICES
from loops_nb.client.http import ConnectionPool, Reply
from loops_nb.client.pagination import Page, PageWalk
from loops_nb.client.request import Request
from loops_nb.client.responses import result
from loops_nb.client.steps import RequestSteps
from loops_nb.errors import LoopsError

T = TypeVar("T")


class Transport:
    """Sends requests over one connection pool.

    Parameters
    ----------
    config : ClientConfig
        Address, key and request policy.
    """

    def __init__(self, config: ClientConfig) -> None:
        self.config = config
        self._pool = ConnectionPool(config.address.url)
        self._other_hosts: dict[str, Transport] = {}

    def send(self, request: Request[T]) -> T:
        """Send a request, retry it where that is safe, and return the decoded result.

        Raises
        ------
        LoopsError
            If there is no usable answer.
        """
        started = time.monotonic()
        retrying = tenacity.Retrying(**self.config.retry_options())
        lost: list[TransientError] = []
        try:
            body: bytes = retrying(self._attempt, request, lost)
        except TransientError as error:
            raise self.config.given_up(request, error, retrying.statistics["attempt_number"], started) from None
        except (KeyboardInterrupt, CancelledError) as stop:
            if not request.safe:
                stop.add_note(f"The request to {request.description} may have been carried out. {request.recovery}")
            raise
        if request.method == "DELETE":
            DELETION_NOTICES.deleted(self.config.address.url)
        return result(request, body)

    def send_once(self, request: Request[Any]) -> Reply:
        """Send a request without retries, and return the answer, whatever its status.

        Raises
        ------
        TransientError
            If there was no answer, and the request may be repeated.
        LoopsError
            If it must not be repeated, or the answer is a redirect.
        """
        try:
            url = self.config.address.url + request.target
            reply = self._exchange(request, url)
            self.config.redirected(request, url, reply.status, reply.headers, 0)
        except Exception as error:  # noqa: BLE001 - each fault becomes an error of this package
            raise self.config.fault(request, error) from None
        return reply

    def pages(self, walk: PageWalk) -> Iterator[Page]:
        """Fetch the pages of a listing one after the other, each when it is needed."""
        while (request := walk.next_request) is not None:
            yield walk.accept(self.send(request))

    def send_each(self, steps: Generator[Request[Any], Any, T]) -> T:
        """Send the requests that a generator yields, one after the other, and return its result.

        Raises
        ------
        LoopsError
            If a request fails and the generator does not handle that.
        """
        pending = RequestSteps(steps)
        while (request := pending.request) is not None:
            try:
                answer = self.send(request)
            except LoopsError as error:
                pending.throw(error)
            else:
                pending.resume(answer)
        return pending.result

    def for_host(self, address: Address) -> Transport:
        """Return a transport with the same key for another, checked address; closed together with this one."""
        # Atomic; one that is not kept has opened nothing.
        return self._other_hosts.setdefault(address.url, Transport(self.config.for_host(address)))

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        for other in list(self._other_hosts.values()):
            other.close()
        self._pool.close()

    def _attempt(self, request: Request[Any], lost: list[TransientError]) -> bytes:
        """Send a request once; ``lost`` gets what may have been carried out without an answer."""
        try:
            return self._follow_redirects(request)
        except Exception as error:  # noqa: BLE001 - each fault becomes an error of this package
            found = self.config.fault(request, error)
        if isinstance(found, TransientError) and found.sent:
            lost.append(found)
        return self.config.repeated(request, found, lost=bool(lost))

    def _follow_redirects(self, request: Request[Any]) -> bytes:
        url, hops = self.config.address.url + request.target, 0
        while True:
            reply = self._exchange(request, url)
            location = self.config.redirected(request, url, reply.status, reply.headers, hops)
            if location is None:
                return self.config.judge(request, reply.status, reply.headers, reply.body)
            url, hops = location, hops + 1

    def _exchange(self, request: Request[Any], url: str) -> Reply:
        return self._pool.exchange(self.config.http_request(request, url), self.config.time_limit(request))
