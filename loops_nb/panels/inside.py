"""Base of the panels inside of another one: a widget of its own, made when a page first shows its tab."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from loops_nb.errors import LoopsError
from loops_nb.panels.messages import PlotStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loops_nb.panels.messages import PlotName, Row
    from loops_nb.panels.widget import LiveWidget

Shown = TypeVar("Shown", bound="LiveWidget")


class PanelInside(ABC, Generic[Shown]):
    """A panel in a tab of another one.

    It is made once and lives as long as that one: the page puts a view of it into the tab, and takes that away with the
    tab.  Nothing of it is there before, because the code of its page is saved with a notebook that keeps the state of
    its widgets.
    """

    #: The tab, and what it shows in words.
    plot: ClassVar[PlotName]
    what: ClassVar[str]

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Held while it is made, which may take requests to the service: closing does not wait for them.
        self._making = threading.Lock()
        self._panel: Shown | None = None
        self._rows: Mapping[str, Row] = {}
        self._is_closed = False

    @property
    @abstractmethod
    def line(self) -> str:
        """The line of code that opens it alone."""

    @abstractmethod
    def _make(self) -> Shown:
        """Make the panel; on any thread."""

    def _show_rows(self, panel: Shown, rows: Mapping[str, Row]) -> None:
        """Show the newest checkpoints; nothing by default."""

    def status(self, rows: Mapping[str, Row]) -> PlotStatus | None:
        """Return what tells a page which widget to show, and in words what to do where it cannot; for any thread.

        Parameters
        ----------
        rows
            The checkpoints that are shown.

        Returns
        -------
        PlotStatus or None
            None while another thread makes the panel, which tells all pages.

        Raises
        ------
        LoopsError
            If the outer panel was closed meanwhile, or the panel cannot be made.
        """
        if not self._making.acquire(blocking=False):
            return None
        try:
            self.set_rows(rows)
            panel = self._made()
        finally:
            self._making.release()
        words = f"This page shows no panel inside of another. For the {self.what}, type in a cell: {self.line}"
        return PlotStatus(plot=self.plot, state="drawn", widget=panel.model_id, text=words)

    def set_rows(self, rows: Mapping[str, Row]) -> None:
        """Take in other checkpoints; for any thread."""
        with self._lock:
            panel, self._rows = self._panel, rows
        if panel is not None:
            self._show_rows(panel, rows)

    def close(self) -> None:
        """End it, if it was ever made; none is made afterwards."""
        with self._lock:
            self._is_closed = True
            panel, self._panel = self._panel, None
        if panel is not None:
            panel.close()

    def _made(self) -> Shown:
        with self._lock:
            if self._is_closed:
                raise LoopsError("The panel was closed.")
            if self._panel is not None:
                return self._panel
        made = self._make()
        if not self._keep(made):
            made.close()
            raise LoopsError("The panel was closed.")
        # Those that came while it was made, too.
        self._show_rows(made, self._rows)
        return made

    def _keep(self, made: Shown) -> bool:
        with self._lock:
            if not self._is_closed:
                self._panel = made
            return not self._is_closed
