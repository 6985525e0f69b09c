"""Registry of the panels that are shown: running a cell again, or deleting it, closes what it had shown before.

Nothing else closes them: a notebook does not tell the kernel that an output is gone, and nothing collects a widget.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from loops_nb.panels.cells import CellPosition


class OpenPanel(Protocol):
    """A panel that is shown."""

    @property
    def is_drawn(self) -> bool:
        """Whether a page has drawn it."""

    @property
    def is_refused(self) -> bool:
        """Whether a page could not draw it, and none has drawn it."""

    def freeze(self) -> None:
        """Replace the live view with a static report."""

    def close(self) -> None:
        """End the live view."""


_lock = threading.Lock()
_shown: list[tuple[OpenPanel, str, int]] = []


def register(panel: OpenPanel, position: CellPosition) -> None:
    """Register a panel that is shown now, and close those that it replaces."""
    with _lock:
        replaced = [shown for shown, cell, run in _shown if shown is not panel and _is_replaced(cell, run, position)]
        _shown[:] = [entry for entry in _shown if entry[0] is not panel]
        _shown.append((panel, position.cell, position.run))
    for shown in replaced:
        shown.close()


def unregister(panel: OpenPanel) -> None:
    """Remove a panel that was closed."""
    with _lock:
        _shown[:] = [entry for entry in _shown if entry[0] is not panel]


def open_panels() -> list[OpenPanel]:
    """Return the panels that are shown and not closed."""
    with _lock:
        return [panel for panel, _, _ in _shown]


def _is_replaced(cell: str, run: int, position: CellPosition) -> bool:
    if not cell:
        # The front end does not send cell ids.
        return False
    return cell in position.deleted or (cell == position.cell and run != position.run)
