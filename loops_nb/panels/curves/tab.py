"""The panel of curves inside of the panel of a run: a widget of its own, made when a page first shows it."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from loops_nb.errors import LoopsError
from loops_nb.panels.columns import COLUMNS
from loops_nb.panels.messages import PlotStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loops_nb.panels.curves.model import ListedCheckpoint
    from loops_nb.panels.curves.panel import CurvesPanel
    from loops_nb.panels.messages import PlotName, Row

_NAMES = tuple(column.name for column in COLUMNS["checkpoints"])


class CurvesInside:
    """The curves of one run, for the pages of its panel.

    It is made once and lives as long as the panel: the page puts a view of it into the tab, and takes that away with
    the tab.  Nothing of it is there before, because the code of its page is saved with a notebook that keeps the state
    of its widgets.

    Parameters
    ----------
    run_id
        The run, whether anything was recorded of it or not.
    """

    plot: PlotName = "curves"

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._lock = threading.Lock()
        self._panel: CurvesPanel | None = None
        self._is_closed = False
        self._is_recorded = False

    def picture(self, rows: Mapping[str, Row]) -> PlotStatus:
        """Return what tells a page which widget to show, and in words what to do where it cannot; made on any thread.

        Parameters
        ----------
        rows
            The run's checkpoints, which become marks on the curves.

        Raises
        ------
        LoopsError
            If the panel was closed meanwhile, or nothing can be read of what was recorded.
        """
        with self._lock:
            if self._is_closed:
                raise LoopsError("The panel was closed.")
            if self._panel is None:
                from loops_nb.panels.curves.panel import CurvesPanel  # numpy, for those who look at curves

                self._panel = CurvesPanel(self._run_id, inside=True)
            self._panel.set_listed_checkpoints(_listed(self._run_id, rows))
            widget = self._panel.model_id
        words = f"This page shows no panel inside of another. For the curves, type in a cell: {self.line}"
        return PlotStatus(plot="curves", state="drawn", widget=widget, text=words)

    def are_there(self) -> bool:
        """Return whether anything was recorded of the run; read once it was, and never made by reading."""
        with contextlib.suppress(LoopsError):
            if not self._is_recorded:
                from loops_nb.tracking import ExperimentStore  # for those who record

                with ExperimentStore() as store:
                    self._is_recorded = any(row.run_id == self._run_id for row in store.experiments(archived=True))
        return self._is_recorded

    @property
    def line(self) -> str:
        """The line of code that opens them alone."""
        return f"%loops curves {self._run_id}"

    def close(self) -> None:
        """End it, if it was ever made; none is made afterwards."""
        with self._lock:
            self._is_closed = True
            panel, self._panel = self._panel, None
        if panel is not None:
            panel.close()


def _listed(run_id: str, rows: Mapping[str, Row]) -> list[ListedCheckpoint]:
    from loops_nb.panels.curves.model import ListedCheckpoint  # numpy

    found = []
    for row in rows.values():
        cells: dict[str, Any] = dict(zip(_NAMES, row, strict=True))
        if cells["created_at"] is not None:
            name, uri, target = (str(cells[each] or "") for each in ("checkpoint_id", "uri", "target"))
            found.append(ListedCheckpoint(run_id, cells["step"], float(cells["created_at"]), name, uri, target))
    return found
