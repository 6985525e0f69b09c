"""Visibility lease of a panel's views: a view counts as visible for a while after it said so, and while a cell runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: A view that can be seen says so every ten seconds.
LEASE_SECONDS = 35.0
#: A page needs this long at most to open its view and say hello.
OPENING_SECONDS = 30.0
#: What waited while a cell ran is heard within this time after it.
GRACE_SECONDS = 2.0


class Visibility:
    """The views of one panel.

    Parameters
    ----------
    clock : callable
        Monotonic seconds.
    cell_ended : callable
        Monotonic seconds when the last cell ended; None while one is running.
    """

    def __init__(self, clock: Callable[[], float], cell_ended: Callable[[], float | None]) -> None:
        self._clock = clock
        self._cell_ended = cell_ended
        self._opened = clock()
        self._heard = False
        self._seen: dict[str, float] = {}

    def saw(self, view: str, *, visible: bool) -> None:
        """Record a message of a view."""
        self._heard = True
        if visible:
            self._seen[view] = self._clock()
        else:
            self._seen.pop(view, None)

    def gone(self, view: str) -> None:
        """Record that a view was closed."""
        self._heard = True
        self._seen.pop(view, None)

    def is_seen(self) -> bool:
        """Tell whether the panel has to be assumed to be visible."""
        ended = self._cell_ended()
        if not self._heard:
            return (
                ended is None
                or self._clock() - max(self._opened, ended - OPENING_SECONDS + GRACE_SECONDS) < OPENING_SECONDS
            )
        if not self._seen:
            return False
        # While a cell runs, some kernels hear nothing: silence then says nothing.
        silent = self._clock() - max(self._seen.values())
        return silent < LEASE_SECONDS or ended is None or self._clock() - ended < GRACE_SECONDS
