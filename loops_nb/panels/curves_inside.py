"""The panel of curves inside of the panel of a run: a widget of its own, made when a page first shows it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from loops_nb.errors import LoopsError
from loops_nb.panels.wire import Picture

if TYPE_CHECKING:
    from loops_nb.panels.curves import CurvesPanel


class CurvesInside:
    """The curves of one run, for the pages of its panel.

    It is made once and lives as long as the panel: the page puts a view of it into the tab, and takes that away with the tab.  Nothing of
    it is there before, because the code of its page is saved with a notebook that keeps the state of its widgets.

    Parameters
    ----------
    run_id
        The run, whether anything was recorded of it or not.
    """

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._lock = threading.Lock()
        self._panel: CurvesPanel | None = None
        self._is_closed = False

    def picture(self) -> Picture:
        """Return what tells a page which widget to show, and in words what to do where it cannot; made on any thread.

        Raises
        ------
        LoopsError
            If the panel was closed meanwhile, or nothing can be read of what was recorded.
        """
        with self._lock:
            if self._is_closed:
                raise LoopsError("The panel was closed.")
            if self._panel is None:
                from loops_nb.panels.curves import CurvesPanel  # noqa: PLC0415 - numpy, for those who look at curves

                self._panel = CurvesPanel(self._run_id)
            widget = self._panel.model_id
        words = f"This page shows no panel inside of another. For the curves, type in a cell: %loops curves {self._run_id}"
        return Picture(plot="curves", state="drawn", widget=widget, text=words)

    def close(self) -> None:
        """End it, if it was ever made; none is made afterwards."""
        with self._lock:
            self._is_closed = True
            panel, self._panel = self._panel, None
        if panel is not None:
            panel.close()
