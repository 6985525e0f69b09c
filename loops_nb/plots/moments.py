"""Times along a picture."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from loops_nb.drawing.wording import moment, zone_name
from loops_nb.plots.canvas import Scale
from loops_nb.plots.ticks import EARLIEST, LATEST

if TYPE_CHECKING:
    from datetime import tzinfo

    from loops_nb.plots.saved import Saved

#: What one moment alone stands in the middle of, in seconds.
_AROUND = 1800


def time_scale(ones: list[Saved], left: float, right: float) -> Scale:
    """Return the scale from the first to the last moment."""
    times = [one.at for one in ones if one.at is not None]
    low, high = min(times), max(times)
    if high - low < 1:
        low, high = low - _AROUND, high + _AROUND
    return Scale(max(low, EARLIEST - _AROUND), min(high, LATEST + _AROUND), left, right)


def period(ones: list[Saved], zone: tzinfo | None) -> str:
    """Return from when to when, in words."""
    times = [one.at for one in ones if one.at is not None]
    first, last = (moment(datetime.fromtimestamp(at, UTC), zone)[:16] for at in (min(times), max(times)))
    if first == last:
        return first
    # The day is said once.
    return f"{first} to {last[11:] if last[:10] == first[:10] else last}"


def heading_of(ones: list[Saved], zone: tzinfo | None, time_zone: str) -> str:
    """Return how the zone is called at these moments."""
    times = [one.at for one in ones if one.at is not None]
    return zone_name(time_zone, zone, (datetime.fromtimestamp(at, UTC) for at in (min(times), max(times))))
