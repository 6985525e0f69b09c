"""Times in a report: absolute, in one zone, as of one moment."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

from loops_nb.config.time_zone import LOCAL_ZONE, display_zone
from loops_nb.render.formatting import MISSING, moment, roughly

_MS = 1000


class TimeFormatter:
    """Formats epoch milliseconds.

    Parameters
    ----------
    as_of : float
        The moment of the report.
    time_zone : str
        As in the setting of that name.

    Raises
    ------
    ConfigError
        If there is no such zone.
    """

    def __init__(self, as_of: float, time_zone: str) -> None:
        self._as_of = as_of
        self._zone = display_zone(time_zone)
        self._called = time_zone if time_zone != LOCAL_ZONE else ""

    def whole(self) -> str:
        """Return the moment of the report with its zone: ``2026-11-21 14:03:05 UTC+01:00 (CET)``."""
        there = _there(self._as_of, self._zone)
        if there is None:
            return MISSING
        called = self._called or there.tzname() or ""
        # Windows and containers call the zone by its offset, or UTC by its name: said once.
        offset = there.strftime("%z")
        behind = "UTC"
        if called != "UTC":
            behind = f"UTC{offset[:3]}:{offset[3:5]}"
            if called.isalpha() or "/" in called:
                behind += f" ({called})"
        return f"{moment(there, self._zone)} {behind}"

    def at(self, ms: float | None) -> str:
        """Return another moment: its time to the second on the report's day, else its day and time to the minute."""
        there, here = _there(ms, self._zone), _there(self._as_of, self._zone)
        if there is None:
            return MISSING
        day, _, time = moment(there, self._zone).partition(" ")
        return time if here is not None and here.date() == there.date() else f"{day} {time[:5]}"

    def age(self, ms: float | None) -> str:
        """Return how long before the report that was."""
        return MISSING if _there(ms, self._zone) is None else self.lasting(ms, None)

    def lasting(self, start: float | None, until: float | None) -> str:
        """Return the span between two moments; an open end is the report's own."""
        if start is None:
            return MISSING
        return roughly(((self._as_of if until is None else until) - start) / _MS)


def _there(ms: float | None, zone: tzinfo | None) -> datetime | None:
    if ms is None:
        return None
    try:
        return datetime.fromtimestamp(ms / _MS, UTC).astimezone(zone)
    except (OverflowError, ValueError, OSError):
        # A year that no calendar here knows; the rest of the report is worth having.
        return None
