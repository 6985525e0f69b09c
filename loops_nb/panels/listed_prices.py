"""Prices of instance types for panels, requested once for each panel."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from loops_nb.api.costs import PriceList, held_an_hour, price_list
from loops_nb.client.operations import billing
from loops_nb.errors import LoopsError
from loops_nb.panels.messages import Fact
from loops_nb.render.formatting import money

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from loops_nb.api.gpus import GpuUsage
    from loops_nb.api.models import InstanceTypePrice
    from loops_nb.live import Poller


class ListedPrices:
    """The prices that the service lists; None until they arrived, and where it lists none for this key.

    Attributes
    ----------
    on_news : callable
        Called on the poller's thread when the prices arrived.
    """

    def __init__(self) -> None:
        self.on_news: Callable[[], None] = lambda: None
        self._prices: PriceList | None = None
        self._answered = threading.Event()

    def read(self) -> PriceList | None:
        """Return the prices if they are known."""
        return self._prices

    def request(self, poller: Poller) -> None:
        """Request them, on another thread."""
        poller.send(billing.prices(), self._take)

    def wait(self, seconds: float) -> None:
        """Wait at most so long for the answer."""
        self._answered.wait(seconds)

    def _take(self, answer: list[InstanceTypePrice] | LoopsError) -> None:
        # Without prices the panel shows GPUs alone: it is about what runs.
        if not isinstance(answer, LoopsError):
            self._prices = price_list(answer)
        self._answered.set()
        self.on_news()


def money_facts(usages: Iterable[GpuUsage], prices: PriceList | None) -> list[Fact]:
    """Return what held hardware costs an hour, and the service's remark about its prices."""
    if prices is None or not prices.per_minute:
        return []
    held = held_an_hour(usages, prices)
    amount = f"{'at least ' if held.without_price else ''}{money(held.per_hour)}"
    if held.without_price and not held.per_hour:
        amount = "price not listed"
    facts = [Fact(label="an hour", value=amount)]
    return [*facts, Fact(label="prices", value=prices.note)] if prices.note else facts
