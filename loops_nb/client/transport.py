"""The one place that does I/O for the sync client: a thin shell around `Exchange`."""

from __future__ import annotations

import os
import threading
import time
import weakref
from typing import Any, TypeVar

import tenacity

from loops_nb.client.address import Address
from loops_nb.client.answers import result
from loops_nb.client.call import Call
from loops_nb.client.exchange import Exchange, Lost, Reply
from loops_nb.client.http import AWAITED, Body, PooledTransport, headers_of
from loops_nb.config.network import fingerprint

T = TypeVar("T")


class Transport:
    """Sends calls over one connection pool; safe to use from several threads.

    Parameters
    ----------
    exchange
        Address, key and policy.
    """

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self._lock = threading.Lock()
        self._client: PooledTransport | None = None
        #: For which process and which network settings it was made.
        self._made_for = (0, 0)
        self._beside: dict[str, Transport] = {}

    def send(self, call: Call[T]) -> T:
        """Carry out a call and return its decoded result.

        Raises
        ------
        LoopsError
            Whatever went wrong.
        """
        started = time.monotonic()
        retrying = tenacity.Retrying(**self.exchange.retrying())
        try:
            body = retrying(self._once, call)
        except Lost as lost:
            raise self.exchange.given_up(call, lost, retrying.statistics["attempt_number"], started) from None
        except KeyboardInterrupt as stop:
            if not call.safe:
                stop.add_note(f"The request to {call.does} may have been carried out. {call.recovery}")
            raise
        return result(call, body)

    def ask(self, call: Call[Any]) -> Reply:
        """Send a call once, and return what came back, whatever its status.

        Raises
        ------
        Lost
            If nothing came back, and asking again can do no harm.
        LoopsError
            If it must not be asked again, or points elsewhere.
        """
        try:
            url = self.exchange.address.url + call.target
            status, headers, body = self._exchange(call, url)
            self.exchange.redirected(call, url, status, headers, 0)
        except Exception as error:  # noqa: BLE001 - whatever an answer causes is an error of our tree
            raise self.exchange.broken(call, error) from None
        return Reply(status, headers, body)

    def beside(self, address: Address) -> Transport:
        """Return a transport with the same key to another address that was checked; closed together with this one."""
        with self._lock:
            if address.url not in self._beside:
                self._beside[address.url] = Transport(self.exchange.beside(address))
            return self._beside[address.url]

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        with self._lock:
            others = list(self._beside.values())
            client, self._client = self._client, None
        for other in others:
            other.close()
        if client is not None:
            client.close()

    def _once(self, call: Call[Any]) -> bytes:
        try:
            return self._followed(call)
        except Exception as error:  # noqa: BLE001 - whatever an answer causes is an error of our tree
            raise self.exchange.broken(call, error) from None

    def _followed(self, call: Call[Any]) -> bytes:
        url, hops = self.exchange.address.url + call.target, 0
        while True:
            status, headers, body = self._exchange(call, url)
            onward = self.exchange.redirected(call, url, status, headers, hops)
            if onward is None:
                return self.exchange.judge(call, status, headers, body)
            url, hops = onward, hops + 1

    def _exchange(self, call: Call[Any], url: str) -> tuple[int, dict[str, str], bytes]:
        request = self.exchange.request(call, url)
        awaited = AWAITED.set(self.exchange.allowance(call))
        try:
            # Not by an httpx.Client: that parses redirects and cookies of its own accord, and raises on hostile ones.
            response = self._pool().handle_request(request)
            try:
                headers = headers_of(response.headers.raw)
                body = Body(headers)
                for chunk in response.iter_raw():
                    body.add(chunk)
            finally:
                response.close()
        finally:
            AWAITED.reset(awaited)
        return response.status_code, headers, body.end()

    def _pool(self) -> PooledTransport:
        # A forked child must not share its parent's sockets, and a proxy or certificate that was corrected must count at once.
        wanted = (os.getpid(), fingerprint())
        with self._lock:
            if self._client is None or self._made_for != wanted:
                # Another thread may still wait for an answer on the former one, so that is closed at the end only.
                self._client, self._made_for = PooledTransport(self.exchange.address.url), wanted
                # A notebook that forgets close() shall not collect open sockets.
                weakref.finalize(self, self._client.close)
            return self._client
