"""A panel of recorded data or system metrics, shown in a notebook and told in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from loops_nb.errors import LoopsError
from loops_nb.magics.connection import check_connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from loops_nb.magics.context import MagicContext
    from loops_nb.panels import Panel
    from loops_nb.panels.widget import LiveWidget

_Shown = TypeVar("_Shown", bound="LiveWidget")
_Listed = TypeVar("_Listed", bound="Panel")


def show_panel(context: MagicContext, panel: _Shown, words: Callable[[int], str]) -> _Shown | None:
    """Show a panel at once in a notebook; elsewhere print what it shows and close it.

    Parameters
    ----------
    context
        Of the line.
    panel
        The panel.
    words
        What it shows now, in so many columns.

    Returns
    -------
    LiveWidget or None
        None where it was printed.
    """
    from loops_nb.panels.cells import is_notebook  # only with a panel

    if is_notebook():
        # At once, not as the cell's result: the line often comes before a training loop.
        panel.show()
        return panel
    context.show_words(panel, words)
    return None


def show_listings(context: MagicContext, panel: _Listed) -> _Listed | None:
    """Show a panel of the service's listings, as `show_panel`.

    Raises
    ------
    LoopsError
        Outside of a notebook, if nothing can be read from the service: a panel would retry, a terminal says why.
    """
    from loops_nb.panels.cells import is_notebook  # only with a panel

    if not is_notebook():
        health = panel.snapshot_now().health
        if health.looked_at is None and health.reason:
            panel.close()
            check_connection(context.loops)
            raise LoopsError(health.reason, hint=health.hint)
    return show_panel(context, panel, panel.told)
