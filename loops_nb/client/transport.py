"""The one place that does I/O for the sync client: a thin shell around `Exchange`."""

from __future__ import annotations

import os
import threading
import time
import weakref
from typing import Any, TypeVar

import httpx
import tenacity

from loops_nb.client.address import Address
from loops_nb.client.answers import result
from loops_nb.client.call import Call
from loops_nb.client.exchange import MOST_BODY_BYTES, Exchange, Lost, Reply

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
        self._client: httpx.Client | None = None
        self._pid = 0
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
        url = self.exchange.address.url + call.target
        try:
            status, headers, body = self._exchange(call, url)
        except (httpx.HTTPError, OSError) as error:
            raise self.exchange.broken(call, error) from None
        self.exchange.redirected(call, url, status, headers, 0)
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
        url, hops = self.exchange.address.url + call.target, 0
        while True:
            try:
                status, headers, body = self._exchange(call, url)
            except (httpx.HTTPError, OSError) as error:
                raise self.exchange.broken(call, error) from None
            onward = self.exchange.redirected(call, url, status, headers, hops)
            if onward is None:
                return self.exchange.judge(call, status, headers, body)
            url, hops = onward, hops + 1

    def _exchange(self, call: Call[Any], url: str) -> tuple[int, httpx.Headers, bytes]:
        client = self._pool()
        request = client.build_request(call.method, url, **self.exchange.request_options(call))
        response = client.send(request, stream=True)
        try:
            chunks, size = [], 0
            for chunk in response.iter_bytes():
                chunks.append(chunk)
                size += len(chunk)
                if size > MOST_BODY_BYTES:
                    raise self.exchange.too_large(call)
        finally:
            response.close()
        return response.status_code, response.headers, b"".join(chunks)

    def _pool(self) -> httpx.Client:
        with self._lock:
            # A forked child must not share its parent's sockets.
            if self._client is None or self._pid != os.getpid():
                self._client, self._pid = httpx.Client(**self.exchange.client_options()), os.getpid()
                # Who forgets close() in a notebook shall not collect open sockets.
                weakref.finalize(self, self._client.close)
            return self._client
