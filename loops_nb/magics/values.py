"""What the values of options mean: numbers, ages, moments."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from loops_nb.errors import InvalidArgumentError

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LONGEST_AGE = 100 * 365 * 86_400


def whole_number(text: str) -> int:
    """Return a whole number; its bounds are the client's to check."""
    try:
        return int(text)
    except ValueError:
        raise InvalidArgumentError(f"must be a whole number, not {text[:40]!r}.") from None


def number(text: str) -> float:
    """Return a number."""
    try:
        return float(text)
    except ValueError:
        raise InvalidArgumentError(f"must be a number, not {text[:40]!r}.") from None


def said(value: timedelta | datetime | None) -> str | None:
    """Return how `moment` would be typed again."""
    if isinstance(value, timedelta):
        hours = value.total_seconds() / _SECONDS["h"]
        return f"{hours / 24:g}d" if hours >= 48 else f"{hours:g}h"  # noqa: PLR2004 - from two days on, in days
    return value.isoformat(timespec="seconds") if value is not None else None


def moment(text: str) -> timedelta | datetime:
    """Return an age such as ``90m``, ``36h`` or ``2d``, or a moment in ISO form; without a zone it is the machine's own time."""
    found = _AGE.fullmatch(text.strip().lower())
    if found:
        seconds = float(found[1]) * _SECONDS[found[2]]
        if seconds <= _LONGEST_AGE:
            return timedelta(seconds=seconds)
    try:
        return datetime.fromisoformat(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidArgumentError(
            f"must be an age or a moment, not {text[:40]!r}.", hint="For example 90m, 36h, 2d, or 2026-11-20T09:30"
        ) from None
