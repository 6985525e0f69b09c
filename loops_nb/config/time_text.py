"""Ages and times as users write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_TWO_DAYS = timedelta(days=2)
#: Hint of an error about a text that is neither.
EXAMPLES = "For example 90m, 36h, 2d, or 2026-11-20T09:30"


def age_of_text(text: str) -> timedelta | None:
    """Return an age such as ``90m``, ``36h`` or ``2d``; None if it is not one."""
    found = _AGE.fullmatch(text.strip().lower())
    if found is None:
        return None
    try:
        return timedelta(seconds=float(found[1]) * _SECONDS[found[2]])
    except OverflowError:
        return None


def text_of_age(age: timedelta) -> str:
    """Return the text that `age_of_text` converts back: in days from two days on, else in hours."""
    if age >= _TWO_DAYS:
        return f"{age / timedelta(days=1):g}d"
    return f"{age / timedelta(hours=1):g}h"


def time_of_text(text: str) -> datetime | None:
    """Return an ISO time, which without an offset is in the local time zone; None if it is not one."""
    try:
        return datetime.fromisoformat(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
