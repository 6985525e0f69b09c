"""Base of the panels of tables: their data, report and polling controls."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from loops_nb.config.time_zone import display_zone
from loops_nb.errors import InvalidArgumentError
from loops_nb.live import poller_for
from loops_nb.panels.bundle import NAME, page_code
from loops_nb.panels.controller import PanelController
from loops_nb.panels.drift_measurement import over_the_network
from loops_nb.panels.report import report_html, report_text
from loops_nb.panels.widget import REPORT_SECONDS, LiveWidget

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

    from loops_nb.client.config import HasConfig
    from loops_nb.panels.inside import PanelInside
    from loops_nb.panels.messages import PanelSnapshot
    from loops_nb.panels.recorded_runs import Records
    from loops_nb.panels.view import View
    from loops_nb.panels.visibility import Visibility

#: How long a panel waits for its first data before it is shown without.
FIRST_LOOK_SECONDS = 1.5
#: How long the end of a cell waits for a last look at the service.
LAST_LOOK_SECONDS = 5.0
_REPORT_WIDTH = 120
# Nearly every reader of a notebook shows the HTML; its twin in text is there for diffs, and doubles the size of the
# file.
_TEXT_ROWS = 5


class Panel(LiveWidget):
    """A live panel; see `FleetPanel`, `RunPanel`, `SamplersPanel`, `DeploymentsPanel` and `CheckpointsPanel`.

    It shows itself when it is a cell's last value, or with `show`.  Showing makes two outputs, of which one is seen: a
    static report that stays in the saved notebook, and the live view, which hides the report for as long as it lives.

    Parameters
    ----------
    loops
        The connection, a `Loops` or an `AsyncLoops`; panels of one connection share one poller.
    view
        What is shown.
    notify
        Raise a browser notification when something ends, where the browser allows it.
    time_zone
        Zone of the times in the report: ``local``, ``UTC`` or a name such as ``Europe/Berlin``.
    interval
        Seconds between two looks while something changes; None leaves the connection's poller as it is.
    inside
        Panels in tabs of this one, which end with it.
    recorded
        What is recorded of runs or checkpoints on this machine; None where the panel does not show it.
    """

    _controller: PanelController
    #: File of the page's code.
    _bundle: ClassVar[str] = NAME

    def __init__(
        self,
        loops: HasConfig,
        view: View,
        *,
        notify: bool = False,
        time_zone: str = "local",
        interval: float | None = None,
        inside: Sequence[PanelInside[Any]] = (),
        recorded: Records[Any] | None = None,
    ) -> None:
        display_zone(time_zone)
        self._inside = inside
        self._recorded = recorded
        self._time_zone = time_zone
        self._report_due: Any = None
        self._reported: object = None
        self._answers = True
        self._waited_at: float | None = None
        page = page_code(self._bundle)
        self._poller = poller_for(loops.config)
        if interval is not None:
            self._poller.interval = interval

        def made(tell: Callable[[dict[str, Any]], None], visibility: Visibility) -> PanelController:
            measure = over_the_network(loops.config)
            controller = PanelController(
                view, self._poller, tell, visibility, notify=notify, measure=measure, inside=inside, time_zone=time_zone
            )
            if recorded is not None:
                controller.has_local_news = recorded.has_news
            controller.on_change = self._turn
            return controller

        super().__init__(made, page)

    # What people use.

    @property
    def frame(self) -> pd.DataFrame:
        """The newest data as a DataFrame: the listing that this panel shows (for a run, its checkpoints).

        Raises
        ------
        InvalidArgumentError
            If nothing came from the service yet.
        """
        frame = self._controller.frame()
        if frame is None:
            raise InvalidArgumentError(
                "Nothing came from the service yet.", hint="The panel tells why; try again in a moment."
            )
        return frame

    def snapshot_now(self) -> PanelSnapshot:
        """Return everything that is shown now."""
        return self._controller.snapshot()

    def told(self, width: int = 120) -> str:
        """Return what is shown now in words, for a terminal."""
        return report_text(self.snapshot_now(), width=width, time_zone=self._time_zone)

    def pause(self) -> None:
        """Stop looking; what is shown stays."""
        self._controller.set_paused(paused=True)

    def resume(self) -> None:
        """Go on looking, also after everything watched had ended."""
        self._controller.set_paused(paused=False)

    def refresh(self) -> None:
        """Look now."""
        self._controller.refresh()

    def __repr__(self) -> str:
        state = self._controller.state
        return f"<{type(self).__name__} {self._controller.view.title!r}, {state.health.state}>"

    @property
    def is_over(self) -> bool:
        """Whether everything watched has ended, or the panel was closed."""
        return self._controller.state.health.state == "over"

    # The report.

    def _turn(self) -> None:
        """Take in that something worth a new report happened; on the poller's thread."""
        if self._marks is None or self._report_due is not None or self._is_closed:
            return
        wait = max(0.0, self._reported_at + REPORT_SECONDS - time.monotonic())
        self._report_due = self._poller.call_later(wait, self._renew_report)

    def _renew_report(self) -> None:
        with self._closing:
            self._report_due = None
            if self._is_closed or self._marks is None or self._is_reported():
                return
            try:
                self._publish(0, self._report(live=True), update=True)
                self._reported_at = time.monotonic()
                self.send_state("snapshot")
            except Exception as error:  # noqa: BLE001 - whatever it is, the report that the notebook keeps is old
                self._controller.report_fault("renewing the report of a panel", error)

    def _cell_ended(self) -> None:
        if self._report_due is not None:
            self._report_due.cancel()
            self._report_due = None
        if self._controller.is_watched and self._controller.can_refresh:
            # The page shows it anyway: the cell's end does not wait for the service.
            self._controller.refresh_then(lambda: self._poller.call_later(0.0, self._renew_report))
        else:
            self._look_now()
        self._renew_report()

    def _look_now(self) -> None:
        if not self._controller.can_refresh:
            return
        # A service that was too slow once is waited for again when it has answered.
        waits = (
            LAST_LOOK_SECONDS if self._answers or self._controller.state.health.looked_at != self._waited_at else 0.0
        )
        self._waited_at = self._controller.state.health.looked_at
        self._answers = self._controller.refresh_and_wait(waits)

    def _is_reported(self) -> bool:
        """Return whether the report has everything that is shown now."""
        return self._reported is self._controller.state.content

    def _report(self, *, live: bool) -> dict[str, str]:
        return self._rendered(live=live)

    def _rendered(self, *, live: bool, parts: Sequence[str] = (), words: str = "") -> dict[str, str]:
        """Return the report, with further parts at its end: pieces of HTML, and the same as text."""
        snapshot = self._controller.snapshot()
        self._reported = self._controller.state.content
        lines = self._lines_of_report()
        html = report_html(snapshot, time_zone=self._time_zone, frozen=not live, lines=lines, parts=parts)
        return {
            "text/html": html,
            "text/plain": report_text(
                snapshot, width=_REPORT_WIDTH, time_zone=self._time_zone, most_rows=_TEXT_ROWS, lines=lines, words=words
            ),
        }

    def _lines_of_report(self) -> dict[str, str]:
        """Return the lines of code that show more of it, by what they show: a report has no tabs."""
        return {}

    def _words(self, width: int) -> str:
        return report_text(
            self._controller.snapshot(), width=width, time_zone=self._time_zone, lines=self._lines_of_report()
        )

    def _before_opening(self) -> None:
        # What comes within a moment stands on the page from the start.
        self._controller.wait_until_ready(FIRST_LOOK_SECONDS)

    def _after_showing(self) -> None:
        self._controller.displayed()

    def _end(self, why: str) -> None:
        super()._end(why)
        if self._report_due is not None:
            self._report_due.cancel()

    def _let_go(self) -> None:
        for part in self._inside:
            part.close()
        if self._recorded is not None:
            self._recorded.close()
