"""The one place that does I/O for the async client: the same thin shell as `transport`, awaited."""

from __future__ import annotations

import asyncio
import time
from typing import Any, TypeVar

import tenacity

from loops_nb.client.address import Address
from loops_nb.client.answers import result
from loops_nb.client.call import Call
from loops_nb.client.exchange import Exchange, Lost, Reply
from loops_nb.client.http import AWAITED, AsyncPooledTransport, Body, headers_of
from loops_nb.config.network import fingerprint

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
        self._client: AsyncPooledTransport | None = None
        #: For which event loop and which network settings it was made.
        self._made_for: tuple[asyncio.AbstractEventLoop | None, int] = (None, 0)
        #: Pools of this loop that were given up when the network settings changed; requests may still be on their way on them.
        self._former: list[AsyncPooledTransport] = []
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
        try:
            url = self.exchange.address.url + call.target
            status, headers, body = await self._exchange(call, url)
            self.exchange.redirected(call, url, status, headers, 0)
        except Exception as error:  # noqa: BLE001 - whatever an answer causes is an error of our tree
            raise self.exchange.broken(call, error) from None
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
        clients = [*self._former, *([self._client] if self._client is not None else [])]
        self._client, self._former = None, []
        for client in clients:
            await client.aclose()

    async def _once(self, call: Call[Any]) -> bytes:
        try:
            return await self._followed(call)
        except Exception as error:  # noqa: BLE001 - whatever an answer causes is an error of our tree
            raise self.exchange.broken(call, error) from None

    async def _followed(self, call: Call[Any]) -> bytes:
        url, hops = self.exchange.address.url + call.target, 0
        while True:
            status, headers, body = await self._exchange(call, url)
            onward = self.exchange.redirected(call, url, status, headers, hops)
            if onward is None:
                return self.exchange.judge(call, status, headers, body)
            url, hops = onward, hops + 1

    async def _exchange(self, call: Call[Any], url: str) -> tuple[int, dict[str, str], bytes]:
        request = self.exchange.request(call, url)
        awaited = AWAITED.set(self.exchange.allowance(call))
        try:
            # Not by an httpx.AsyncClient: that parses redirects and cookies of its own accord, and raises on hostile ones.
            response = await self._pool().handle_async_request(request)
            try:
                headers = headers_of(response.headers.raw)
                body = Body(headers)
                async for chunk in response.aiter_raw():
                    body.add(chunk)
            finally:
                await response.aclose()
        finally:
            AWAITED.reset(awaited)
        return response.status_code, headers, body.end()

    def _pool(self) -> AsyncPooledTransport:
        # Sockets belong to the loop that opened them; those of an ended loop (asyncio.run twice) are of no use.  And a proxy or
        # certificate that was corrected must count at once.
        wanted = (asyncio.get_running_loop(), fingerprint())
        if self._client is None or self._made_for != wanted:
            is_same_loop = self._made_for[0] is wanted[0]
            self._former = [*self._former, self._client] if is_same_loop and self._client is not None else []
            self._client, self._made_for = AsyncPooledTransport(self.exchange.address.url), wanted
        return self._client
