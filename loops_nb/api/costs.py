"""What held hardware costs, by the prices that the service lists: no discounts, no rates of our own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from loops_nb.api.gpus import GpuUsage, by_part
from loops_nb.api.models import InstanceTypePrice, Money

MINUTES_AN_HOUR = 60


def dollars(amount: Money | None) -> float | None:
    """Return an amount of money, which the service sends as a number or as decimal text; None if it is neither."""
    if amount is None:
        return None
    try:
        value = float(amount)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


class PriceList(NamedTuple):
    """Prices of instance types.

    Parameters
    ----------
    per_minute : mapping of str to float
        By id of the instance type the US dollars a minute of one node.
    note : str, default ""
        What the service remarks about them.
    """

    per_minute: Mapping[str, float]
    note: str = ""


def price_list(prices: Iterable[InstanceTypePrice]) -> PriceList:
    """Return the prices of a listing by the id of the instance type."""
    listed = list(prices)
    per_minute = {}
    for item in listed:
        shape, price = item.instance_type, dollars(item.price)
        if shape is not None and shape.id is not None and price is not None:
            per_minute[shape.id] = price
    return PriceList(per_minute, "; ".join(dict.fromkeys(item.note for item in listed if item.note)))


class HeldMoney(NamedTuple):
    """What is held costs now.

    Parameters
    ----------
    per_hour : float
        US dollars an hour of the parts with a price.
    without_price : int
        Parts whose price the service does not list.
    """

    per_hour: float
    without_price: int


def held_an_hour(usages: Iterable[GpuUsage], prices: PriceList) -> HeldMoney:
    """Return what the hardware of some usages costs an hour: nodes times price; a repeated part counts once."""
    per_hour, without_price = 0.0, 0
    for usage in by_part(usages):
        price = None if usage.instance_type_id is None else prices.per_minute.get(usage.instance_type_id)
        if price is None:
            without_price += 1
        else:
            per_hour += price * usage.nodes * MINUTES_AN_HOUR
    return HeldMoney(per_hour, without_price)
