"""The time zone in which times are shown."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from loops_nb.errors import ConfigError

if TYPE_CHECKING:
    from datetime import tzinfo

LOCAL_ZONE = "local"


def display_zone(name: str) -> tzinfo | None:
    """Return the time zone in which times are shown; None for the zone of this machine.

    Raises
    ------
    ConfigError
        If there is no zone of that name.
    """
    if name == LOCAL_ZONE:
        return None
    if name == "UTC":
        from datetime import UTC  # the default is the local zone

        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        from zoneinfo import available_timezones

        zones = {zone.lower(): zone for zone in available_timezones()}
        cities = {zone.rsplit("/", 1)[-1]: zone for zone in zones}
        word = name.lower().strip().replace(" ", "_")
        close = difflib.get_close_matches(word, [*zones, *cities], n=1, cutoff=0.7)
        hint = (
            f"Did you mean {zones[cities.get(close[0], close[0])]}?"
            if close
            else "For example Europe/Berlin, UTC, or local."
        )
        raise ConfigError(f"time_zone: there is no time zone {name!r}.", hint=hint) from None
