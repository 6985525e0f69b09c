"""How values are said: sizes, moments, numbers of things."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime, timedelta, tzinfo

_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")
_STEP = 1000
_SPANS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
MISSING = "-"
_CENT = 0.01
#: Between these, numbers are written without a power of ten.
SMALLEST_PLAIN, LARGEST_PLAIN = 1e-4, 1e15
_MANY_DIGITS = 1e4


def size(count: int) -> str:
    """Return a number of bytes as people read it, in powers of 1000: ``16.8 MB``."""
    if abs(count) < _STEP:
        return f"{count} bytes"
    try:
        amount = float(count)
    except OverflowError:
        return f"{count:,} bytes"
    for unit in _UNITS:
        if abs(amount) < _STEP or unit == _UNITS[-1]:
            break
        amount /= _STEP
    return f"{amount:.1f} {unit}"


def number(value: float) -> str:
    """Return a number with five digits; NaN and infinity by name."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "infinity" if value > 0 else "-infinity"
    if value and not SMALLEST_PLAIN <= abs(value) < LARGEST_PLAIN:
        return f"{value:.2e}"
    if value == int(value):
        return f"{value:,.0f}"
    # Of a large number five digits would not be that number.
    return f"{value:,.2f}".rstrip("0").rstrip(".") if abs(value) >= _MANY_DIGITS else f"{value:.5g}"


def money(dollars: float) -> str:
    """Return an amount of US dollars: ``$1,234.50``; a small one keeps two significant digits, ``$0.0042``."""
    if 0 < abs(dollars) < _CENT:
        return f"${dollars:.2g}"
    return f"${dollars:,.2f}"


def many(count: int, thing: str) -> str:
    """Return ``1 run``, ``3 runs``."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def first_few(texts: Sequence[str], most: int) -> str:
    """Return the first texts: ``a, b``, or ``a, b, ...`` if there are more than ``most``."""
    return ", ".join([*texts[:most], "..."] if len(texts) > most else texts)


def first_and_more(texts: Sequence[str], most: int) -> str:
    """Return the first texts and the number of the others: ``a, b``, or ``a, b and 1,200 more``."""
    more = f" and {len(texts) - most:,} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def is_or_are(count: int) -> str:
    """Return the verb for a number of things."""
    return "is" if count == 1 else "are"


def lasting(span: timedelta) -> str:
    """Return a span of time: ``00:05:10``, ``12 d 23:48:31``, ``-00:00:10``."""
    # Python keeps a negative span as a negative number of days and a positive rest, which reads as another span.
    sign, span = ("-", -span) if span.days < 0 else ("", span)
    minutes, seconds = divmod(span.seconds, 60)
    days = f"{span.days} d " if span.days else ""
    return f"{sign}{days}{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"


def roughly(seconds: float) -> str:
    """Return a span of time by its two largest units: ``42 s``, ``5 min 10 s``, ``12 d 4 h``."""
    left = max(0, int(seconds))
    parts: list[str] = []
    for unit, length in _SPANS:
        amount, left = divmod(left, length)
        if amount or parts:
            parts.append(f"{amount} {unit}" if amount else "")
    return " ".join(filter(None, parts[:2])) or "0 s"


def moment(when: datetime, zone: tzinfo | None, *, fraction: bool = False) -> str:
    """Return a time in a zone (None: the machine's), without the zone's name."""
    there = when.astimezone(zone)
    return there.strftime("%Y-%m-%d %H:%M:%S") + (f".{there.microsecond // 1000:03}" if fraction else "")


def zone_name(zone_setting: str, zone: tzinfo | None, moments: Iterable[datetime]) -> str:
    """Return how a heading calls the zone: its name, or the local name of the machine's zone at these moments."""
    if zone is not None:
        return zone_setting
    names = dict.fromkeys(name for name in (when.astimezone().tzname() for when in moments) if name)
    return f"local, {'/'.join(names)}" if names else "local"
