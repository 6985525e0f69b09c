"""When something has been on its way for too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.panels.columns import TONES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from loops_nb.live import Span

#: Large models take minutes to come up; nobody waits for a quarter of an hour without wanting to know.
STUCK_SECONDS = 15 * 60.0


def is_under_way(status: str | None) -> bool:
    """Tell whether a state leads to another one by itself."""
    return status is not None and TONES.get(status) == "busy"


def stuck_spans(spans: Iterable[Span], now: float) -> list[Span]:
    """Return the states on the way to another one that have lasted too long; ``now`` in epoch milliseconds."""
    return [span for span in spans if span.until is None and is_under_way(span.status) and now - span.start > STUCK_SECONDS * 1000]
