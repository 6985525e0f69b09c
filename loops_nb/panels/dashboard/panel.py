"""The dashboard panel: the fleet, live curves and checkpoints together."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar

from loops_nb import faults
from loops_nb.client import checks
from loops_nb.errors import InvalidArgumentError
from loops_nb.live import poller_for
from loops_nb.panels.dashboard.content import DashboardView
from loops_nb.panels.dashboard.curves import SelectedCurves
from loops_nb.panels.fleet import FleetPanel
from loops_nb.panels.recorded_runs import CheckpointLifetimes
from loops_nb.panels.report import report_text
from loops_nb.render.tables import sentence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from loops_nb.client.config import HasConfig
    from loops_nb.panels.curves.panel import CurvesPanel
    from loops_nb.panels.fleet import FleetView
    from loops_nb.panels.messages import Row

_LOG = logging.getLogger(__name__)


class DashboardPanel(FleetPanel):
    """Runs with their trainers and samplers, live curves and checkpoints in one panel; selected runs narrow the rest.

    Stands on what `FleetPanel` asks of the service, and asks nothing more.  The curves are those recorded on this
    machine.  Where a page cannot show one widget inside of another, the tables are there, and the line that opens the
    curves alone.

    Parameters
    ----------
    loops : Loops or AsyncLoops
        The connection.
    runs : str or sequence of str, default ()
        Ids of the runs that are selected at first; none for all.
    base_model, scope, team_id : str or None, default None
        As in `FleetPanel`.
    **options
        ``notify``, ``time_zone`` and ``interval`` as in `Panel`.

    Raises
    ------
    InvalidArgumentError
        If an argument cannot be used.

    Examples
    --------
    >>> panel = DashboardPanel(Loops(), ["k4q95w5"])  # doctest: +SKIP
    """

    _bundle: ClassVar[str] = "dashboard.js"

    def __init__(
        self,
        loops: HasConfig,
        runs: str | Sequence[str] = (),
        *,
        base_model: str | None = None,
        scope: str | None = None,
        team_id: str | None = None,
        **options: Any,
    ) -> None:
        self._selected_at_first = _ids(runs)
        self._lifetimes = CheckpointLifetimes()
        self._curves = SelectedCurves()
        self._reported_curves: object = None
        # The same one as the tables have.
        self._background = poller_for(loops.config)
        try:
            super().__init__(
                loops, base_model=base_model, scope=scope, team_id=team_id, inside=[self._curves], **options
            )
        except BaseException:
            self._curves.close()
            self._lifetimes.close()
            raise

    # What people use.

    @property
    def curves(self) -> CurvesPanel:
        """The panel of its curves, for their ``picture``, ``figure`` and ``frame``.

        Raises
        ------
        InvalidArgumentError
            If they cannot be shown, or the panel was closed.
        """
        panel = self._curves.panel
        if panel is None:
            why = self._controller.snapshot().curves
            raise InvalidArgumentError((why.text if why and why.state == "failed" else "") or "The panel was closed.")
        return panel

    @property
    def checkpoints_frame(self) -> pd.DataFrame | None:
        """The checkpoints that are shown as a DataFrame; None before any listing came."""
        return self._controller.checkpoints_frame()

    @property
    def selected_runs(self) -> list[str]:
        """Ids of the selected runs; empty while everything is shown."""
        return list(self._controller.state.content.selected_runs or ())

    def select(self, *run_ids: str) -> None:
        """Show the curves and checkpoints of these runs alone; without any, of all.

        Parameters
        ----------
        *run_ids : str
            Ids of runs that the panel lists; others are not kept.

        Raises
        ------
        InvalidArgumentError
            If one is not an id.

        Examples
        --------
        >>> panel.select("k4q95w5", "qr8zj20")
        """
        self._controller.select_runs(_ids(run_ids))

    def told(self, width: int = 120) -> str:
        """Return what is shown now in words, for a terminal."""
        panel = self._curves.panel
        return report_text(
            self.snapshot_now(),
            width=width,
            time_zone=self._time_zone,
            words=panel.told(width) if panel is not None else "",
        )

    # How it is made.

    def _view(self, **options: Any) -> FleetView:
        # Before the panel itself, so that its first snapshot names them.
        return DashboardView(
            self._curves.begin(),
            selected=self._selected_at_first,
            lifetimes=self._lifetimes,
            on_change=self._narrow_curves,
            **options,
        )

    def _narrow_curves(self, run_ids: tuple[str, ...], rows: Mapping[str, Row]) -> None:
        self._curves.want(run_ids)
        self._background.run_in_background(lambda: self._curves.narrow(rows), lambda _: None)

    # The report.

    def _first_report(self) -> dict[str, str]:
        # The first picture takes a second with the import of matplotlib; the page need not wait for it.
        return self._rendered(live=True)

    def _is_reported(self) -> bool:
        return super()._is_reported() and self._reported_curves == self._version_of_curves()

    def _report(self, *, live: bool) -> dict[str, str]:
        self._reported_curves = self._version_of_curves()
        panel = self._curves.panel
        if panel is None:
            return self._rendered(live=live)
        try:
            parts, words = panel.report_parts(), panel.told()
        except Exception as error:  # noqa: BLE001 - the tables are reported all the same
            words = faults.record(_LOG, "drawing the curves of a dashboard", error).reason
            parts = [sentence(words)]
        return self._rendered(live=live, parts=parts, words=words)

    def _version_of_curves(self) -> object:
        panel = self._curves.panel
        return panel.report_version() if panel is not None else None

    def _words(self, width: int) -> str:
        return self.told(width)

    def _let_go(self) -> None:
        super()._let_go()
        self._lifetimes.close()


def _ids(runs: str | Sequence[str]) -> list[str]:
    return [checks.identifier("run_id", run) for run in ([runs] if isinstance(runs, str) else runs)]
