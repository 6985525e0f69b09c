"""A panel of recorded data or system metrics, shown in a notebook and told in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from loops_nb.magics.context import MagicContext
    from loops_nb.panels.widget import LiveWidget

_Shown = TypeVar("_Shown", bound="LiveWidget")


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
