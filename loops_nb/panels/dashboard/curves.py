"""The curves in a dashboard: of the selected runs, or the newest, with the checkpoints that the service lists."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, ClassVar

from loops_nb import faults
from loops_nb.panels.curves.tab import listed_checkpoints
from loops_nb.panels.inside import PanelInside
from loops_nb.panels.messages import PlotStatus
from loops_nb.panels.plots import failure_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loops_nb.panels.curves.panel import CurvesPanel
    from loops_nb.panels.messages import PlotName, Row

_LOG = logging.getLogger(__name__)


class SelectedCurves(PanelInside["CurvesPanel"]):
    """One panel of curves for the life of a dashboard, which shows other runs when others are selected.

    It is made with the dashboard and not when a page asks for it, as those in tabs are: a kernel that hears nothing
    while a cell runs shows it all the same, and a notebook that keeps widgets has both.
    """

    plot: ClassVar[PlotName] = "curves"
    what: ClassVar[str] = "curves"

    def __init__(self) -> None:
        super().__init__()
        # Held while it is narrowed: jobs on several threads may overtake each other, and each does what came last.
        self._narrowing = threading.Lock()
        self._wanted: tuple[str, ...] = ()
        self._shown: tuple[str, ...] = ()

    @property
    def line(self) -> str:  # noqa: D102 - as in the base class
        return " ".join(["%loops curves", *self._wanted])

    def begin(self) -> PlotStatus:
        """Make it, and return where it is; without it a dashboard still has its tables."""
        try:
            status = self.status({})
        except Exception as error:  # noqa: BLE001 - whatever it is, the tables do without curves
            faults.record(_LOG, "making the curves of a dashboard", error)
            return PlotStatus(plot=self.plot, state="failed", text=failure_text(error))
        return status or PlotStatus(plot=self.plot, state="failed")

    @property
    def panel(self) -> CurvesPanel | None:
        """The panel; None if it could not be made, or was closed."""
        with self._lock:
            return self._panel

    def want(self, run_ids: tuple[str, ...]) -> None:
        """Set which runs `narrow` shows; none, for the newest experiments."""
        self._wanted = run_ids

    def narrow(self, rows: Mapping[str, Row]) -> None:
        """Show the curves of the wanted runs, with these checkpoints on them; on any thread."""
        with self._narrowing:
            wanted, panel = self._wanted, self.panel
            if panel is not None and wanted != self._shown:
                panel.show_runs(wanted or None)
                self._shown = wanted
        self.set_rows(rows)

    def _make(self) -> CurvesPanel:
        from loops_nb.panels.curves.panel import CurvesPanel  # numpy, for those who look at curves

        return CurvesPanel(inside=True, follows=True, title="Curves")

    def _show_rows(self, panel: CurvesPanel, rows: Mapping[str, Row]) -> None:
        panel.set_listed_checkpoints(listed_checkpoints(rows))
