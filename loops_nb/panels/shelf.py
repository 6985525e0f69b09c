"""Which panel stands below which cell: running the cell again, or deleting it, closes what it had shown before.

Nothing else does: a notebook never tells a kernel that an output is gone, and nothing collects a widget.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loops_nb.panels.cells import Place
    from loops_nb.panels.panel import Panel

_lock = threading.Lock()
_shown: list[tuple[Panel, str, int]] = []


def put(panel: Panel, place: Place) -> None:
    """Remember that a panel is shown there now, and close those that it takes the place of."""
    with _lock:
        stale = [
            shown
            for shown, cell, run in _shown
            if shown is not panel and cell and ((cell == place.cell and run != place.run) or cell in place.deleted)
        ]
        _shown[:] = [entry for entry in _shown if entry[0] is not panel]
        _shown.append((panel, place.cell, place.run))
    for shown in stale:
        shown.close()


def take(panel: Panel) -> None:
    """Forget a panel that was closed."""
    with _lock:
        _shown[:] = [entry for entry in _shown if entry[0] is not panel]


def open_panels() -> list[Panel]:
    """Return the panels that are shown and not closed."""
    with _lock:
        return [panel for panel, _, _ in _shown]
