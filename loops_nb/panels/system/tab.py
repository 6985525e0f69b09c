"""The panel of system metrics inside of the panel of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from loops_nb.errors import InvalidArgumentError
from loops_nb.panels.inside import PanelInside
from loops_nb.panels.messages import PlotStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loops_nb.client.config import HasConfig
    from loops_nb.panels.messages import PlotName, Row
    from loops_nb.panels.system.panel import SystemPanel

_SHARED = "This run has no machines of its own, and so no system metrics: it is on shared (serverless) capacity."


class SystemInside(PanelInside["SystemPanel"]):
    """GPU, CPU, memory, disk and requests of one run, for the pages of its panel.

    Parameters
    ----------
    loops : Loops or AsyncLoops
        The connection.
    run_id : str
        The run.
    """

    plot: ClassVar[PlotName] = "system"
    what: ClassVar[str] = "system metrics"

    def __init__(self, loops: HasConfig, run_id: str) -> None:
        super().__init__()
        self._loops = loops
        self._run_id = run_id

    @property
    def line(self) -> str:  # noqa: D102 - as in the base class
        return f"%loops watch system {self._run_id}"

    def status(self, rows: Mapping[str, Row]) -> PlotStatus | None:  # noqa: D102 - as in the base class
        try:
            return super().status(rows)
        except InvalidArgumentError:
            # Of a run that is listed it means this alone.
            return PlotStatus(plot=self.plot, state="drawn", text=_SHARED)

    def _make(self) -> SystemPanel:
        from loops_nb.panels.system.panel import SystemPanel  # numpy, for those who look at system metrics

        return SystemPanel(self._loops, self._run_id, inside=True)
