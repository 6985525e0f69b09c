"""The one place that does I/O for the async client: the same thin shell as `transport`, awaited."""

from __future__ import annotations

import asyncio
import time
from typing import Any, TypeVar

import httpx
import tenacity

from loops_nb.client.address import Address
from loops_nb.client.answers import result
from loops_nb.client.call import Call
from loops_nb.client.exchange import MOST_BODY_BYTES, Exchange, Lost, Reply

T = TypeVar("T")


class AsyncTransport:
    """Sends calls over one connection pool; in another event loop it opens a new one.

    Parameters
    ----------
    exchange
        Address, key and policy.
    """

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self._client: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._beside: dict[str, AsyncTransport] = {}

    async def send(self, call: Call[T]) -> T:
        """Carry out a call and return its decoded result.

        Raises
        ------
        LoopsError
            Whatever went wrong.
        """
        started = time.monotonic()
        retrying = tenacity.AsyncRetrying(**self.exchange.retrying())
        try:
            body: bytes = await retrying(self._once, call)
        except Lost as lost:
            raise self.exchange.given_up(call, lost, retrying.statistics["attempt_number"], started) from None
        except asyncio.CancelledError as stop:
            if not call.safe:
                stop.add_note(f"The request to {call.does} may have been carried out. {call.recovery}")
            raise
        return result(call, body)

    async def ask(self, call: Call[Any]) -> Reply:
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
            status, headers, body = await self._exchange(call, url)
        except (httpx.HTTPError, OSError) as error:
            raise self.exchange.broken(call, error) from None
        self.exchange.redirected(call, url, status, headers, 0)
        return Reply(status, headers, body)

    def beside(self, address: Address) -> AsyncTransport:
        """Return a transport with the same key to another address that was checked; closed together with this one."""
        if address.url not in self._beside:
            self._beside[address.url] = AsyncTransport(self.exchange.beside(address))
        return self._beside[address.url]

    async def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        for other in self._beside.values():
            await other.close()
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _once(self, call: Call[Any]) -> bytes:
        url, hops = self.exchange.address.url + call.target, 0
        while True:
            try:
                status, headers, body = await self._exchange(call, url)
            except (httpx.HTTPError, OSError) as error:
                raise self.exchange.broken(call, error) from None
            onward = self.exchange.redirected(call, url, status, headers, hops)
            if onward is None:
                return self.exchange.judge(call, status, headers, body)
            url, hops = onward, hops + 1

    async def _exchange(self, call: Call[Any], url: str) -> tuple[int, httpx.Headers, bytes]:
        client = self._pool()
        request = client.build_request(call.method, url, **self.exchange.request_options(call))
        response = await client.send(request, stream=True)
        try:
            chunks, size = [], 0
            async for chunk in response.aiter_bytes():
                chunks.append(chunk)
                size += len(chunk)
                if size > MOST_BODY_BYTES:
                    raise self.exchange.too_large(call)
        finally:
            await response.aclose()
        return response.status_code, response.headers, b"".join(chunks)

    def _pool(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        # Sockets belong to the loop that opened them; those of an ended loop (asyncio.run twice) are of no use.
        if self._client is None or self._loop is not loop:
            self._client, self._loop = httpx.AsyncClient(**self.exchange.client_options()), loop
        return self._client
