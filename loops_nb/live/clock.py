"""The time, as the rest of this room reads it; a test brings its own."""

from __future__ import annotations

import time


class Clock:
    """The clocks of this machine."""

    def now(self) -> float:
        """Return seconds that never go back, for measuring how long something took."""
        return time.monotonic()

    def epoch_ms(self) -> float:
        """Return the time of day, in epoch milliseconds."""
        return time.time() * 1000.0
